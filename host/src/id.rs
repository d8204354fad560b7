//! Ids: positive 64-bit integers that sort by time, are the row keys of the store and, in base32
//! behind a typed prefix, the public ids.
//!
//! Layout, from the highest bit: a zero, 41 bits of milliseconds since 2020-01-01, 8 bits of node,
//! 14 bits of counter. An id never goes back within a node: where the clock does, the last id goes on
//! counting, and a full counter borrows the next millisecond. After a start the store tells the
//! newest id that it holds ([`Generator::observe`]), so that no number is used twice. For receivers that
//! want UUIDs, an id can be shown as one, and read back.

mod uuid;

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::time::Timestamp;

/// 2020-01-01T00:00:00Z in milliseconds since the Unix epoch. 41 bits reach to the year 2089.
const EPOCH_MILLIS: i64 = 1_577_836_800_000;
const NODE_BITS: u32 = 8;
const COUNTER_BITS: u32 = 14;
/// Ids of one millisecond; where they are used up, the next ones are of the millisecond after it.
const COUNTER_MAX: i64 = (1 << COUNTER_BITS) - 1;
/// 64 bits in groups of five.
const TEXT_LENGTH: usize = 13;
/// Crockford's base32 in lower case: no `i`, `l`, `o`, `u`.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// What an id is of. The prefix tells people, the type tells the compiler.
pub trait Kind: Copy + Eq + Ord + std::hash::Hash + Send + Sync + 'static {
    /// The text before the underscore.
    const PREFIX: &'static str;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $alias:ident $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $kind {}
        impl Kind for $kind { const PREFIX: &'static str = $prefix; }
        $(#[$doc])*
        pub type $alias = Id<$kind>;
    )*};
}

kinds! {
    /// An event.
    EventKind EventId "evt";
    /// A delivery.
    DeliveryKind DeliveryId "dlv";
    /// A request; a delivery's only request shares the delivery's number.
    RequestKind RequestId "req";
    /// A subscription.
    SubscriptionKind SubscriptionId "sub";
    /// An inbound source.
    SourceKind SourceId "src";
    /// A reception: one request to a source.
    ReceptionKind ReceptionId "rcp";
    /// An API key.
    KeyKind KeyId "key";
    /// A tenant.
    TenantKind TenantId "tnt";
    /// A background operation.
    OperationKind OperationId "op";
}

/// A typed id; see the module for its layout.
pub struct Id<K>(i64, PhantomData<K>);

/// A text that is not an id of the wanted kind.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {prefix}_ and 13 characters of base32")]
pub struct NotAnId {
    prefix: &'static str,
}

impl<K: Kind> Id<K> {
    /// The id with this number, as the store keeps it.
    pub const fn from_number(number: i64) -> Self {
        Self(number, PhantomData)
    }

    /// The number: positive, and the row key.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// The millisecond in which the id was made (or a little later, where a counter ran over).
    pub fn time(self) -> Timestamp {
        Timestamp::from_millis((self.0 >> (NODE_BITS + COUNTER_BITS)) + EPOCH_MILLIS)
    }

    /// The least id that can have been made at or after `time`: a bound for lists by time.
    pub fn first_at(time: Timestamp) -> Self {
        let millis = time.as_millis().saturating_sub(EPOCH_MILLIS);
        let last = i64::MAX >> (NODE_BITS + COUNTER_BITS);
        Self::from_number(millis.clamp(0, last) << (NODE_BITS + COUNTER_BITS))
    }

    /// The same number as an id of another kind, where two kinds share numbers on purpose.
    pub const fn same_number<L: Kind>(self) -> Id<L> {
        Id(self.0, PhantomData)
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> std::hash::Hash for Id<K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0_u8; TEXT_LENGTH];
        let mut rest = u64::try_from(self.0).unwrap_or(0);
        for place in text.iter_mut().rev() {
            *place = ALPHABET[usize::try_from(rest & 31).unwrap_or(0)];
            rest >>= 5;
        }
        write!(f, "{}_{}", K::PREFIX, str::from_utf8(&text).unwrap_or_default())
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K: Kind> FromStr for Id<K> {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let wrong = NotAnId { prefix: K::PREFIX };
        let digits = text
            .strip_prefix(K::PREFIX)
            .and_then(|rest| rest.strip_prefix('_'));
        let Some(digits) = digits.filter(|digits| digits.len() == TEXT_LENGTH) else {
            return Err(wrong);
        };
        let mut number: u64 = 0;
        for digit in digits.bytes() {
            let Some(value) = ALPHABET.iter().position(|c| *c == digit) else {
                return Err(wrong);
            };
            // The first digit carries four bits at the most, so nothing is ever shifted out.
            if number >> 59 != 0 {
                return Err(wrong);
            }
            number = (number << 5) | value as u64;
        }
        match i64::try_from(number) {
            Ok(number) if number > 0 => Ok(Self(number, PhantomData)),
            _ => Err(wrong),
        }
    }
}

impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Makes ids for one node. Shared by reference; never blocks.
#[derive(Debug)]
pub struct Generator {
    node: i64,
    last: AtomicI64,
}

impl Generator {
    /// A generator for a node (0 where there is only one).
    pub fn new(node: u8) -> Self {
        Self {
            node: i64::from(node),
            last: AtomicI64::new(0),
        }
    }

    /// Makes sure that every later id is greater than this number.
    pub fn observe(&self, number: i64) {
        self.last.fetch_max(number, Ordering::SeqCst);
    }

    /// The next id, greater than all before it.
    pub fn next<K: Kind>(&self, now: Timestamp) -> Id<K> {
        let fresh = self.first_of(now.as_millis() - EPOCH_MILLIS);
        let step = |last: i64| Some(fresh.max(self.after(last)));
        let last = self.last.fetch_update(Ordering::SeqCst, Ordering::SeqCst, step);
        let last = last.unwrap_or_else(|last| last);
        Id(fresh.max(self.after(last)), PhantomData)
    }

    fn first_of(&self, millis: i64) -> i64 {
        (millis.max(0) << (NODE_BITS + COUNTER_BITS)) | (self.node << COUNTER_BITS)
    }

    fn after(&self, last: i64) -> i64 {
        let millis = last >> (NODE_BITS + COUNTER_BITS);
        let node = (last >> COUNTER_BITS) & ((1 << NODE_BITS) - 1);
        if node == self.node && last & COUNTER_MAX < COUNTER_MAX {
            last + 1
        } else {
            self.first_of(millis + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_typed_and_round() {
        let id: EventId = Generator::new(3).next(Timestamp::from_millis(1_779_208_200_000));
        let text = id.to_string();
        assert!(text.starts_with("evt_"), "{text}");
        assert_eq!(text.len(), 17);
        assert_eq!(text.parse::<EventId>().unwrap(), id);
        assert!(text.parse::<DeliveryId>().is_err());
        assert_eq!(id.time().as_millis(), 1_779_208_200_000);
    }

    #[test]
    fn a_time_is_a_bound_of_ids() {
        let now = Timestamp::from_millis(1_779_208_200_000);
        let id: EventId = Generator::new(255).next(now);
        assert!(EventId::first_at(now) <= id);
        assert!(id < EventId::first_at(Timestamp::from_millis(now.as_millis() + 1)));
        for extreme in [i64::MIN, 0, i64::MAX] {
            assert!(EventId::first_at(Timestamp::from_millis(extreme)).number() >= 0);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "evt_",
            "evt_0000000000000",
            "evt_zzzzzzzzzzzzz",
            "evt_000000000000u",
            "x",
        ] {
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_full_counter_borrows_the_next_millisecond_and_keeps_its_node() {
        let generator = Generator::new(7);
        let now = Timestamp::from_millis(1_779_208_200_000);
        let mut last = generator.next::<EventKind>(now);
        for _ in 0..40_000 {
            let id = generator.next::<EventKind>(now);
            assert!(id > last);
            assert_eq!((id.number() >> COUNTER_BITS) & 0xff, 7);
            last = id;
        }
    }

    proptest! {
        #[test]
        fn ids_never_go_back(clock in prop::collection::vec(0_i64..4_000_000_000_000, 1..50), seen: u32) {
            let generator = Generator::new(1);
            generator.observe(i64::from(seen) << 24);
            let mut last = Id::<EventKind>::from_number(i64::from(seen) << 24);
            for millis in clock {
                let id = generator.next::<EventKind>(Timestamp::from_millis(millis));
                prop_assert!(id > last);
                prop_assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
                last = id;
            }
        }
    }
}
