//! Sets of HTTP statuses, written as people write them: `404`, `5xx`, `520-530`, joined by commas.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A set of statuses, in its text form a list of `404`, `5xx` and `520-530`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

/// A text that is no set of statuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a status such as 404, 5xx or 520-530, joined by commas")]
pub struct StatusesFault {
    /// What was written.
    text: String,
}

impl Statuses {
    /// The statuses of these ranges.
    pub(super) fn of(ranges: &[RangeInclusive<u16>]) -> Self {
        Self(ranges.to_vec())
    }

    /// Whether a status belongs to the set.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl FromStr for Statuses {
    type Err = StatusesFault;

    fn from_str(text: &str) -> Result<Self, StatusesFault> {
        let ranges: Option<Vec<_>> = text.split(',').map(|part| parse_range(part.trim())).collect();
        ranges.map(Self).ok_or_else(|| StatusesFault {
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
}
