//! The table of status classes: which HTTP statuses mean what, as data.
//!
//! A table is a list of rules, first match wins, and one class for what no rule names. Rules are
//! written as people write them: `404`, `5xx`, `520-530`.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Most rules of one table. The default has four; a service with more special cases than this wants a
/// plugin that reads the body.
pub const RULES_MAX: usize = 64;

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

/// Some statuses and what they mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The statuses: `404`, `5xx`, `520-530`, any of them joined by commas.
    pub status: Statuses,
    /// What they mean.
    pub class: Class,
}

/// A set of statuses, in its text form a list of `404`, `5xx` and `520-530`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

/// What is wrong with a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClassesFault {
    /// A set of statuses that cannot be read.
    #[error("`{text}` is not a status such as 404, 5xx or 520-530, joined by commas")]
    Statuses {
        /// What was written.
        text: String,
    },
    /// Too many rules.
    #[error("more than {RULES_MAX} rules")]
    TooMany,
    /// Nothing is ever delivered.
    #[error("no status means delivered; name at least one, mostly 2xx")]
    NothingDelivered,
}

/// Which statuses mean what. The default is the table of the reference page: 2xx delivered, redirects
/// and the client's own mistakes fail, 410 disables, 429 throttles, everything else is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Classes {
    rules: Vec<Rule>,
    otherwise: Class,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    rules: Vec<Rule>,
    #[serde(default = "retry")]
    otherwise: Class,
}

/// A status that nobody listed is tried again: giving up early loses a delivery, another try does not.
fn retry() -> Class {
    Class::Retry
}

impl Classes {
    /// A table; rules are asked in order.
    pub fn new(rules: Vec<Rule>, otherwise: Class) -> Result<Self, ClassesFault> {
        if rules.len() > RULES_MAX {
            return Err(ClassesFault::TooMany);
        }
        let classes = Self { rules, otherwise };
        if (100..=999).any(|status| classes.class_of(status) == Class::Delivered) {
            Ok(classes)
        } else {
            Err(ClassesFault::NothingDelivered)
        }
    }

    /// What this status means.
    pub fn class_of(&self, status: u16) -> Class {
        let rule = self.rules.iter().find(|rule| rule.status.contains(status));
        rule.map_or(self.otherwise, |rule| rule.class)
    }
}

impl Default for Classes {
    fn default() -> Self {
        let rule = |range: &[RangeInclusive<u16>], class| Rule {
            status: Statuses(range.to_vec()),
            class,
        };
        let refused = [400, 401, 403, 404, 405, 406, 411, 413, 414, 415, 422].map(|status| status..=status);
        Self {
            rules: vec![
                rule(&[200..=299], Class::Delivered),
                rule(&[429..=429], Class::Throttle),
                rule(&[410..=410], Class::Disable),
                rule(&[300..=399], Class::Fail),
                rule(&refused, Class::Fail),
            ],
            otherwise: Class::Retry,
        }
    }
}

impl TryFrom<Written> for Classes {
    type Error = ClassesFault;

    fn try_from(written: Written) -> Result<Self, ClassesFault> {
        Self::new(written.rules, written.otherwise)
    }
}

impl From<Classes> for Written {
    fn from(classes: Classes) -> Self {
        Self {
            rules: classes.rules,
            otherwise: classes.otherwise,
        }
    }
}

impl Statuses {
    /// Whether a status belongs to the set.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl FromStr for Statuses {
    type Err = ClassesFault;

    fn from_str(text: &str) -> Result<Self, ClassesFault> {
        let ranges: Option<Vec<_>> = text.split(',').map(|part| parse_range(part.trim())).collect();
        ranges.map(Self).ok_or_else(|| ClassesFault::Statuses {
            text: text.chars().take(80).collect(),
        })
    }
}

fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    if let Some(hundreds) = text.strip_suffix("xx") {
        let hundreds = hundreds.parse().ok().filter(|h: &u16| (1..=9).contains(h))?;
        return Some(hundreds * 100..=hundreds * 100 + 99);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (parse_status(first)?, parse_status(last)?);
    (first <= last).then_some(first..=last)
}

fn parse_status(text: &str) -> Option<u16> {
    let status = text.trim().parse().ok()?;
    (100..=999).contains(&status).then_some(status)
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, range) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            let (first, last) = (range.start(), range.end());
            match (first, last) {
                (first, last) if first == last => write!(f, "{comma}{first}")?,
                (first, last) if first % 100 == 0 && *last == first + 99 => {
                    write!(f, "{comma}{}xx", first / 100)?
                }
                (first, last) => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl Serialize for Statuses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_statuses() {
        for text in ["404", "5xx", "520-530", "200,202,3xx,520-530"] {
            assert_eq!(text.parse::<Statuses>().unwrap().to_string(), text);
        }
        for text in [
            "", "4x", "0xx", "10xx", "99", "1000", "500-400", "200,", "a", "-1", "2xx-3xx",
        ] {
            assert!(text.parse::<Statuses>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_table_is_data_and_the_first_rule_wins() {
        let text = r#"{"rules":[{"status":"404","class":"hold"},{"status":"2xx,302","class":"delivered"},
            {"status":"4xx","class":"fail"}]}"#;
        let classes: Classes = serde_json::from_str(text).unwrap();
        assert_eq!(classes.class_of(404), Class::Hold);
        assert_eq!(classes.class_of(302), Class::Delivered);
        assert_eq!(classes.class_of(403), Class::Fail);
        assert_eq!(classes.class_of(500), Class::Retry);
        let again: Classes = serde_json::from_str(&serde_json::to_string(&classes).unwrap()).unwrap();
        assert_eq!(again, classes);
    }

    #[test]
    fn tables_that_make_no_sense_are_refused() {
        assert_eq!(
            Classes::new(Vec::new(), Class::Retry),
            Err(ClassesFault::NothingDelivered)
        );
        let rule = Rule {
            status: "200".parse().unwrap(),
            class: Class::Delivered,
        };
        assert_eq!(
            Classes::new(vec![rule; RULES_MAX + 1], Class::Fail),
            Err(ClassesFault::TooMany)
        );
    }
}
