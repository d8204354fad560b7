//! `hookway tail`: what happens, as it happens, one line each.
//!
//! The router filters; what is shown is what it tells. A stream that breaks is opened again, with
//! growing pauses; only the first opening may fail the command, so that a tail survives a restart of
//! the router. Subscriptions are shown by their names, which are asked for once.

use std::collections::HashMap;
use std::time::Duration;

use clap::ValueEnum;
use serde_json::Value;

use super::client::{Client, given};
use super::output::{Output, Tone, cell, clean};
use super::sse::{Parser, StreamEvent};
use super::story::relative;
use super::{Context, Failure};
use crate::time::Timestamp;

/// First pause before a stream is opened again.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// Names of subscriptions that are remembered.
const NAMES_MAX: usize = 1_024;

/// Flags of `tail`.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "Examples:
  hookway tail
  hookway tail --type 'order.*' --failed
  hookway tail --subscription leads --status failed
  hookway tail --event evt_01j…
  hookway tail --source github --json | jq .activity")]
pub(super) struct Args {
    /// Only what concerns this subscription (id or key)
    #[arg(long, value_name = "SUBSCRIPTION")]
    subscription: Option<String>,
    /// Only events of this type or pattern, such as order.*
    #[arg(long = "type", value_name = "PATTERN")]
    event_type: Option<String>,
    /// Only events that entered here, and what came to the source of that name
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only this event
    #[arg(long, value_name = "EVENT")]
    event: Option<String>,
    /// Only deliveries that end so
    #[arg(long, value_enum)]
    status: Option<EndStatus>,
    /// Only what goes wrong: failed attempts and deliveries, refused requests, stopped subscriptions
    #[arg(long, conflicts_with = "status")]
    failed: bool,
    /// End after this many lines
    #[arg(long, value_name = "LINES")]
    count: Option<u64>,
}

/// How a delivery may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EndStatus {
    /// Accepted by the endpoint.
    Delivered,
    /// A plugin decided that there is nothing to send.
    Filtered,
    /// A dead letter.
    Failed,
}

impl Args {
    fn query(self) -> Vec<(&'static str, String)> {
        let status = self.status.and_then(|status| status.to_possible_value());
        let status = status.map(|value| value.get_name().to_owned());
        let status = status.or(self.failed.then(|| "failures".to_owned()));
        given([
            ("subscription", self.subscription),
            ("type", self.event_type),
            ("source", self.source),
            ("event", self.event),
            ("status", status),
        ])
    }
}

/// Watches until it is stopped.
pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let mut tail = Tail {
        client,
        output: context.output,
        left: args.count,
        query: args.query(),
        last_id: None,
        names: HashMap::new(),
    };
    let mut response = tail.open().await?;
    if !context.output.json {
        context.output.note(&format!("watching {}", tail.client.base()));
    }
    let mut pause = PAUSE_MIN;
    loop {
        match tail.follow(response).await? {
            Ended::Enough => return Ok(()),
            Ended::Broken { seen } if seen => pause = PAUSE_MIN,
            Ended::Broken { .. } => {}
        }
        context.output.note("the stream ended; opening it again");
        response = loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
            match tail.open().await {
                Ok(response) => break response,
                // Nobody there, or there but not ready: it may come back.
                Err(Failure::Unreachable { .. }) => {}
                Err(Failure::Problem(problem)) if problem.status >= 500 => {}
                Err(failure) => return Err(failure),
            }
        };
        context
            .output
            .note("watching again; what happened in between is not shown");
    }
}

struct Tail {
    client: Client,
    query: Vec<(&'static str, String)>,
    output: Output,
    left: Option<u64>,
    last_id: Option<String>,
    /// Names of subscriptions, by id.
    names: HashMap<String, String>,
}

/// Why a stream is no longer followed.
enum Ended {
    /// As many lines as wanted were shown.
    Enough,
    /// It broke, after something had been seen of it or not.
    Broken { seen: bool },
}

impl Tail {
    async fn open(&self) -> Result<reqwest::Response, Failure> {
        self.client
            .stream(&["tail"], &self.query, self.last_id.as_deref())
            .await
    }

    async fn follow(&mut self, mut response: reqwest::Response) -> Result<Ended, Failure> {
        let mut parser = Parser::default();
        let mut seen = false;
        while let Ok(Some(chunk)) = response.chunk().await {
            seen = true;
            let events = parser
                .push(&chunk)
                .map_err(|error| Failure::because("cannot read the stream", error))?;
            self.last_id.clone_from(&parser.last_id);
            for event in events {
                self.show(&event).await?;
                if let Some(left) = &mut self.left {
                    *left = left.saturating_sub(1);
                    if *left == 0 {
                        return Ok(Ended::Enough);
                    }
                }
            }
        }
        Ok(Ended::Broken { seen })
    }

    async fn show(&mut self, event: &StreamEvent) -> Result<(), Failure> {
        if self.output.json {
            return self.output.line(&event.data);
        }
        let activity: Value =
            serde_json::from_str(&event.data).unwrap_or_else(|_| Value::String(event.data.clone()));
        let name = match activity["subscription_id"].as_str() {
            Some(id) => self.name(id).await,
            None => String::new(),
        };
        self.output.line(&line(&self.output, &activity, &name))
    }

    /// What a subscription is called: its key or name, or its id where that is not to be had.
    async fn name(&mut self, id: &str) -> String {
        if let Some(name) = self.names.get(id) {
            return name.clone();
        }
        let subscription = self
            .client
            .get(&["subscriptions", id], &[])
            .await
            .unwrap_or_default();
        let names = ["key", "name"].map(|member| cell(&subscription[member]));
        let name = names.into_iter().find(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| clean(id));
        if self.names.len() < NAMES_MAX {
            self.names.insert(id.to_owned(), name.clone());
        }
        name
    }
}

/// One activity as a line; `subscription` is how its subscription is called.
pub(super) fn line(output: &Output, activity: &Value, subscription: &str) -> String {
    let at = |name: &str| cell(&activity[name]);
    let time = at("time");
    // The date is known to who is watching; the time of day is enough.
    let clock = time.split_once('T').map_or(time.as_str(), |(_, clock)| clock);
    let clock = output.tone(Tone::Faint, clock);
    let said = |tone: Tone, word: &str, rest: String| {
        let word = output.tone(tone, &format!("{word:9}"));
        format!("{clock}  {word}  {rest}").trim_end().to_owned()
    };
    match activity["activity"].as_str().unwrap_or_default() {
        "accepted" => {
            let matched = match activity["matched"].as_u64() {
                Some(0) => output.tone(Tone::Odd, "matched nothing"),
                _ => format!("matched {}", at("matched")),
            };
            let (event, event_type, source) = (at("event_id"), at("event_type"), at("source"));
            said(
                Tone::Plain,
                "accepted",
                format!("{event}  {event_type}  from {source}  {matched}"),
            )
        }
        "received" => {
            let outcome = at("outcome");
            let tone = match outcome.as_str() {
                "refused" => Tone::Bad,
                "accepted" => Tone::Good,
                _ => Tone::Faint,
            };
            let rest = [at("status"), at("reason"), at("event_id")];
            let rest: Vec<String> = rest.into_iter().filter(|text| !text.is_empty()).collect();
            let outcome = output.tone(tone, &outcome);
            said(
                Tone::Plain,
                "received",
                format!("{}  {outcome}  {}", at("source"), rest.join("  ")),
            )
        }
        "attempted" => said(Tone::Plain, "attempt", attempted(output, activity, subscription)),
        "run_failed" => {
            let rest = [
                at("delivery_id"),
                subscription.to_owned(),
                at("plugin"),
                format!("run {}", at("number")),
            ];
            let reason = output.tone(Tone::Odd, &at("reason"));
            let again = next(activity, "next_run_at");
            said(
                Tone::Plain,
                "run failed",
                format!("{}  {reason}{again}", rest.join("  ")),
            )
        }
        "ended" => {
            let (status, reason) = (at("status"), at("reason"));
            let rest = format!("{}  {subscription}  {reason}", at("delivery_id"));
            said(Tone::of_status(&status), &status, rest)
        }
        "stopped" => said(Tone::Bad, "stopped", format!("{subscription}  {}", at("reason"))),
        "operation_ended" => {
            let (kind, state) = (at("kind"), at("state"));
            let rest = format!(
                "{}  {state}: {} sent, {} skipped",
                at("operation_id"),
                at("done"),
                at("skipped")
            );
            let tone = if state == "failed" { Tone::Bad } else { Tone::Plain };
            said(tone, &kind, rest)
        }
        _ if activity["missed"].is_u64() => {
            let note = format!(
                "{} lines were missed: more happens than is read here",
                at("missed")
            );
            output.tone(Tone::Odd, &note)
        }
        _ => clean(&activity.to_string()),
    }
}

/// When it is tried again, if it is.
fn next(activity: &Value, name: &str) -> String {
    let times = [&activity[name], &activity["time"]]
        .map(|time| time.as_str().and_then(|text| Timestamp::parse(text).ok()));
    match times {
        [Some(next), Some(time)] => format!("  again {}", relative(next, time)),
        _ => String::new(),
    }
}

fn attempted(output: &Output, activity: &Value, subscription: &str) -> String {
    let at = |name: &str| cell(&activity[name]);
    let result = match at("status_code") {
        status if status.is_empty() => at("error"),
        status => status,
    };
    let tone = match activity["outcome"].as_str() {
        Some("delivered") => Tone::Good,
        Some("failed") => Tone::Bad,
        _ => Tone::Odd,
    };
    let next = next(activity, "next_attempt_at");
    format!(
        "{}  {subscription}  #{}  {}  {} ms{next}",
        at("delivery_id"),
        at("number"),
        output.tone(tone, &result),
        at("duration_ms"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::cli::ColourWhen;

    #[test]
    fn every_activity_is_a_line() {
        let output = Output::new(false, ColourWhen::Never, true);
        let time = "2026-05-19T16:30:00.000Z";
        let cases = [
            (
                json!({"activity": "accepted", "event_id": "evt_1", "event_type": "a.b", "source": "s", "matched": 2}),
                "16:30:00.000Z  accepted   evt_1  a.b  from s  matched 2",
            ),
            (
                json!({"activity": "accepted", "event_id": "evt_1", "event_type": "a.b", "source": "s", "matched": 0}),
                "16:30:00.000Z  accepted   evt_1  a.b  from s  matched nothing",
            ),
            (
                json!({"activity": "received", "source_id": "src_1", "source": "github", "outcome": "refused",
                       "reason": "mismatch", "event_id": null, "status": 401}),
                "16:30:00.000Z  received   github  refused  401  mismatch",
            ),
            (
                json!({"activity": "received", "source_id": "src_1", "source": "github", "outcome": "accepted",
                       "reason": null, "event_id": "evt_1", "status": 200}),
                "16:30:00.000Z  received   github  accepted  200  evt_1",
            ),
            (
                json!({"activity": "attempted", "delivery_id": "dlv_1", "subscription_id": "sub_1", "number": 1,
                       "status_code": 503, "error": null, "duration_ms": 4, "outcome": "pending",
                       "next_attempt_at": "2026-05-19T16:34:30.000Z"}),
                "16:30:00.000Z  attempt    dlv_1  leads  #1  503  4 ms  again in 4 min 30 s",
            ),
            (
                json!({"activity": "attempted", "delivery_id": "dlv_1", "subscription_id": "sub_1", "number": 2,
                       "status_code": null, "error": "timeout: no answer", "duration_ms": 4, "outcome": "failed",
                       "next_attempt_at": null}),
                "16:30:00.000Z  attempt    dlv_1  leads  #2  timeout: no answer  4 ms",
            ),
            (
                json!({"activity": "ended", "delivery_id": "dlv_1", "subscription_id": "sub_1",
                       "status": "delivered", "reason": null}),
                "16:30:00.000Z  delivered  dlv_1  leads",
            ),
            (
                json!({"activity": "ended", "delivery_id": "dlv_1", "subscription_id": "sub_1",
                       "status": "failed", "reason": "given up"}),
                "16:30:00.000Z  failed     dlv_1  leads  given up",
            ),
            (
                json!({"activity": "run_failed", "delivery_id": "dlv_1", "subscription_id": "sub_1", "number": 2,
                       "plugin": "jq", "reason": "took too long", "next_run_at": "2026-05-19T16:30:05.000Z"}),
                "16:30:00.000Z  run failed  dlv_1  leads  jq  run 2  took too long  again in 5 s",
            ),
            (
                json!({"activity": "stopped", "subscription_id": "sub_1", "reason": "410\u{7}"}),
                "16:30:00.000Z  stopped    leads  410\\u{7}",
            ),
        ];
        for (mut activity, expected) in cases {
            activity["time"] = json!(time);
            assert_eq!(line(&output, &activity, "leads"), expected);
        }
        assert_eq!(
            line(&output, &json!({"missed": 3}), ""),
            "3 lines were missed: more happens than is read here"
        );
        assert_eq!(line(&output, &json!({"new": 3}), ""), "{\"new\":3}");
    }

    #[test]
    fn flags_are_what_the_router_filters_by() {
        let args = Args {
            event_type: Some("order.*".into()),
            source: Some("shop".into()),
            failed: true,
            ..Args::default()
        };
        let query = args.query();
        let query: Vec<_> = query
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        assert_eq!(
            query,
            [("type", "order.*"), ("source", "shop"), ("status", "failures")]
        );
        let args = Args {
            status: Some(EndStatus::Filtered),
            ..Args::default()
        };
        assert_eq!(args.query(), [("status", "filtered".to_owned())]);
    }

    /// Answers one request with these bytes, closes, and gives the head of the request.
    async fn answer_once(listener: &TcpListener, answer: &str) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(head).unwrap()
    }

    #[tokio::test]
    async fn a_broken_stream_is_opened_again_where_it_broke() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let global = crate::cli::Global {
            server: Some(format!("http://{}", listener.local_addr().unwrap())),
            ..crate::cli::Global::default()
        };
        let environment = crate::config::environment::Environment {
            key: Some(crate::secret::Secret::new("hw_k")),
            ..Default::default()
        };
        let output = Output::new(true, ColourWhen::Never, true);
        let context = Context {
            global,
            environment,
            output,
        };
        let args = Args {
            subscription: Some("a b".into()),
            count: Some(2),
            ..Args::default()
        };
        let stream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
        let router = async {
            let first = answer_once(&listener, &format!("{stream}id: 7\ndata: {{}}\n\ndata: cut")).await;
            // A router that is still starting is no reason to give up.
            answer_once(
                &listener,
                "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            )
            .await;
            let last = answer_once(&listener, &format!("{stream}data: {{}}\n\n")).await;
            (first, last)
        };
        let (ended, (first, last)) = tokio::join!(run(args, &context), router);
        ended.unwrap();
        assert!(
            first.starts_with("GET /api/v1/tail?subscription=a+b HTTP/1.1\r\n"),
            "{first}"
        );
        assert!(
            first.contains("authorization: Bearer hw_k\r\n") && !first.contains("last-event-id"),
            "{first}"
        );
        assert!(last.contains("last-event-id: 7\r\n"), "{last}");
    }
}
