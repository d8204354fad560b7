//! Background operations: what is asked for, which deliveries and events that means, and how far it is.
//!
//! `recover` sends what failed again: the same requests under the same ids. `replay` makes new
//! deliveries from old events, through today's plugins. Both walk upwards through ids, which sort by
//! time, so a range of time is a range of ids and the last id looked at is all that is needed to go on.
//! Nothing that an operation puts in can be met by it again: it lies behind the walk.
//!
//! Everything here is a value or a decision about values; the store keeps operations, and
//! [`crate::recovery`] carries them out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::delivery::{Cause, NewDelivery, Pending};
use crate::id::{DeliveryId, EventId, OperationId, SubscriptionId, TenantId};
use crate::routing::{Pattern, PatternFault};
use crate::time::Timestamp;

/// Deliveries put in per second where nothing is said: fast enough for a hundred thousand in a quarter
/// of an hour, slow enough for an endpoint that has just come back.
pub const RATE_DEFAULT: u32 = 100;
/// Most deliveries put in per second; more is not faster than the writer.
pub const RATE_MAX: u32 = 10_000;
/// Most deliveries that one step puts in: one transaction, a few milliseconds of the writer.
pub const STEP_MAX: usize = 500;
/// Most patterns, causes or codes that an operation names.
pub const CHOICES_MAX: usize = 64;
/// Operations of one tenant that may run at the same time. Each has one step under way at the most.
pub const RUNNING_MAX: usize = 8;
/// Operations of one tenant that are kept after they have ended; the oldest go first.
pub const KEPT_MAX: usize = 1_000;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Sends what failed again: the same requests, the same ids, new attempts.
    Recover,
    /// Makes new deliveries from old events, through today's plugins.
    Replay,
}

impl Kind {
    /// The word in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recover => "recover",
            Self::Replay => "replay",
        }
    }
}

/// Which events a replay takes, by what became last of each for the subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Whatever became of them.
    #[default]
    Any,
    /// Those that were delivered.
    Delivered,
    /// Those that failed.
    Failed,
    /// Those that a plugin filtered.
    Filtered,
    /// Those for which the subscription never had a delivery, such as one that was made later.
    None,
}

impl Status {
    /// Every one, with its word in the API.
    pub const ALL: [(&'static str, Self); 5] = [
        ("any", Self::Any),
        ("delivered", Self::Delivered),
        ("failed", Self::Failed),
        ("filtered", Self::Filtered),
        ("none", Self::None),
    ];

    /// The status with this word.
    pub fn of(word: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(known, _)| *known == word);
        found.map(|(_, status)| *status)
    }
}

/// What was asked for. Never changed while the operation runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// What to do.
    pub kind: Kind,
    /// Only for this subscription; for all of the tenant where none is named.
    pub subscription: Option<SubscriptionId>,
    /// Nothing older; everything that is kept where nothing is said.
    pub since: Option<Timestamp>,
    /// Nothing from this time on; up to the start of the operation where nothing is said.
    pub until: Option<Timestamp>,
    /// Only types that match one of these patterns, if there are any.
    pub types: Vec<String>,
    /// For a replay: only events of which this became.
    pub status: Status,
    /// Only what failed for one of these causes, if there are any.
    pub causes: Vec<Cause>,
    /// Only what was last answered with one of these status codes, if there are any.
    pub codes: Vec<u16>,
    /// Deliveries put in per second.
    pub rate: u32,
}

impl Asked {
    /// Everything of this kind.
    pub const fn everything(kind: Kind) -> Self {
        Self {
            kind,
            subscription: None,
            since: None,
            until: None,
            types: Vec::new(),
            status: Status::Any,
            causes: Vec::new(),
            codes: Vec::new(),
            rate: RATE_DEFAULT,
        }
    }

    /// The numbers that are looked at: those above the first, up to the second. Nothing that is made
    /// after the operation is among them.
    pub fn range(&self, operation: OperationId) -> (i64, i64) {
        let first = |time: Timestamp| EventId::first_at(time).number() - 1;
        let to = self.until.map_or(i64::MAX, first);
        (self.since.map_or(0, first), to.min(operation.number()))
    }

    /// Deliveries that one step puts in at the most: what may go within a second, so that a low rate is
    /// not a burst and a long pause.
    pub fn step_max(&self) -> usize {
        usize::try_from(self.rate.max(1)).map_or(STEP_MAX, |rate| rate.min(STEP_MAX))
    }

    /// How long to wait after so many were put in.
    pub fn pause(&self, put: usize) -> Duration {
        let millis = (put as u64 * 1_000).div_ceil(u64::from(self.rate.max(1)));
        Duration::from_millis(millis)
    }
}

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It goes on, also after a restart.
    Running,
    /// Everything that was asked for was looked at.
    Finished,
    /// Somebody stopped it; what it had put in stays.
    Cancelled,
    /// It cannot go on; [`Progress::error`] says why.
    Failed,
}

impl State {
    /// The word in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }

    /// Whether it has ended; an operation that has is never changed again.
    pub const fn is_over(self) -> bool {
        !matches!(self, Self::Running)
    }
}

/// Where a walk stands: behind this delivery (recover), or behind this event for subscriptions up to
/// this one (replay).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// Number of the delivery or event.
    pub number: i64,
    /// Number of the subscription; the greatest there is where all of them are done.
    pub subscription: i64,
}

impl Position {
    /// Behind everything with this number.
    pub const fn behind(number: i64) -> Self {
        Self {
            number,
            subscription: i64::MAX,
        }
    }

    /// The greatest number that is behind us whole.
    pub const fn whole(self) -> i64 {
        if self.subscription == i64::MAX {
            self.number
        } else {
            self.number - 1
        }
    }
}

/// What was wanted and not put in, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct Skipped {
    /// The body is no longer kept.
    pub expired: u64,
    /// It is on its way already.
    pub pending: u64,
    /// It has ended in another way in the meantime.
    pub changed: u64,
    /// Its subscription was removed.
    pub subscription_gone: u64,
    /// What is stored of it is damaged.
    pub damaged: u64,
}

impl Skipped {
    /// All of them.
    pub const fn sum(&self) -> u64 {
        self.expired + self.pending + self.changed + self.subscription_gone + self.damaged
    }
}

impl std::ops::AddAssign for Skipped {
    fn add_assign(&mut self, other: Self) {
        self.expired += other.expired;
        self.pending += other.pending;
        self.changed += other.changed;
        self.subscription_gone += other.subscription_gone;
        self.damaged += other.damaged;
    }
}

/// How far an operation is. It is written in the transaction of each step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Deliveries or events looked at, wanted or not.
    pub looked_at: u64,
    /// How many there were to put in when it began; none until they are counted.
    pub total: Option<u64>,
    /// Deliveries put in.
    pub done: u64,
    /// Those that were wanted and not put in.
    pub skipped: Skipped,
    /// Where the walk stands; none before the first step.
    pub position: Option<Position>,
    /// Why it failed.
    pub error: Option<String>,
}

/// An operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// Whose deliveries it is about.
    pub tenant: TenantId,
    /// Where it stands.
    pub state: State,
    /// What was asked for.
    pub asked: Asked,
    /// How far it is.
    pub progress: Progress,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl Operation {
    /// One that has not begun yet.
    pub fn new(id: OperationId, tenant: TenantId, asked: Asked, now: Timestamp) -> Self {
        Self {
            id,
            tenant,
            state: State::Running,
            asked,
            progress: Progress::default(),
            created_at: now,
            ended_at: None,
        }
    }
}

/// A new delivery of an old event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// The new delivery.
    pub delivery: NewDelivery,
    /// The event, which is stored already.
    pub event: EventId,
    /// Its type.
    pub event_type: String,
}

/// What a step puts in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// These failed deliveries are pending again.
    Again(Vec<DeliveryId>),
    /// These deliveries are made.
    New(Vec<Renewed>),
}

impl Put {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::Again(ids) => ids.len(),
            Self::New(new) => new.len(),
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A step: what is put in and where the walk stands then, in one transaction.
#[derive(Clone, Debug)]
pub struct Step {
    /// The operation.
    pub operation: OperationId,
    /// Where it stood when the step was made; one that stands elsewhere does not take it.
    pub from: Option<Position>,
    /// Where it stands behind the step.
    pub to: Option<Position>,
    /// How many were looked at.
    pub looked_at: u64,
    /// Those that were wanted and are not put in.
    pub skipped: Skipped,
    /// What is put in.
    pub put: Put,
    /// The count that was taken at the start, if this is the step that brings it.
    pub total: Option<u64>,
    /// What follows.
    pub then: State,
    /// Now.
    pub now: Timestamp,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// It is durable: the operation as it stands now, and the rows of the ledger that are new.
    Moved(Box<Operation>, Vec<Pending>),
    /// The operation has ended, or stands elsewhere; nothing was changed.
    Refused,
}

/// What became last of an event for a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// What became of it.
    pub fate: Fate,
    /// Why it failed, where that is known.
    pub cause: Option<Cause>,
    /// The status code of the last answer, where there was one and it is known.
    pub code: Option<u16>,
}

/// What became of a delivery, without its details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is on its way.
    Pending,
    /// It was delivered.
    Delivered,
    /// A plugin filtered it.
    Filtered,
    /// It failed.
    Failed,
}

/// Whether something is put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// It is.
    Yes,
    /// It is not what was asked for.
    No,
    /// It would be, but it is on its way already.
    Pending,
}

/// What was asked for, ready to decide.
#[derive(Clone, Debug)]
pub struct Choice {
    asked: Asked,
    types: Vec<Pattern>,
}

impl Choice {
    /// Reads the patterns.
    pub fn new(asked: Asked) -> Result<Self, PatternFault> {
        let types = asked.types.iter().map(|text| Pattern::parse(text));
        let types = types.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { asked, types })
    }

    /// What was asked for.
    pub const fn asked(&self) -> &Asked {
        &self.asked
    }

    /// Whether this type is asked for.
    pub fn wants_type(&self, event_type: &str) -> bool {
        self.types.is_empty() || self.types.iter().any(|pattern| pattern.matches(event_type))
    }

    /// Whether something that ended so is asked for.
    pub fn wants_end(&self, cause: Option<Cause>, code: Option<u16>) -> bool {
        let Asked { causes, codes, .. } = &self.asked;
        (causes.is_empty() || cause.is_some_and(|cause| causes.contains(&cause)))
            && (codes.is_empty() || code.is_some_and(|code| codes.contains(&code)))
    }

    /// Whether what became last of an event says that it is replayed.
    pub fn wants_last(&self, last: Option<&Last>) -> Wanted {
        let status = self.asked.status;
        let Some(last) = last else {
            let fits = matches!(status, Status::Any | Status::None) && self.wants_end(None, None);
            return if fits { Wanted::Yes } else { Wanted::No };
        };
        let fits = match (status, last.fate) {
            (Status::Any, Fate::Pending) if self.wants_end(None, None) => return Wanted::Pending,
            (Status::Any, Fate::Delivered | Fate::Filtered | Fate::Failed)
            | (Status::Delivered, Fate::Delivered)
            | (Status::Filtered, Fate::Filtered)
            | (Status::Failed, Fate::Failed) => true,
            _ => false,
        };
        if fits && self.wants_end(last.cause, last.code) {
            Wanted::Yes
        } else {
            Wanted::No
        }
    }

    /// Whether more than "is it pending" has to be known of earlier deliveries.
    pub fn asks_for_ends(&self) -> bool {
        self.asked.status != Status::Any || !self.asked.causes.is_empty() || !self.asked.codes.is_empty()
    }
}

#[cfg(test)]
mod tests;
