//! The reception: one request to a source and what became of it, kept so that whoever asks "did it
//! arrive?" gets an answer, also where it was refused.

use std::net::IpAddr;

use bytes::Bytes;

use crate::digest::Digest;
use crate::id::{EventId, ReceptionId, SourceId, TenantId};
use crate::time::Timestamp;

/// Longest detail of a refusal that is kept, in bytes.
pub const DETAIL_BYTES_MAX: usize = 512;

/// One request to a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reception {
    /// Its id.
    pub id: ReceptionId,
    /// The owner of the source.
    pub tenant: TenantId,
    /// The source.
    pub source: SourceId,
    /// When it came.
    pub received_at: Timestamp,
    /// Who sent it, as far as trusted proxies say.
    pub remote: IpAddr,
    /// Its method.
    pub method: String,
    /// Its headers, names in lower case, credentials masked.
    pub headers: Vec<(String, String)>,
    /// How many bytes its body had; of a body that was not read to its end, what was announced or read.
    pub bytes: u64,
    /// Of the whole body, if it was read: what was hashed, for comparison with the sender's side.
    pub digest: Option<Digest>,
    /// The status it was answered with.
    pub status: u16,
    /// What became of it.
    pub outcome: Outcome,
    /// The body, where the source keeps those of refused requests. Accepted ones are events' data.
    pub body: Option<Bytes>,
    /// Refusals of the source before this one that were counted but not kept, since there were too many.
    pub unrecorded: u32,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It became events, or repeated earlier ones.
    Accepted {
        /// The first event; of a repetition the one that it repeats.
        first: EventId,
        /// How many new events.
        events: u32,
        /// How many of its events had been accepted before.
        duplicates: u32,
        /// How many of these repetitions had other content.
        changed: u32,
    },
    /// It was a handshake and was answered.
    Handshake {
        /// Which.
        name: String,
    },
    /// It was refused.
    Refused {
        /// Why, as a word that programs may branch on.
        reason: Refusal,
        /// Why, for people. Never a secret, nor what would help to forge a request.
        detail: String,
    },
}

impl Outcome {
    /// The word for it, as it is shown: an accepted request in which nothing was new is a duplicate.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted { events: 0, .. } => "duplicate",
            Self::Accepted { .. } => "accepted",
            Self::Handshake { .. } => "handshake",
            Self::Refused { .. } => "refused",
        }
    }
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident $slug:literal $status:literal;)*) => {
        /// Why a request was refused. A closed set.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Refusal { $($(#[$doc])* $name,)* }

        impl Refusal {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word for it, as it is stored and shown.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }

            /// The status that the sender is told.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// The one with this word.
            pub fn of(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word)
            }
        }
    };
}

refusals! {
    /// The address may not send to this source.
    Address "address" 403;
    /// Too many requests in its time.
    Rate "rate" 429;
    /// The source does not take this method.
    Method "method" 405;
    /// The body is larger than the source takes.
    Body "body" 413;
    /// The body did not arrive in time, or broke off.
    SlowBody "slow_body" 408;
    /// The signature or token is not there.
    Unsigned "unsigned" 401;
    /// The signature or token cannot be read.
    MalformedSignature "malformed_signature" 401;
    /// The signature or token is another one.
    Mismatch "mismatch" 401;
    /// The time stamp is too old or lies ahead.
    Stale "stale" 401;
    /// The certificate that the signature needs could not be had.
    Certificate "certificate" 503;
    /// A handshake without the right token.
    Handshake "handshake" 403;
    /// The body is not what its media type or the source says.
    MalformedBody "malformed_body" 400;
    /// The attributes of an event could not be made of it.
    Attributes "attributes" 422;
    /// An id came again with other content.
    Conflict "conflict" 409;
    /// Too much is waiting, or the disk is full: the sender should come again.
    Unavailable "unavailable" 503;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        for refusal in Refusal::ALL {
            assert_eq!(Refusal::of(refusal.as_str()), Some(*refusal));
        }
        assert_eq!(Refusal::of("nonsense"), None);
    }
}
