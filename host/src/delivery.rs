//! The life of a delivery, as enums that can be read at a glance.
//!
//! ```text
//!              run: filtered          ┌──────────► Filtered
//! Pending ──────────────────┬─────────┘
//!  (not rendered)           │ run: deliver
//!                           ▼
//!                        Pending ── every request delivered ──► Delivered
//!                       (rendered)── one failed, none left ───► Failed (dead letter)
//!                           ▲  └── retry, throttle, hold: stays
//!                           └───── resend, from Delivered and Failed
//! ```
//!
//! `held` is not a state: a pending delivery is held while its subscription is not enabled.

mod cause;

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::event::Event;
use crate::id::{DeliveryId, EventId, RequestId, SubscriptionId, TenantId};
use crate::profile;
use crate::time::Timestamp;

pub use cause::{Cause, GivenUp, Place};

/// Where a delivery stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Something is still to be done, at `due_at` or, while its subscription is held, later.
    Pending {
        /// Not before.
        due_at: Timestamp,
    },
    /// The endpoint accepted every request.
    Delivered {
        /// When the last one was accepted.
        at: Timestamp,
    },
    /// A plugin decided that there is nothing to send.
    Filtered {
        /// When.
        at: Timestamp,
        /// The plugin's reason.
        reason: String,
    },
    /// It will not be tried again by itself: a dead letter.
    Failed {
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
    },
}

/// An event that is about to be accepted, with one delivery for every matching subscription.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The event.
    pub event: Arc<Event>,
    /// Its deliveries.
    pub deliveries: Vec<NewDelivery>,
}

/// A delivery that is about to be accepted with its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// Its subscription.
    pub subscription: SubscriptionId,
    /// The version of the profile that it looks like, from now on and for ever.
    pub profile: profile::Number,
}

/// One thing that is due: a delivery that was not rendered yet, or one request of a rendered one.
/// This is a row of the ledger and what the dispatcher's lanes hold; it carries no payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The request; shares the delivery's number for its only or first request.
    pub request: RequestId,
    /// The delivery.
    pub delivery: DeliveryId,
    /// Its event.
    pub event: EventId,
    /// Its subscription.
    pub subscription: SubscriptionId,
    /// The version of the profile that the delivery looks like. None for one that is older than such
    /// numbers: it looks like its subscription's profile.
    pub profile: Option<profile::Number>,
    /// How far it is.
    pub stage: Stage,
    /// Attempts recorded so far, for numbering; never goes back.
    pub attempts: u16,
    /// Attempts that the retry schedule counts; a resend starts it anew.
    pub tries: u16,
    /// Attempts in a row that ended in `throttle`, which the schedule does not count.
    pub throttles: u16,
    /// Plugin runs so far.
    pub runs: u16,
    /// Not before.
    pub due_at: Timestamp,
}

/// How far a pending thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not rendered: its plugins are still to run (or, without plugins, its body follows from the
    /// event and the profile, and it goes straight to sending).
    Accepted,
    /// Its request is stored, made by a plugin.
    Rendered,
    /// A part of a delivery with several requests that was delivered while others are not.
    PartDelivered,
    /// A part of a delivery with several requests that failed while others are pending.
    PartFailed,
}

/// A request as a plugin made it; stored before it is first sent, never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its id, and the `webhook-id` that is sent.
    pub id: RequestId,
    /// The delivery that it serves.
    pub delivery: DeliveryId,
    /// Upper-case HTTP method.
    pub method: String,
    /// Path and query in place of the endpoint's own, if the plugin chose them.
    pub path: Option<String>,
    /// Headers that the plugin added.
    pub headers: Vec<(String, String)>,
    /// The body, sent byte for byte.
    pub body: Bytes,
    /// Not to be sent before.
    pub not_before: Option<Timestamp>,
}

/// What one sending of a request gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The request.
    pub request: RequestId,
    /// The delivery.
    pub delivery: DeliveryId,
    /// 1 for the first.
    pub number: u16,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u32,
    /// What came back.
    pub result: AttemptResult,
    /// Whether a person asked for it.
    pub resend: bool,
    /// Headers that were sent and do not follow from profile and request: time stamp and signature.
    pub signature_headers: Vec<(String, String)>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// An HTTP answer, whatever its status.
    Response {
        /// The status.
        status: u16,
        /// Its headers, capped, with credentials masked.
        headers: Vec<(String, String)>,
        /// Its body, capped.
        body: Bytes,
        /// Whether the body was cut at the cap.
        truncated: bool,
    },
    /// No answer.
    Error {
        /// What kind of trouble.
        kind: ErrorKind,
        /// What exactly, without secrets.
        detail: String,
    },
}

/// Why there was no answer. A closed set: it is a metric label and people filter by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The name has no address.
    Dns,
    /// No connection.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// No whole answer in time.
    Timeout,
    /// The connection broke, or what came was not HTTP.
    Protocol,
    /// Our own guard refused the address or the URL.
    Refused,
    /// The request could not be built from what is configured (such as a header that is no header).
    Invalid,
}

impl ErrorKind {
    /// The word in the API and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::Refused => "refused",
            Self::Invalid => "invalid",
        }
    }
}

/// What one plugin did for one delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginRun {
    /// 1 for the first run for this delivery; all steps of one chain share it.
    pub run: u16,
    /// Place in the subscription's list, from 0.
    pub step: u8,
    /// The plugin's name.
    pub plugin: String,
    /// The exact component.
    pub digest: Digest,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// Linear memory of the instance after the run, in bytes.
    pub memory_bytes: u64,
    /// How it ended.
    pub outcome: RunOutcome,
    /// What it logged.
    pub logs: Vec<LogLine>,
    /// Lines that did not fit.
    pub logs_dropped: u32,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum RunOutcome {
    /// It gave requests (and events).
    Deliver {
        /// How many requests.
        requests: u32,
        /// How many events.
        events: u32,
    },
    /// It decided that there is nothing to send.
    Filtered {
        /// Why.
        reason: String,
    },
    /// It said that this event will never work.
    Reject {
        /// Why.
        reason: String,
    },
    /// It asked to be run again later.
    Retry {
        /// Why.
        reason: String,
        /// Not before this many milliseconds.
        after_ms: Option<u32>,
    },
    /// It said that its configuration is at fault.
    Misconfigured {
        /// Why.
        reason: String,
    },
    /// It broke a rule of the host: trap, limit, invalid output.
    Fault {
        /// What kind.
        kind: FaultKind,
        /// What exactly.
        detail: String,
    },
}

/// How a plugin can break the host's rules. A closed set, for metrics and filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// It trapped: a panic, `unreachable`, division by zero, access out of bounds.
    Trap,
    /// It ran longer than its limit.
    Timeout,
    /// It wanted more memory, tables or instances than its limit.
    Memory,
    /// It used up its stack.
    Stack,
    /// Its output is larger than its limit.
    OutputTooLarge,
    /// Its output breaks the contract: a forbidden header, a path that leaves the endpoint, text
    /// that is not UTF-8, several requests from a plugin that is not the last.
    InvalidOutput,
    /// It could not be loaded or configured although it could when it was saved.
    Unavailable,
}

/// One line that a plugin logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The level.
    pub level: LogLevel,
    /// The text, with control characters escaped.
    pub message: String,
}

/// Levels of a plugin's log, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// The finest.
    Trace,
    /// For the plugin's author.
    Debug,
    /// For the operator.
    Info,
    /// Something is odd.
    Warn,
    /// Something is wrong.
    Error,
}

/// What follows from an attempt, or from a run that could not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Stays pending.
    Again {
        /// Not before.
        due_at: Timestamp,
        /// New value of [`Pending::tries`].
        tries: u16,
        /// New value of [`Pending::throttles`].
        throttles: u16,
    },
    /// This request was accepted. The ledger says whether others of the delivery are open.
    Delivered,
    /// This request failed for good. The ledger says whether others of the delivery are open.
    Failed {
        /// Why, as one word.
        cause: Cause,
        /// Why.
        reason: String,
        /// After how much.
        given_up: GivenUp,
    },
}

/// A change to one delivery; what the dispatcher asks the store to write. Each is atomic. The large parts
/// are shared, because who asks keeps them until they are written.
#[derive(Clone, Debug)]
pub enum Change {
    /// Plugins ran and gave requests: they are stored, and the ledger holds the requests from now on.
    Rendered {
        /// The row that was rendered.
        pending: Pending,
        /// The owner of the delivery.
        tenant: TenantId,
        /// What the plugins did.
        runs: Arc<[PluginRun]>,
        /// At least one; the first shares the delivery's number.
        requests: Arc<[Request]>,
        /// Events that the plugins derived; they enter in the same transaction.
        emitted: Vec<NewEvent>,
        /// When.
        at: Timestamp,
    },
    /// Plugins ran and there is nothing to send, or it can never be sent, or not yet.
    Ran {
        /// The row that was run.
        pending: Pending,
        /// What the plugins did.
        runs: Vec<PluginRun>,
        /// What follows.
        next: AfterRun,
        /// Events that the plugins derived; they enter in the same transaction.
        emitted: Vec<NewEvent>,
        /// When.
        at: Timestamp,
    },
    /// A request was sent (or found to be impossible to send).
    Attempted {
        /// The row that was sent.
        pending: Pending,
        /// What came back.
        attempt: Arc<Attempt>,
        /// What follows.
        next: Next,
        /// When.
        at: Timestamp,
    },
    /// A pending delivery ends without an attempt: its subscription is gone, or it was held too long.
    Abandoned {
        /// The row.
        pending: Pending,
        /// Why, as one word.
        cause: Cause,
        /// Why.
        reason: String,
        /// When.
        at: Timestamp,
    },
}

/// What follows from a run that gave no request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterRun {
    /// Filtered, for good.
    Filtered {
        /// Why.
        reason: String,
    },
    /// Failed, for good.
    Failed {
        /// Why, as one word.
        cause: Cause,
        /// Why.
        reason: String,
    },
    /// Run again.
    Again {
        /// Not before.
        due_at: Timestamp,
    },
}
