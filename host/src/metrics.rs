//! What the router counts of itself for `/metrics`: totals since the start, and how long each stage took.
//!
//! Everything here is fixed when the program is built: sets of words, each with a number, and one histogram a
//! stage. Counting is a relaxed atomic addition ([`cells`]): no lock, no allocation, no clock. What is
//! counted by others is not counted again: the store knows how many deliveries ended and the runtime how many
//! instances it keeps; they are asked when somebody looks. ([`crate::meter`] and the sentinel's gauges know
//! single subscriptions within windows of time. Neither can be a total that only grows.)

pub mod cells;
pub mod exposition;
pub mod histogram;
pub mod names;

use std::time::Duration;

use cells::Cells;
use exposition::{Family, Metric, Value};
use histogram::Histogram;

use crate::delivery::{AttemptResult, ErrorKind, FaultKind, PluginRun, RunOutcome};
use crate::reception::{Outcome, Refusal};

/// The stages of an event, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A request with events that were accepted, from its head to its answer.
    Accept,
    /// From the queue of the writer until it is synced.
    Commit,
    /// A row, from when it was due until it started.
    Queue,
    /// One run of one plugin.
    Plugin,
    /// A request, from its first byte until its answer was read.
    Send,
    /// What became of a row, until it is synced.
    Record,
}

impl Stage {
    /// Their words.
    const WORDS: [&'static str; 6] = ["accept", "commit", "queue", "plugin", "send", "record"];
}

/// How an event came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// By the API.
    Api,
    /// By a source.
    Source,
    /// A plugin derived it.
    Plugin,
    /// Hookway told it of itself.
    Own,
}

impl Via {
    const WORDS: [&'static str; 4] = ["api", "source", "plugin", "own"];
}

/// Why something could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwritten {
    /// The disk is full.
    Full,
    /// Too much was waiting.
    Busy,
    /// Another process took over.
    Fenced,
    /// The store is closed, or its writer has stopped.
    Closed,
    /// What is stored is damaged.
    Damaged,
    /// The row is not what it was thought to be.
    Stale,
    /// Everything else.
    Backend,
}

impl Unwritten {
    const WORDS: [&'static str; 7] = ["full", "busy", "fenced", "closed", "damaged", "stale", "backend"];
}

/// Results of attempts, in the order of [`result_of`].
const RESULTS: [&str; 13] = [
    "1xx", "2xx", "3xx", "4xx", "5xx", "other", "dns", "connect", "tls", "timeout", "protocol", "refused",
    "invalid",
];

fn result_of(result: &AttemptResult) -> usize {
    match result {
        AttemptResult::Response { status, .. } => match status / 100 {
            class @ 1..=5 => usize::from(class) - 1,
            _ => 5,
        },
        AttemptResult::Error { kind, .. } => match kind {
            ErrorKind::Dns => 6,
            ErrorKind::Connect => 7,
            ErrorKind::Tls => 8,
            ErrorKind::Timeout => 9,
            ErrorKind::Protocol => 10,
            ErrorKind::Refused => 11,
            ErrorKind::Invalid => 12,
        },
    }
}

/// Outcomes of runs, in the order of [`outcome_of`].
const OUTCOMES: [&str; 12] = [
    "deliver",
    "filtered",
    "reject",
    "retry",
    "misconfigured",
    "trap",
    "timeout",
    "memory",
    "stack",
    "output_too_large",
    "invalid_output",
    "unavailable",
];

fn outcome_of(outcome: &RunOutcome) -> usize {
    match outcome {
        RunOutcome::Deliver { .. } => 0,
        RunOutcome::Filtered { .. } => 1,
        RunOutcome::Reject { .. } => 2,
        RunOutcome::Retry { .. } => 3,
        RunOutcome::Misconfigured { .. } => 4,
        RunOutcome::Fault { kind, .. } => match kind {
            FaultKind::Trap => 5,
            FaultKind::Timeout => 6,
            FaultKind::Memory => 7,
            FaultKind::Stack => 8,
            FaultKind::OutputTooLarge => 9,
            FaultKind::InvalidOutput => 10,
            FaultKind::Unavailable => 11,
        },
    }
}

/// Outcomes of requests to sources, in the order of [`reception_of`].
const RECEPTIONS: [&str; 4] = ["accepted", "duplicate", "handshake", "refused"];

fn reception_of(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Accepted { events: 0, .. } => 1,
        Outcome::Accepted { .. } => 0,
        Outcome::Handshake { .. } => 2,
        Outcome::Refused { .. } => 3,
    }
}

/// Events that came together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Came {
    /// New ones.
    pub new: u64,
    /// Those that had been accepted before.
    pub duplicate: u64,
    /// Bytes of the payloads of the new ones.
    pub bytes: u64,
}

/// Everything that is counted.
#[derive(Debug, Default)]
pub struct Metrics {
    stages: [Histogram; Stage::WORDS.len()],
    accepted: Cells<{ Via::WORDS.len() }>,
    duplicate: Cells<{ Via::WORDS.len() }>,
    bytes: Cells<{ Via::WORDS.len() }>,
    attempts: Cells<{ RESULTS.len() }>,
    runs: Cells<{ OUTCOMES.len() }>,
    receptions: Cells<{ RECEPTIONS.len() }>,
    refusals: Cells<{ Refusal::ALL.len() }>,
    unwritten: Cells<{ Unwritten::WORDS.len() }>,
}

impl Metrics {
    /// A stage took so long.
    pub fn took(&self, stage: Stage, took: Duration) {
        self.stages[stage as usize].observe(took);
    }

    /// A row started that was due for so long, on a clock of milliseconds: a shorter wait counts as one.
    pub fn waited(&self, waited: Duration) {
        self.took(Stage::Queue, waited.max(Duration::from_millis(1)));
    }

    /// Events came.
    pub fn came(&self, via: Via, came: Came) {
        let Came {
            new,
            duplicate,
            bytes,
        } = came;
        for (cells, by) in [
            (&self.accepted, new),
            (&self.duplicate, duplicate),
            (&self.bytes, bytes),
        ] {
            if by > 0 {
                cells.add(via as usize, by);
            }
        }
    }

    /// Plugins ran.
    pub fn ran(&self, runs: &[PluginRun]) {
        for run in runs {
            self.runs.add(outcome_of(&run.outcome), 1);
            // One that could not be had did not run.
            if run.duration_us > 0 {
                self.took(Stage::Plugin, Duration::from_micros(run.duration_us));
            }
        }
    }

    /// An attempt gave this.
    pub fn attempted(&self, result: &AttemptResult) {
        self.attempts.add(result_of(result), 1);
    }

    /// A request came to a source.
    pub fn received(&self, outcome: &Outcome) {
        self.receptions.add(reception_of(outcome), 1);
        if let Outcome::Refused { reason, .. } = outcome {
            self.refusals.add(*reason as usize, 1);
        }
    }

    /// An event or an outcome could not be written.
    pub fn unwritten(&self, why: Unwritten) {
        self.unwritten.add(why as usize, 1);
    }

    /// All of it, to be written.
    pub fn families(&self) -> Vec<Family> {
        let stages = Stage::WORDS.into_iter().zip(&self.stages);
        vec![
            Family::by_word(
                &names::STAGE,
                stages.map(|(word, histogram)| (word, Value::Times(histogram.seen()))),
            ),
            counted(&names::EVENTS_ACCEPTED, &Via::WORDS, &self.accepted),
            counted(&names::EVENTS_DUPLICATE, &Via::WORDS, &self.duplicate),
            counted(&names::EVENT_BYTES, &Via::WORDS, &self.bytes),
            counted(&names::RECEPTIONS, &RECEPTIONS, &self.receptions),
            counted(
                &names::RECEPTIONS_REFUSED,
                &std::array::from_fn(|place| Refusal::ALL[place].as_str()),
                &self.refusals,
            ),
            counted(&names::ATTEMPTS, &RESULTS, &self.attempts),
            counted(&names::PLUGIN_RUNS, &OUTCOMES, &self.runs),
            counted(&names::STORE_ERRORS, &Unwritten::WORDS, &self.unwritten),
        ]
    }
}

fn counted<const N: usize>(metric: &'static Metric, words: &[&'static str; N], cells: &Cells<N>) -> Family {
    let values = words.iter().enumerate();
    Family::by_word(
        metric,
        values.map(|(place, word)| (*word, Value::Whole(cells.read(place)))),
    )
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::metrics::exposition::{Format, write};

    fn written(metrics: &Metrics) -> String {
        write(metrics.families(), Format::Text).unwrap()
    }

    #[test]
    fn every_word_belongs_to_its_variant() {
        let metrics = Metrics::default();
        let kinds = [
            ErrorKind::Dns,
            ErrorKind::Connect,
            ErrorKind::Tls,
            ErrorKind::Timeout,
            ErrorKind::Protocol,
            ErrorKind::Refused,
            ErrorKind::Invalid,
        ];
        for (place, kind) in kinds.into_iter().enumerate() {
            let detail = String::new();
            for _ in 0..=place {
                metrics.attempted(&AttemptResult::Error {
                    kind,
                    detail: detail.clone(),
                });
            }
        }
        for status in [200, 204, 301, 404, 410, 429, 503, 999, 42] {
            metrics.attempted(&AttemptResult::Response {
                status,
                headers: Vec::new(),
                body: Bytes::new(),
                truncated: false,
            });
        }
        for (times, reason) in Refusal::ALL.iter().enumerate() {
            for _ in 0..=times {
                metrics.received(&Outcome::Refused {
                    reason: *reason,
                    detail: String::new(),
                });
            }
        }
        let text = written(&metrics);
        let has = |line: String| assert!(text.contains(&format!("\n{line}\n")), "{line} in {text}");
        for (place, kind) in kinds.into_iter().enumerate() {
            let word = kind.as_str();
            has(format!(
                "hookway_attempts_total{{result=\"{word}\"}} {}",
                place + 1
            ));
        }
        for (class, count) in [
            ("1xx", 0),
            ("2xx", 2),
            ("3xx", 1),
            ("4xx", 3),
            ("5xx", 1),
            ("other", 2),
        ] {
            has(format!("hookway_attempts_total{{result=\"{class}\"}} {count}"));
        }
        for (times, reason) in Refusal::ALL.iter().enumerate() {
            let word = reason.as_str();
            has(format!(
                "hookway_receptions_refused_total{{reason=\"{word}\"}} {}",
                times + 1
            ));
        }
        let all: usize = (1..=Refusal::ALL.len()).sum();
        has(format!("hookway_receptions_total{{outcome=\"refused\"}} {all}"));
    }

    #[test]
    fn faults_have_the_words_of_the_record() {
        let faults = [
            FaultKind::Trap,
            FaultKind::Timeout,
            FaultKind::Memory,
            FaultKind::Stack,
            FaultKind::OutputTooLarge,
            FaultKind::InvalidOutput,
            FaultKind::Unavailable,
        ];
        for kind in faults {
            let outcome = RunOutcome::Fault {
                kind,
                detail: String::new(),
            };
            let word = serde_json::to_value(kind).unwrap();
            assert_eq!(word, OUTCOMES[outcome_of(&outcome)]);
        }
        let outcome = RunOutcome::Misconfigured {
            reason: String::new(),
        };
        let word = serde_json::to_value(&outcome).unwrap()["outcome"].clone();
        assert_eq!(word, OUTCOMES[outcome_of(&outcome)]);
    }

    #[test]
    fn stages_and_ways_are_counted_apart() {
        let metrics = Metrics::default();
        metrics.took(Stage::Send, Duration::from_millis(3));
        metrics.waited(Duration::ZERO);
        metrics.waited(Duration::from_secs(2));
        let came = Came {
            new: 2,
            duplicate: 1,
            bytes: 77,
        };
        metrics.came(Via::Source, came);
        metrics.came(
            Via::Own,
            Came {
                new: 1,
                ..Came::default()
            },
        );
        metrics.unwritten(Unwritten::Backend);
        let text = written(&metrics);
        for line in [
            "hookway_stage_seconds_count{stage=\"send\"} 1",
            "hookway_stage_seconds_count{stage=\"record\"} 0",
            "hookway_stage_seconds_bucket{le=\"0.001\",stage=\"queue\"} 1",
            "hookway_stage_seconds_sum{stage=\"queue\"} 2.001",
            "hookway_events_accepted_total{via=\"source\"} 2",
            "hookway_events_accepted_total{via=\"own\"} 1",
            "hookway_events_accepted_total{via=\"api\"} 0",
            "hookway_events_duplicate_total{via=\"source\"} 1",
            "hookway_event_bytes_total{via=\"source\"} 77",
            "hookway_store_errors_total{error=\"backend\"} 1",
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line} in {text}");
        }
    }
}
