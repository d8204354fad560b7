//! What is sent: events with a random id each and a number by which the receiver knows them again.
//!
//! The ids are a producer's own (random UUIDs, as most producers make them), so that the router keeps
//! a de-duplication key for every event: the dearest case, in all workloads. The number stands in the
//! title, which every plugin shows.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::Full;
use sha2::Sha256;

/// Size of an event's data.
const DATA_BYTES: usize = 1_024;
/// Stands before the number in the title.
const MARK: &[u8] = b"bench event ";
/// Digits of the number: every event has the same size.
const DIGITS: usize = 10;
/// With which the webhooks are signed.
pub(crate) const SECRET: &str = "the secret of the benchmark";

/// How events come in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// By the API, with this key.
    Api(&'static str),
    /// As webhooks that GitHub signs, to the source of this path.
    Webhook(&'static str),
}

/// Of which type the events are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Types {
    /// All of one.
    One(&'static str),
    /// In turn one of so many: `alert.n0`, `alert.n1`, …
    Turns(u64),
}

/// Makes the requests.
#[derive(Clone, Debug)]
pub(crate) struct Producer {
    way: Way,
    types: Types,
    host: String,
    seed: u64,
    filler: String,
}

impl Producer {
    /// Events for the process at `host`.
    pub(crate) fn new(host: &str, way: Way, types: Types) -> Self {
        let mut producer = Self {
            way,
            types,
            host: host.to_owned(),
            seed: RandomState::new().build_hasher().finish(),
            filler: String::new(),
        };
        let without = producer.data(0).len();
        producer.filler = "x".repeat(DATA_BYTES.saturating_sub(without));
        producer
    }

    /// The same producer with events of one other type.
    pub(crate) fn of_type(&self, name: &'static str) -> Arc<Self> {
        Arc::new(Self {
            types: Types::One(name),
            ..self.clone()
        })
    }

    /// Where it sends to.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The status of what was accepted.
    pub(crate) const fn accepted(&self) -> u16 {
        match self.way {
            Way::Api(_) => 202,
            Way::Webhook(_) => 200,
        }
    }

    /// The request with the event of this number.
    pub(crate) fn request(&self, number: u64) -> anyhow::Result<hyper::Request<Full<Bytes>>> {
        let request = hyper::Request::builder()
            .method("POST")
            .header("host", &self.host)
            .header("content-type", "application/json");
        Ok(match self.way {
            Way::Api(key) => request
                .uri("/api/v1/events")
                .header("authorization", format!("Bearer {key}"))
                .body(Full::new(self.event(number).into()))?,
            Way::Webhook(path) => {
                let body = self.data(number);
                let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())?;
                mac.update(body.as_bytes());
                let signature = HEXLOWER.encode(&mac.finalize().into_bytes());
                request
                    .uri(path)
                    .header("x-github-event", "push")
                    .header("x-github-delivery", self.id(number))
                    .header("x-hub-signature-256", format!("sha256={signature}"))
                    .body(Full::new(body.into()))?
            }
        })
    }

    /// One request with all events of these numbers.
    pub(crate) fn array(
        &self,
        numbers: Range<u64>,
        key: &str,
    ) -> anyhow::Result<hyper::Request<Full<Bytes>>> {
        let events: Vec<String> = numbers.map(|number| self.event(number)).collect();
        Ok(hyper::Request::post("/api/v1/events")
            .header("host", &self.host)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {key}"))
            .body(Full::new(format!("[{}]", events.join(",")).into()))?)
    }

    fn event(&self, number: u64) -> String {
        let (id, data) = (self.id(number), self.data(number));
        match self.types {
            Types::One(name) => format!(r#"{{"id":"{id}","type":"{name}","data":{data}}}"#),
            Types::Turns(of) => {
                let turn = number % of;
                format!(r#"{{"id":"{id}","type":"alert.n{turn}","data":{data}}}"#)
            }
        }
    }

    fn data(&self, number: u64) -> String {
        let filler = &self.filler;
        format!(
            r#"{{"id":"alert_xyz789","title":"bench event {number:0DIGITS$}","severity":"critical","status":"active","projectId":"proj_def456","area":"Inventario","createdAt":"2026-05-19T16:30:00.000Z","note":"{filler}"}}"#
        )
    }

    /// A UUID of version 4. The same for the same number of the same producer.
    fn id(&self, number: u64) -> String {
        let high = mixed(self.seed ^ number) & !0xf000 | 0x4000;
        let low = mixed(high.wrapping_add(self.seed)) >> 2 | 1 << 63;
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }
}

/// The finish of SplitMix64: neighbours become strangers, and no two inputs the same output.
const fn mixed(mut value: u64) -> u64 {
    value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// The number of the event that a delivery carries.
pub(crate) fn number_in(body: &[u8]) -> Option<u64> {
    let start = body.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    let digits = body.get(start..start + DIGITS)?;
    digits.iter().try_fold(0_u64, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_its_number_a_fixed_size_and_an_id_of_its_own() {
        let producer = Producer::new("h", Way::Api("k"), Types::Turns(3));
        let mut ids = std::collections::HashSet::new();
        for number in [0, 1, 42, 4_000_000_000] {
            assert_eq!(producer.data(number).len(), DATA_BYTES);
            assert_eq!(number_in(producer.event(number).as_bytes()), Some(number));
            let id = producer.id(number);
            assert_eq!((id.len(), &id[14..15], &id[19..20]), (36, "4", &id[19..20]));
            assert!("89ab".contains(&id[19..20]), "{id}");
            assert!(ids.insert(id));
        }
        assert_eq!(number_in(b"bench event 12"), None);
        assert_eq!(number_in(b"another title"), None);
    }
}
