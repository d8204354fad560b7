//! The table of status classes: what an answer means, as data.
//!
//! A table is a list of rules, first match wins, and one class for what no rule names. A rule asks for a
//! status and may ask for something in the body too. Beside the rules the table says what no answer at
//! all means, whether a `Retry-After` is heeded, and when an endpoint that is off is asked again.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::answer::{Answer, Condition, ConditionFault, JsonCondition, JsonPlace};
use super::statuses::Statuses;

/// Most rules of one table. The default has five; a service with more special cases than this wants a
/// plugin that reads the body.
pub const RULES_MAX: usize = 64;
/// Longest text for people in a rule, in bytes.
pub const REASON_BYTES_MAX: usize = 256;
/// Shortest time after which a held endpoint may be asked again: a probe is a whole delivery.
pub const HOLD_PROBE_SECONDS_MIN: u32 = 10;
/// Longest time after which a held endpoint may be asked again: a day.
pub const HOLD_PROBE_SECONDS_MAX: u32 = 24 * 60 * 60;

/// What a status means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Accepted.
    Delivered,
    /// Worth another try.
    Retry,
    /// Worth another try that is not counted.
    Throttle,
    /// Never accepted.
    Fail,
    /// The endpoint is off for now.
    Hold,
    /// The endpoint is gone.
    Disable,
}

/// What no answer at all means: no address, no connection, no TLS, no answer in time, or no HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// Worth another try.
    #[default]
    Retry,
    /// Given up.
    Fail,
}

/// What a `Retry-After` does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// The next attempt is made at the later of the schedule's time and the one that was asked for.
    #[default]
    Later,
    /// Nothing: the schedule alone counts.
    Ignore,
}

/// An answer and what it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenRule", into = "WrittenRule")]
pub struct Rule {
    /// The statuses: `404`, `5xx`, `520-530`, any of them joined by commas.
    pub status: Statuses,
    /// What the body must have.
    pub condition: Option<Condition>,
    /// What it means.
    pub class: Class,
    /// What it means, for people.
    pub reason: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table of status, class and perhaps body, body_contains, json, reason"
)]
struct WrittenRule {
    status: Statuses,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_contains: Option<String>,
    class: Class,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    json: Option<JsonCondition>,
}

/// What is wrong with a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClassesFault {
    /// Too many rules.
    #[error("more than {RULES_MAX} rules")]
    TooMany,
    /// Nothing is ever delivered.
    #[error("no answer means delivered; name at least one, mostly 2xx")]
    NothingDelivered,
    /// A question that cannot be asked.
    #[error("what a rule asks of the body: {0}")]
    Condition(#[source] ConditionFault),
    /// A reason that cannot be shown.
    #[error("a rule's reason must have 1 to {REASON_BYTES_MAX} bytes and no control characters")]
    Reason,
    /// A probe too often or too rarely.
    #[error("hold_probe_seconds must lie between {HOLD_PROBE_SECONDS_MIN} and {HOLD_PROBE_SECONDS_MAX}")]
    HoldProbe,
}

/// Which answers mean what. The default is the table of the reference page: 2xx delivered, redirects
/// and the client's own mistakes fail, 410 disables, 429 throttles, everything else is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Classes {
    rules: Vec<Rule>,
    otherwise: Class,
    pub(super) network: Network,
    pub(super) retry_after: RetryAfter,
    pub(super) retry_after_json: Option<JsonPlace>,
    hold_probe_seconds: Option<u32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with rules and otherwise")]
struct Written {
    #[serde(default = "retry")]
    otherwise: Class,
    #[serde(default)]
    network: Network,
    #[serde(default)]
    retry_after: RetryAfter,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after_json: Option<JsonPlace>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hold_probe_seconds: Option<u32>,
    #[serde(default = "usual_rules")]
    rules: Vec<Rule>,
}

/// A status that nobody listed is tried again: giving up early loses a delivery, another try does not.
fn retry() -> Class {
    Class::Retry
}

/// The rules of a table that gives none of its own.
fn usual_rules() -> Vec<Rule> {
    let rule = |ranges: &[RangeInclusive<u16>], class| Rule {
        status: Statuses::of(ranges),
        condition: None,
        class,
        reason: None,
    };
    let refused = [400, 401, 403, 404, 405, 406, 411, 413, 414, 415, 422].map(|status| status..=status);
    vec![
        rule(&[200..=299], Class::Delivered),
        rule(&[429..=429], Class::Throttle),
        rule(&[410..=410], Class::Disable),
        rule(&[300..=399], Class::Fail),
        rule(&refused, Class::Fail),
    ]
}

impl Classes {
    /// A table; rules are asked in order.
    pub fn new(rules: Vec<Rule>, otherwise: Class) -> Result<Self, ClassesFault> {
        if rules.len() > RULES_MAX {
            return Err(ClassesFault::TooMany);
        }
        let classes = Self {
            rules,
            otherwise,
            ..Self::default()
        };
        if (100..=999).any(|status| classes.may_deliver(status)) {
            Ok(classes)
        } else {
            Err(ClassesFault::NothingDelivered)
        }
    }

    /// What an answer with this status means, and the rule's own words for it.
    pub(super) fn class_of(&self, status: u16, answer: &Answer<'_>) -> (Class, Option<&str>) {
        let mut rules = self.rules.iter().filter(|rule| rule.status.contains(status));
        let asked = rules.find(|rule| rule.condition.as_ref().is_none_or(|asked| asked.holds(answer)));
        asked.map_or((self.otherwise, None), |rule| {
            (rule.class, rule.reason.as_deref())
        })
    }

    /// When a held endpoint is asked again, if by itself.
    pub(super) fn hold_probe(&self) -> Option<Duration> {
        self.hold_probe_seconds
            .map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// Whether there is a body with which this status means delivered.
    fn may_deliver(&self, status: u16) -> bool {
        for rule in self.rules.iter().filter(|rule| rule.status.contains(status)) {
            if rule.class == Class::Delivered || rule.condition.is_none() {
                return rule.class == Class::Delivered;
            }
        }
        self.otherwise == Class::Delivered
    }
}

impl Default for Classes {
    fn default() -> Self {
        Self {
            rules: usual_rules(),
            otherwise: Class::Retry,
            network: Network::default(),
            retry_after: RetryAfter::default(),
            retry_after_json: None,
            hold_probe_seconds: None,
        }
    }
}

impl TryFrom<WrittenRule> for Rule {
    type Error = ClassesFault;

    fn try_from(written: WrittenRule) -> Result<Self, ClassesFault> {
        let shown = |text: &String| {
            (1..=REASON_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
        };
        if !written.reason.as_ref().is_none_or(shown) {
            return Err(ClassesFault::Reason);
        }
        let condition = Condition::of(written.body, written.body_contains, written.json);
        Ok(Self {
            status: written.status,
            condition: condition.map_err(ClassesFault::Condition)?,
            class: written.class,
            reason: written.reason,
        })
    }
}

impl From<Rule> for WrittenRule {
    fn from(rule: Rule) -> Self {
        let (body, body_contains, json) = match rule.condition {
            None => (None, None, None),
            Some(Condition::Equals(text)) => (Some(text), None, None),
            Some(Condition::Contains(text)) => (None, Some(text), None),
            Some(Condition::Json(json)) => (None, None, Some(json)),
        };
        Self {
            status: rule.status,
            body,
            body_contains,
            class: rule.class,
            reason: rule.reason,
            json,
        }
    }
}

impl TryFrom<Written> for Classes {
    type Error = ClassesFault;

    fn try_from(written: Written) -> Result<Self, ClassesFault> {
        let probes = HOLD_PROBE_SECONDS_MIN..=HOLD_PROBE_SECONDS_MAX;
        if !written
            .hold_probe_seconds
            .is_none_or(|seconds| probes.contains(&seconds))
        {
            return Err(ClassesFault::HoldProbe);
        }
        Ok(Self {
            network: written.network,
            retry_after: written.retry_after,
            retry_after_json: written.retry_after_json,
            hold_probe_seconds: written.hold_probe_seconds,
            ..Self::new(written.rules, written.otherwise)?
        })
    }
}

impl From<Classes> for Written {
    fn from(classes: Classes) -> Self {
        Self {
            otherwise: classes.otherwise,
            network: classes.network,
            retry_after: classes.retry_after,
            retry_after_json: classes.retry_after_json,
            hold_probe_seconds: classes.hold_probe_seconds,
            rules: classes.rules,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Classes {
        serde_json::from_str(text).unwrap()
    }

    fn class(classes: &Classes, status: u16, body: &str) -> Class {
        classes.class_of(status, &Answer::new(body.as_bytes(), false)).0
    }

    #[test]
    fn a_table_is_data_and_the_first_rule_wins() {
        let classes = table(
            r#"{"rules":[{"status":"404","class":"hold"},{"status":"2xx,302","class":"delivered"},
            {"status":"4xx","class":"fail"}]}"#,
        );
        assert_eq!(class(&classes, 404, ""), Class::Hold);
        assert_eq!(class(&classes, 302, ""), Class::Delivered);
        assert_eq!(class(&classes, 403, ""), Class::Fail);
        assert_eq!(class(&classes, 500, ""), Class::Retry);
        let again = table(&serde_json::to_string(&classes).unwrap());
        assert_eq!(again, classes);
    }

    #[test]
    fn rules_may_ask_for_the_body() {
        let classes = table(
            r#"{"otherwise":"fail","network":"fail","retry_after":"ignore","retry_after_json":"/retry_after",
            "hold_probe_seconds":300,"rules":[
            {"status":"200","body":"ok","class":"delivered"},
            {"status":"200","json":{"pointer":"/ok","equals":false},"class":"fail","reason":"it says no"},
            {"status":"400","body_contains":"Queue is full","class":"retry"},
            {"status":"2xx","class":"retry"}]}"#,
        );
        assert_eq!(
            class(
                &classes, 200, "ok
"
            ),
            Class::Delivered
        );
        assert_eq!(class(&classes, 200, r#"{"ok":false}"#), Class::Fail);
        assert_eq!(class(&classes, 200, r#"{"ok":true}"#), Class::Retry);
        assert_eq!(class(&classes, 400, "Queue is full."), Class::Retry);
        assert_eq!(class(&classes, 400, "Bad Request"), Class::Fail);
        let said = Answer::new(br#"{"ok":false}"#, false);
        assert_eq!(classes.class_of(200, &said), (Class::Fail, Some("it says no")));
        assert_eq!(classes.hold_probe(), Some(Duration::from_secs(300)));
        assert_eq!(table(&serde_json::to_string(&classes).unwrap()), classes);
        let text = toml::to_string(&classes).unwrap();
        assert_eq!(toml::from_str::<Classes>(&text).unwrap(), classes, "{text}");
    }

    #[test]
    fn a_table_without_rules_has_the_usual_ones() {
        let classes = table(r#"{"network":"fail"}"#);
        assert_eq!(classes.rules, Classes::default().rules);
        assert_eq!(table("{}"), Classes::default());
    }

    #[test]
    fn tables_that_make_no_sense_are_refused() {
        assert_eq!(
            Classes::new(Vec::new(), Class::Retry),
            Err(ClassesFault::NothingDelivered)
        );
        let rule = Rule {
            status: "200".parse().unwrap(),
            condition: None,
            class: Class::Delivered,
            reason: None,
        };
        assert_eq!(
            Classes::new(vec![rule; RULES_MAX + 1], Class::Fail),
            Err(ClassesFault::TooMany)
        );
        let long = "x".repeat(513);
        let rule = |rest: &str| format!(r#"{{"rules":[{{"status":"2xx","class":"delivered",{rest}}}]}}"#);
        for (text, expected) in [
            (
                r#"{"rules":[{"status":"2xx","class":"fail"}]}"#.to_owned(),
                "delivered",
            ),
            // What stands before hides it.
            (
                r#"{"rules":[{"status":"2xx","class":"fail"},{"status":"200","class":"delivered"}]}"#
                    .to_owned(),
                "delivered",
            ),
            (rule(r#""body":"a","body_contains":"b""#), "not several"),
            (rule(r#""body_contains":"""#), "empty"),
            (rule(&format!(r#""body":"{long}""#)), "512"),
            (rule(&format!(r#""body_contains":"{long}""#)), "512"),
            (rule(r#""json":{"pointer":"ok","equals":true}"#), "JSON Pointer"),
            (
                rule(r#""json":{"pointer":"/ok","equals":null}"#),
                "text, a number",
            ),
            (rule(r#""json":{"pointer":"/ok","equals":[1]}"#), "text, a number"),
            (rule(r#""json":{"pointer":"/ok"}"#), "equals"),
            (rule(r#""reason":"""#), "reason"),
            (rule(r#""reason":"a\nb""#), "reason"),
            (rule(r#""colour":1"#), "unknown field"),
            (r#"{"hold_probe_seconds":9}"#.to_owned(), "hold_probe_seconds"),
            (r#"{"hold_probe_seconds":86401}"#.to_owned(), "hold_probe_seconds"),
            (r#"{"network":"hold"}"#.to_owned(), "unknown variant"),
            (r#"{"retry_after_json":"x"}"#.to_owned(), "JSON Pointer"),
            (
                r#"{"rules":[{"status":"2yy","class":"delivered"}]}"#.to_owned(),
                "2yy",
            ),
        ] {
            let fault = serde_json::from_str::<Classes>(&text).unwrap_err().to_string();
            assert!(fault.contains(expected), "{text}: {fault}");
        }
        // A body may decide, so that a status with a rule before may still be delivered.
        table(r#"{"otherwise":"fail","rules":[{"status":"200","body":"ok","class":"delivered"}]}"#);
    }
}
