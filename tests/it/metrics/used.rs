//! What `deploy` and `docs` say about metrics: every name, label and word is one that a running router
//! prints, and every metric and alert has its row in `docs/metrics.md`.

use std::collections::BTreeSet;
use std::path::Path;

use hookway::metrics::names;
use serde_json::Value;

use super::exposition::Exposition;
use crate::support::TestRouter;

/// Where the table of metrics begins.
const MARK: &str = "<!-- metrics -->\n";
/// Labels that Prometheus adds to what it reads.
const ADDED: [&str; 3] = ["job", "instance", "le"];

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A metric as an expression uses it: its name, and its matchers as label, operator and text.
type Use = (String, Vec<(String, String, String)>);

/// The metrics of the router that a text names.
fn uses(text: &str) -> Vec<Use> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_word) {
        rest = &rest[start..];
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        rest = behind;
        if word.starts_with("hookway_") || word.starts_with("process_") {
            let inside = behind.strip_prefix('{').and_then(|inside| inside.split_once('}'));
            let matchers = inside.map(|(inside, _)| matchers(inside)).unwrap_or_default();
            found.push((word.to_owned(), matchers));
        }
    }
    found
}

fn matchers(inside: &str) -> Vec<(String, String, String)> {
    let one = |text: &str| {
        let (label, value) = text
            .split_once('=')
            .unwrap_or_else(|| panic!("no matcher: {text}"));
        let (not, label) = match label.strip_suffix('!') {
            Some(label) => ("!", label),
            None => ("", label),
        };
        let (like, value) = match value.strip_prefix('~') {
            Some(value) => ("~", value),
            None => ("", value),
        };
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let value = value.unwrap_or_else(|| panic!("no text: {text}"));
        (label.trim().to_owned(), format!("{not}={like}"), value.to_owned())
    };
    inside.split(',').map(one).collect()
}

/// What is wrong with the metrics that a text names.
fn faults(text: &str, printed: &Exposition) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, matchers) in uses(text) {
        let suffixes = ["", "_bucket", "_sum", "_count"];
        let base = suffixes.iter().filter_map(|suffix| name.strip_suffix(suffix));
        let Some(metric) = base.into_iter().find_map(|base| {
            let known = names::ALL.iter().find(|metric| metric.name == base)?;
            let is_histogram = known.kind.as_str() == "histogram";
            (is_histogram || base == name).then_some(known)
        }) else {
            faults.push(format!("there is no {name}"));
            continue;
        };
        let words = printed.words_of(metric.name);
        for (label, _, value) in matchers {
            if ADDED.contains(&label.as_str()) {
                continue;
            }
            for word in value.split('|') {
                if !words.contains(&(label.as_str(), word)) {
                    faults.push(format!("{name} has no {label}=\"{word}\""));
                }
            }
        }
    }
    faults
}

async fn printed() -> Exposition {
    let router = TestRouter::start().await;
    super::read(&router).await
}

fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets
        .map(|target| target["expr"].as_str().expect("an expression").to_owned())
        .collect()
}

#[tokio::test]
async fn alert_rules_name_only_what_is_printed() {
    let printed = printed().await;
    let rules = file("deploy/prometheus/alerts.yml");
    assert_eq!(faults(&rules, &printed), [""; 0]);
    assert_eq!(
        faults(&file("deploy/prometheus/alerts_test.yml"), &printed),
        [""; 0]
    );
    assert!(uses(&rules).len() > 20);
}

#[tokio::test]
async fn the_dashboard_names_only_what_is_printed() {
    let printed = printed().await;
    let dashboard: Value = serde_json::from_str(&file("deploy/grafana/hookway.json")).unwrap();
    let expressions = expressions(&dashboard);
    assert!(expressions.len() > 40, "{}", expressions.len());
    for expression in &expressions {
        assert_eq!(faults(expression, &printed), [""; 0], "{expression}");
        assert!(!uses(expression).is_empty(), "{expression}");
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let query = variable["definition"].as_str().unwrap_or_default();
        assert_eq!(faults(query, &printed), [""; 0], "{query}");
    }
}

#[test]
fn panels_have_numbers_of_their_own_and_lie_beside_each_other() {
    let dashboard: Value = serde_json::from_str(&file("deploy/grafana/hookway.json")).unwrap();
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}", panel["title"]);
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{}", panel["title"]);
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{} lies on another", panel["title"]);
            }
        }
    }
}

#[tokio::test]
async fn what_is_not_printed_is_found() {
    let printed = printed().await;
    for (wrong, expected) in [
        ("hookway_event_total", "there is no hookway_event_total"),
        (
            "rate(hookway_ready_bucket[5m])",
            "there is no hookway_ready_bucket",
        ),
        (
            "hookway_stage_seconds_sum{stage=\"comit\"}",
            "hookway_stage_seconds_sum has no stage=\"comit\"",
        ),
        (
            "hookway_attempts_total{code=\"2xx\",job=\"x\"}",
            "hookway_attempts_total has no code=\"2xx\"",
        ),
        (
            "hookway_attempts_total{result=~\"dns|tsl\"}",
            "hookway_attempts_total has no result=\"tsl\"",
        ),
    ] {
        assert_eq!(faults(wrong, &printed), [expected]);
    }
}

fn table() -> String {
    let mut text = String::from("\n| metric | kind | labels | what it says |\n|---|---|---|---|\n");
    for metric in names::ALL {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        text.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            metric.name,
            metric.kind.as_str(),
            labels.join(", "),
            metric.help
        ));
    }
    text.push('\n');
    text
}

#[test]
fn every_metric_is_in_the_guide_to_metrics() {
    let guide = file("docs/metrics.md");
    let (_, behind) = guide.split_once(MARK).expect("the mark");
    let expected = table();
    assert!(
        behind.starts_with(&expected),
        "docs/metrics.md must have this table behind {MARK}{expected}"
    );
}

#[test]
fn every_alert_is_in_the_guide_to_metrics_and_no_other() {
    let rules = file("deploy/prometheus/alerts.yml");
    let alerts: BTreeSet<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() > 15, "{alerts:?}");
    let guide = file("docs/metrics.md");
    let rows = guide
        .lines()
        .filter_map(|line| line.strip_prefix("| `Hookway")?.split_once('`'));
    let rows: BTreeSet<String> = rows.map(|(name, _)| format!("Hookway{name}")).collect();
    assert_eq!(rows, alerts.into_iter().map(str::to_owned).collect());
}
