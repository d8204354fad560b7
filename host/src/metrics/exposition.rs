//! How metrics are written: the text format of Prometheus, and OpenMetrics for who asks for it.
//!
//! `prometheus-client` writes OpenMetrics. The older text format is the same but for the names of counters in
//! the lines that describe them (there without `_total`) and the mark at the end, so it is made of the other.
//! Labels have words of closed sets, or what this binary says of itself; nothing from outside.

use std::borrow::Cow;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::histogram::Seen;

/// What the name of every counter ends with.
const COUNTER_SUFFIX: &str = "_total";

/// What kind of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, from zero at the start of the process.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Times, by size.
    Histogram,
}

impl Kind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What is said about a metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, as Prometheus has it: a counter's ends with `_total`.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Its label, if it has one or two.
    pub labels: &'static [&'static str],
    /// What it says, in one line.
    pub help: &'static str,
}

/// A metric with its values.
#[derive(Debug)]
pub struct Family {
    /// Which.
    pub metric: &'static Metric,
    /// One for each combination of labels.
    pub samples: Vec<Sample>,
}

/// The words of a sample's labels, in the order of [`Metric::labels`].
pub type Words = Vec<Cow<'static, str>>;

/// One value.
#[derive(Debug)]
pub struct Sample {
    words: Words,
    value: Value,
}

/// A value.
#[derive(Debug)]
pub enum Value {
    /// A whole number.
    Whole(u64),
    /// A number.
    Real(f64),
    /// A histogram.
    Times(Seen),
}

impl Family {
    /// A metric without labels.
    pub fn of(metric: &'static Metric, value: Value) -> Self {
        Self {
            metric,
            samples: vec![Sample {
                words: Vec::new(),
                value,
            }],
        }
    }

    /// A whole number without labels.
    pub fn whole(metric: &'static Metric, value: u64) -> Self {
        Self::of(metric, Value::Whole(value))
    }

    /// A metric with one label: a value for each word.
    pub fn by_word(metric: &'static Metric, values: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        let of = |(word, value)| (vec![Cow::Borrowed(word)], value);
        Self::by_words(metric, values.into_iter().map(of))
    }

    /// A metric with labels.
    pub fn by_words(metric: &'static Metric, values: impl IntoIterator<Item = (Words, Value)>) -> Self {
        let samples = values.into_iter().map(|(words, value)| Sample { words, value });
        Self {
            metric,
            samples: samples.collect(),
        }
    }
}

/// In which format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The text format of Prometheus, which everything reads.
    Text,
    /// OpenMetrics.
    OpenMetrics,
}

impl Format {
    /// What a reader takes, by its `Accept`.
    pub fn accepted(accept: &str) -> Self {
        match accept.contains("application/openmetrics-text") {
            true => Self::OpenMetrics,
            false => Self::Text,
        }
    }

    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes metrics.
pub fn write(families: Vec<Family>, format: Format) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(families)));
    let mut written = String::new();
    match format {
        Format::OpenMetrics => text::encode(&mut written, &registry)?,
        Format::Text => text::encode_registry(&mut written, &registry)?,
    }
    Ok(match format {
        Format::OpenMetrics => written,
        Format::Text => older(&written),
    })
}

/// The older text format: there, what describes a counter has its whole name.
fn older(written: &str) -> String {
    let mut text = String::with_capacity(written.len() + 1_024);
    // `HELP` stands before `TYPE`, which says whether it is a counter.
    let mut help: Option<&str> = None;
    for line in written.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            help = Some(described);
            continue;
        }
        let Some(typed) = line.strip_prefix("# TYPE ") else {
            text.extend([line, "\n"]);
            continue;
        };
        let (name, kind) = typed.split_once(' ').unwrap_or((typed, ""));
        let suffix = if kind == Kind::Counter.as_str() {
            COUNTER_SUFFIX
        } else {
            ""
        };
        if let Some((_, said)) = help.take().and_then(|help| help.split_once(' ')) {
            text.extend(["# HELP ", name, suffix, " ", said, "\n"]);
        }
        text.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
    }
    text
}

#[derive(Debug)]
struct Families(Vec<Family>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in &self.0 {
            let metric = family.metric;
            let name = metric.name.strip_suffix(COUNTER_SUFFIX).unwrap_or(metric.name);
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let mut described = encoder.encode_descriptor(name, metric.help, None, kind)?;
            for sample in &family.samples {
                let words = sample.words.iter().map(AsRef::as_ref);
                let labels: Vec<(&str, &str)> = metric.labels.iter().copied().zip(words).collect();
                if labels.is_empty() {
                    value(&mut described, metric.kind, &sample.value)?;
                } else {
                    value(&mut described.encode_family(&labels)?, metric.kind, &sample.value)?;
                }
            }
        }
        Ok(())
    }
}

fn value(encoder: &mut MetricEncoder<'_>, kind: Kind, value: &Value) -> fmt::Result {
    match (kind, value) {
        (Kind::Counter, Value::Whole(number)) => encoder.encode_counter::<NoLabelSet, _, u64>(number, None),
        (Kind::Counter, Value::Real(number)) => encoder.encode_counter::<NoLabelSet, _, u64>(number, None),
        (_, Value::Whole(number)) => encoder.encode_gauge(number),
        (_, Value::Real(number)) => encoder.encode_gauge(number),
        (_, Value::Times(Seen { buckets, sum })) => {
            // The library's word for a bucket without a bound is the greatest number.
            let buckets = buckets.iter();
            let buckets: Vec<_> = buckets
                .map(|(bound, count)| (bound.unwrap_or(f64::MAX), *count))
                .collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            encoder.encode_histogram::<NoLabelSet>(*sum, count, &buckets, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static COUNTED: Metric = Metric {
        name: "a_total",
        kind: Kind::Counter,
        labels: &["how"],
        help: "What was counted.",
    };
    static LEVEL: Metric = Metric {
        name: "b",
        kind: Kind::Gauge,
        labels: &[],
        help: "How high it is.",
    };
    static TIMES: Metric = Metric {
        name: "c_seconds",
        kind: Kind::Histogram,
        labels: &["stage"],
        help: "How long it took.",
    };

    fn families() -> Vec<Family> {
        let seen = Seen {
            buckets: vec![(Some(0.5), 1), (Some(1.0), 2), (None, 3)],
            sum: 7.5,
        };
        vec![
            Family::by_word(&COUNTED, [("well", Value::Whole(3)), ("badly", Value::Real(0.5))]),
            Family::whole(&LEVEL, 9),
            Family::by_word(&TIMES, [("send", Value::Times(seen))]),
        ]
    }

    #[test]
    fn the_older_format_names_counters_whole() {
        let expected = "\
# HELP a_total What was counted.
# TYPE a_total counter
a_total{how=\"well\"} 3
a_total{how=\"badly\"} 0.5
# HELP b How high it is.
# TYPE b gauge
b 9
# HELP c_seconds How long it took.
# TYPE c_seconds histogram
c_seconds_sum{stage=\"send\"} 7.5
c_seconds_count{stage=\"send\"} 6
c_seconds_bucket{le=\"0.5\",stage=\"send\"} 1
c_seconds_bucket{le=\"1.0\",stage=\"send\"} 3
c_seconds_bucket{le=\"+Inf\",stage=\"send\"} 6
";
        assert_eq!(write(families(), Format::Text).unwrap(), expected);
    }

    #[test]
    fn open_metrics_has_its_own_names_and_its_end() {
        let written = write(families(), Format::OpenMetrics).unwrap();
        assert!(
            written.starts_with("# HELP a What was counted.\n# TYPE a counter\na_total{how=\"well\"} 3\n")
        );
        assert!(written.ends_with("\n# EOF\n"));
        let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
        assert_eq!(Format::accepted(accept), Format::OpenMetrics);
        assert_eq!(Format::accepted("*/*"), Format::Text);
    }
}
