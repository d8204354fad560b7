//! A small and strict reader of the text format of Prometheus (version 0.0.4): what it does not know is an
//! error.
//!
//! It also holds what the format asks for beyond lines: a family is described before its values and in one
//! piece, no series is there twice, counters are no negative numbers, and a histogram's buckets grow up to
//! its count.

use std::collections::{BTreeMap, BTreeSet};

/// What kind of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

type Labels = Vec<(String, String)>;

/// What was read.
#[derive(Debug)]
pub struct Exposition {
    families: BTreeMap<String, (Kind, String)>,
    samples: BTreeMap<(String, Labels), f64>,
}

fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether a series belongs to a metric.
fn is_of(sample: &str, metric: &str) -> bool {
    let suffix = sample.strip_prefix(metric);
    suffix.is_some_and(|suffix| ["", "_bucket", "_sum", "_count"].contains(&suffix))
}

/// The name, the labels and the value of a line.
fn sample(line: &str) -> (String, Labels, f64) {
    let (name, rest) = match line.find(['{', ' ']) {
        Some(end) => line.split_at(end),
        None => panic!("no value: {line}"),
    };
    assert!(is_name(name), "{line}");
    let mut labels = Labels::new();
    let mut rest = rest;
    if let Some(mut inner) = rest.strip_prefix('{') {
        loop {
            let (label, value) = inner
                .split_once("=\"")
                .unwrap_or_else(|| panic!("no label: {line}"));
            assert!(is_name(label), "{line}");
            let (value, behind) = value.split_once('"').unwrap_or_else(|| panic!("no end: {line}"));
            assert!(!value.contains(['\\', '\n']), "{line}");
            labels.push((label.to_owned(), value.to_owned()));
            match behind.strip_prefix(',') {
                Some(next) => inner = next,
                None => {
                    rest = behind
                        .strip_prefix('}')
                        .unwrap_or_else(|| panic!("no end: {line}"));
                    break;
                }
            }
        }
    }
    let value = rest
        .strip_prefix(' ')
        .unwrap_or_else(|| panic!("no space: {line}"));
    let number = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
    assert!(f64::is_finite(number), "{line}");
    (name.to_owned(), labels, number)
}

impl Exposition {
    /// Reads a text.
    pub fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n') && !text.contains("\n\n") && !text.contains('\r'));
        let mut read = Self {
            families: BTreeMap::new(),
            samples: BTreeMap::new(),
        };
        let mut help: Option<(String, String)> = None;
        let mut current: Option<(String, Kind)> = None;
        for line in text.lines() {
            if let Some(described) = line.strip_prefix("# HELP ") {
                let (name, said) = described.split_once(' ').expect("a text");
                assert!(help.is_none(), "{line}: the one before has no type");
                help = Some((name.to_owned(), said.to_owned()));
            } else if let Some(typed) = line.strip_prefix("# TYPE ") {
                let (name, kind) = typed.split_once(' ').expect("a type");
                let kind = match kind {
                    "counter" => Kind::Counter,
                    "gauge" => Kind::Gauge,
                    "histogram" => Kind::Histogram,
                    other => panic!("no type: {other}"),
                };
                let (of, said) = help.take().expect("a text before its type");
                assert_eq!(of, name);
                let before = read.families.insert(name.to_owned(), (kind, said));
                assert!(before.is_none(), "{name} is described twice");
                current = Some((name.to_owned(), kind));
            } else {
                assert!(!line.starts_with('#'), "{line}");
                let (name, labels, value) = sample(line);
                let (family, kind) = current.as_ref().expect("described before its values");
                let suffix = name.strip_prefix(family.as_str()).expect("in one piece");
                let fits = match kind {
                    Kind::Counter | Kind::Gauge => suffix.is_empty(),
                    Kind::Histogram => ["_bucket", "_sum", "_count"].contains(&suffix),
                };
                assert!(fits, "{line} in {family}");
                assert!(*kind == Kind::Gauge || value >= 0.0, "{line}");
                let before = read.samples.insert((name, labels), value);
                assert!(before.is_none(), "{line} is there twice");
            }
        }
        assert!(help.is_none());
        read.check_histograms();
        read
    }

    fn check_histograms(&self) {
        let mut last: BTreeMap<(String, Labels), (f64, f64)> = BTreeMap::new();
        let mut buckets: Vec<(String, Labels, f64, f64)> = Vec::new();
        for ((name, labels), value) in &self.samples {
            let Some(family) = name.strip_suffix("_bucket") else {
                continue;
            };
            let (bound, others): (Labels, Labels) =
                labels.iter().cloned().partition(|(label, _)| label == "le");
            let bound = match bound[0].1.as_str() {
                "+Inf" => f64::INFINITY,
                bound => bound.parse().expect("a bound"),
            };
            buckets.push((family.to_owned(), others, bound, *value));
        }
        buckets.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)).then(a.2.total_cmp(&b.2)));
        for (family, labels, bound, count) in buckets {
            let key = (family, labels);
            if let Some((_, before)) = last.get(&key) {
                assert!(count >= *before, "{key:?} sinks at {bound}");
            }
            last.insert(key, (bound, count));
        }
        for ((family, labels), (bound, count)) in last {
            assert_eq!(bound, f64::INFINITY, "{family} {labels:?}");
            let all = self.samples.get(&(format!("{family}_count"), labels.clone()));
            assert_eq!(all, Some(&count), "{family} {labels:?}");
            assert!(self.samples.contains_key(&(format!("{family}_sum"), labels)));
        }
    }

    /// One value.
    #[track_caller]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let owned = |(label, value): &(&str, &str)| ((*label).to_owned(), (*value).to_owned());
        let key = (name.to_owned(), labels.iter().map(owned).collect::<Labels>());
        let value = self.samples.get(&key);
        *value.unwrap_or_else(|| panic!("no {name} with {labels:?}"))
    }

    /// What is said of a metric.
    pub fn family(&self, name: &str) -> Option<(Kind, &str)> {
        self.families.get(name).map(|(kind, help)| (*kind, help.as_str()))
    }

    /// All metrics.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.families.keys().map(String::as_str)
    }

    /// The labels of each value of a metric, without bounds.
    pub fn labels_of(&self, name: &str) -> Vec<Vec<&str>> {
        let samples = self.samples.keys().filter(|(sample, _)| is_of(sample, name));
        let labels = samples.map(|(_, labels)| {
            let labels = labels.iter().map(|(label, _)| label.as_str());
            labels.filter(|label| *label != "le").collect()
        });
        labels.collect()
    }

    /// Every label of a metric with each of its words.
    pub fn words_of(&self, name: &str) -> BTreeSet<(&str, &str)> {
        let samples = self.samples.keys().filter(|(sample, _)| is_of(sample, name));
        let labels = samples.flat_map(|(_, labels)| labels);
        labels
            .map(|(label, word)| (label.as_str(), word.as_str()))
            .collect()
    }

    /// Every series, without its value.
    pub fn series(&self) -> BTreeSet<(String, Labels)> {
        self.samples.keys().cloned().collect()
    }

    /// Counters only grow.
    pub fn only_grew_to(&self, later: &Self) {
        for ((name, labels), value) in &self.samples {
            if self
                .families
                .get(name)
                .is_some_and(|(kind, _)| *kind == Kind::Counter)
            {
                let now = later.samples.get(&(name.clone(), labels.clone()));
                assert!(
                    now >= Some(value),
                    "{name} {labels:?} went from {value} to {now:?}"
                );
            }
        }
    }
}

#[test]
fn the_reader_refuses_what_is_not_the_format() {
    let good = "# HELP a_total It.\n# TYPE a_total counter\na_total{x=\"y\"} 1\n";
    assert_eq!(Exposition::parse(good).value("a_total", &[("x", "y")]), 1.0);
    let described = "# HELP a It.\n# TYPE a gauge\n";
    let bad = [
        "a 1\n".to_owned(),
        "# TYPE a gauge\na 1\n".to_owned(),
        format!("{described}b 1\n"),
        format!("{described}a 1\na 1\n"),
        format!("{described}a{{x=y}} 1\n"),
        format!("{described}a{{}} 1\n"),
        format!("{described}a\n"),
        format!("{described}a 1"),
        format!("{described}a one\n"),
        format!("{described}a NaN\n"),
        format!("{described}# EOF\n"),
        good.replace(" 1\n", " -1\n"),
        "# HELP h It.\n# TYPE h histogram\nh_sum 1\nh_count 2\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\n"
            .to_owned(),
        "# HELP h It.\n# TYPE h histogram\nh_sum 1\nh_count 1\nh_bucket{le=\"1\"} 1\n".to_owned(),
        "# HELP h It.\n# TYPE h histogram\nh_sum 1\nh_count 1\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\n"
            .to_owned(),
    ];
    for text in bad {
        let read = std::panic::catch_unwind(|| Exposition::parse(&text));
        assert!(read.is_err(), "it was read: {text}");
    }
}
