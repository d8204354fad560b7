//! Looking at everything that is stored, in strides: each is bounded work on one state of the database, says
//! what it found, and says where the next begins. So nobody holds a state for long while a router serves, and
//! nobody waits long for an answer.
//!
//! A [`Place`] is a text that a caller hands back as it came; whatever else it says is refused or finds
//! nothing. [`Recount`] adds strides up to one [`Check`] for each [`Area`].

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Check;

/// Faults that are shown of one area; the others are counted.
pub const FAULTS_SHOWN_MAX: usize = 10;

/// What is gone through, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// Tables and indexes, as the database sees them.
    Structure,
    /// What waits to be delivered has everything that it needs.
    Ledger,
    /// `created = delivered + filtered + failed + pending`, counted again from the rows.
    Counters,
    /// Stored bytes are what was stored.
    Payloads,
}

impl Area {
    /// Every one, in the order in which they are gone through.
    pub const ALL: [Self; 4] = [Self::Structure, Self::Ledger, Self::Counters, Self::Payloads];

    /// The name of its check.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Structure => "structure",
            Self::Ledger => "ledger",
            Self::Counters => "counters",
            Self::Payloads => "payloads",
        }
    }

    /// What so many of what was looked at are, where all is well.
    fn well(self, looked_at: u64) -> String {
        match self {
            Self::Structure => format!("{looked_at} tables and their indexes are whole"),
            Self::Ledger => format!("{looked_at} waiting requests have everything that they need"),
            Self::Counters => format!("the counters of {looked_at} subscriptions agree with the rows"),
            Self::Payloads => {
                format!("{looked_at} stored events, requests, outcomes and plugins are what was stored")
            }
        }
    }

    /// What to do where it is not well.
    const fn todo(self) -> &'static str {
        match self {
            Self::Structure => {
                "the file is damaged: stop the router, keep a copy of the data directory, look at the disk, \
                 and restore the newest backup"
            }
            Self::Ledger => {
                "these deliveries cannot be sent; disable and enable their subscription to have them tried. Where \
                 their row is damaged, look at the disk and the memory of this machine, and restore the newest \
                 backup; else report it with this text"
            }
            Self::Counters => {
                "only the counters are wrong, no delivery is lost by it; keep a copy of the data directory and \
                 report it with this text"
            }
            Self::Payloads => {
                "damaged bytes are never sent, but the disk or the memory of this machine is at fault: look \
                 at both, and restore the newest backup for what is lost"
            }
        }
    }
}

/// What a payload belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// An event.
    Event,
    /// A request that plugins made.
    Request,
    /// An attempt and its answer.
    Attempt,
    /// A run of a plugin.
    Run,
    /// A delivery that has ended.
    Delivery,
    /// A request to a source.
    Reception,
}

impl Payload {
    /// Every kind, in the order in which they are gone through.
    pub const ALL: [Self; 6] = [
        Self::Event,
        Self::Request,
        Self::Attempt,
        Self::Run,
        Self::Delivery,
        Self::Reception,
    ];

    /// The word in a [`Place`], and the kind of the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Request => "request",
            Self::Attempt => "attempt",
            Self::Run => "run",
            Self::Delivery => "delivery",
            Self::Reception => "reception",
        }
    }

    /// The kind behind this one, in the same segment.
    pub fn next(self) -> Option<Self> {
        let mut behind = Self::ALL.into_iter().skip_while(|kind| *kind != self);
        behind.nth(1)
    }
}

/// Where a stride begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Place {
    /// Behind this table, by name.
    Structure {
        /// The table; empty for the first.
        after: String,
    },
    /// Behind this row of a table that is too long for one stride.
    Rows {
        /// The table.
        table: String,
        /// What its rows are in the order of.
        after: (i64, i64),
    },
    /// Behind this row of the ledger.
    Ledger {
        /// The number of the request.
        after: i64,
    },
    /// At the counters.
    Counters,
    /// Behind this component.
    Components {
        /// The number of the row.
        after: i64,
    },
    /// Behind this payload.
    Payloads {
        /// The segment that it is in.
        segment: i64,
        /// What it belongs to.
        payload: Payload,
        /// The number of what it belongs to.
        after: i64,
    },
}

impl Place {
    /// Where the first stride begins.
    pub const fn first() -> Self {
        Self::Structure { after: String::new() }
    }

    /// What is gone through there.
    pub const fn area(&self) -> Area {
        match self {
            Self::Structure { .. } | Self::Rows { .. } => Area::Structure,
            Self::Ledger { .. } => Area::Ledger,
            Self::Counters => Area::Counters,
            Self::Components { .. } | Self::Payloads { .. } => Area::Payloads,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Structure { after } => write!(f, "structure:{after}"),
            Self::Rows {
                table,
                after: (first, second),
            } => write!(f, "rows:{table}:{first}:{second}"),
            Self::Ledger { after } => write!(f, "ledger:{after}"),
            Self::Counters => f.write_str("counters"),
            Self::Components { after } => write!(f, "components:{after}"),
            Self::Payloads {
                segment,
                payload,
                after,
            } => write!(f, "payloads:{segment}:{}:{after}", payload.as_str()),
        }
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.to_string()
    }
}

/// A text that names no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a place that an earlier stride gave")]
pub struct NotAPlace;

impl FromStr for Place {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        let number = |text: &str| text.parse::<i64>().map_err(|_| NotAPlace);
        let parts: Vec<&str> = text.split(':').collect();
        Ok(match parts.as_slice() {
            ["structure", after] => Self::Structure {
                after: (*after).to_owned(),
            },
            ["rows", table, first, second] => Self::Rows {
                table: (*table).to_owned(),
                after: (number(first)?, number(second)?),
            },
            ["ledger", after] => Self::Ledger {
                after: number(after)?,
            },
            ["counters"] => Self::Counters,
            ["components", after] => Self::Components {
                after: number(after)?,
            },
            ["payloads", segment, payload, after] => Self::Payloads {
                segment: number(segment)?,
                payload: Payload::ALL
                    .into_iter()
                    .find(|kind| kind.as_str() == *payload)
                    .ok_or(NotAPlace)?,
                after: number(after)?,
            },
            _ => return Err(NotAPlace),
        })
    }
}

impl TryFrom<String> for Place {
    type Error = NotAPlace;

    fn try_from(text: String) -> Result<Self, NotAPlace> {
        text.parse()
    }
}

/// What one stride found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Stride {
    /// What was gone through.
    pub area: Area,
    /// How many tables, rows, subscriptions or payloads.
    pub looked_at: u64,
    /// What is wrong, each with the name of what it is about; at most as many as are shown.
    pub faults: Vec<String>,
    /// How many are wrong in all.
    pub faults_in_all: u64,
    /// What was left out, or could be compared in part only.
    pub remark: Option<String>,
    /// Where the next stride begins; none behind the last.
    #[schema(value_type = Option<String>)]
    pub next: Option<Place>,
}

impl Stride {
    /// One that has found nothing yet.
    pub const fn new(area: Area) -> Self {
        Self {
            area,
            looked_at: 0,
            faults: Vec::new(),
            faults_in_all: 0,
            remark: None,
            next: None,
        }
    }

    /// Takes note of a fault.
    pub fn fault(&mut self, what: impl Into<String>) {
        self.faults_in_all += 1;
        if self.faults.len() < FAULTS_SHOWN_MAX {
            self.faults.push(what.into());
        }
    }
}

/// All strides so far, added up.
#[derive(Clone, Debug, Default)]
pub struct Recount(BTreeMap<Area, Stride>);

impl Recount {
    /// Adds a stride.
    pub fn add(&mut self, stride: &Stride) {
        let sum = self
            .0
            .entry(stride.area)
            .or_insert_with(|| Stride::new(stride.area));
        sum.looked_at += stride.looked_at;
        sum.faults_in_all += stride.faults_in_all;
        let room = FAULTS_SHOWN_MAX.saturating_sub(sum.faults.len());
        sum.faults.extend(stride.faults.iter().take(room).cloned());
        if stride.remark.is_some() {
            sum.remark.clone_from(&stride.remark);
        }
    }

    /// How many of this area were looked at so far.
    pub fn looked_at(&self, area: Area) -> u64 {
        self.0.get(&area).map_or(0, |sum| sum.looked_at)
    }

    /// One check an area, in their order.
    pub fn checks(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        for area in Area::ALL {
            let Some(sum) = self.0.get(&area) else {
                checks.push(Check::skipped(area.name(), "it was not come to"));
                continue;
            };
            let remark = sum.remark.as_ref().map(|remark| format!("; {remark}"));
            let remark = remark.unwrap_or_default();
            if sum.faults_in_all == 0 {
                let what = area.well(sum.looked_at) + &remark;
                checks.push(Check::ok(area.name(), what));
                continue;
            }
            let mut what = sum.faults.join("; ");
            let more = sum.faults_in_all.saturating_sub(sum.faults.len() as u64);
            if more > 0 {
                what.push_str(&format!("; and {more} more"));
            }
            checks.push(Check::fail(area.name(), what + &remark, area.todo()));
        }
        checks
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Outcome;
    use super::*;

    #[test]
    fn a_place_reads_as_it_was_written() {
        for place in [
            Place::first(),
            Place::Structure {
                after: "event_12".into(),
            },
            Place::Rows {
                table: "order_3".into(),
                after: (i64::MIN, 7),
            },
            Place::Ledger { after: 7 },
            Place::Counters,
            Place::Components { after: 0 },
            Place::Payloads {
                segment: 3,
                payload: Payload::Request,
                after: i64::MAX,
            },
        ] {
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        let kinds: Vec<Payload> = std::iter::successors(Some(Payload::Event), |kind| kind.next()).collect();
        assert_eq!(kinds, Payload::ALL);
        for bad in [
            "",
            "x",
            "rows:seen_1:2",
            "rows:seen_1:2:x",
            "ledger",
            "ledger:x",
            "payloads:1:body:2",
            "counters:1",
        ] {
            assert_eq!(bad.parse::<Place>(), Err(NotAPlace), "{bad}");
        }
    }

    #[test]
    fn strides_add_up_and_what_was_not_come_to_says_so() {
        let mut recount = Recount::default();
        let mut stride = Stride::new(Area::Ledger);
        stride.looked_at = 5;
        for n in 0..25 {
            stride.fault(format!("dlv_{n}"));
        }
        recount.add(&stride);
        recount.add(&Stride::new(Area::Structure));
        let checks = recount.checks();
        let outcomes: Vec<Outcome> = checks.iter().map(|check| check.outcome).collect();
        let expected = [Outcome::Ok, Outcome::Fail, Outcome::Skipped, Outcome::Skipped];
        assert_eq!(outcomes, expected);
        assert!(
            checks[1].what.contains("dlv_9; and 15 more"),
            "{}",
            checks[1].what
        );
    }

    proptest! {
        #[test]
        fn nonsense_is_refused_without_a_panic(text: String) {
            let _ = text.parse::<Place>();
        }
    }
}
