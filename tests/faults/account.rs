//! The account of a fault test: what was sent, what was acknowledged, what arrived; and the judgement.
//!
//! Every event has a number of its own, which its data carries through whatever reshapes it. A *life* is
//! the time between a start of the router and its end. The judgement is set algebra on these numbers and
//! knows nothing of how the router works; it is the part of the fault tests that must be right, so each of
//! its findings has a test that provokes it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;

/// What a number is written between, in the data of its event.
const MARKS: (&str, char) = ("ev-", 'x');
/// So many of what is wrong are named.
const SHOWN_MAX: usize = 10;

/// A number as the data of its event carries it.
pub fn token(event: u64) -> String {
    format!("{}{event}{}", MARKS.0, MARKS.1)
}

/// The number that this data carries.
pub fn event_in(data: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(data);
    let mut places = text.match_indices(MARKS.0);
    places.find_map(|(at, mark)| text[at + mark.len()..].split_once(MARKS.1)?.0.parse().ok())
}

/// Everything that producers and receivers saw.
#[derive(Default)]
pub struct Account(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    life: u32,
    sent: BTreeSet<u64>,
    acknowledged: BTreeSet<u64>,
    arrivals: HashMap<(String, String), Arrival>,
    stamp: u64,
    noted: Vec<Noted>,
}

/// A request, as it came.
#[derive(Clone, Debug)]
pub struct Noted {
    /// The lane that it came to.
    pub lane: String,
    /// Its `webhook-id`.
    pub id: String,
    /// How it was answered.
    pub status: u16,
    /// The time that the test had set by [`Account::stamp`].
    pub at: u64,
}

impl Seen {
    /// Notes a request; gives what is known of its delivery.
    fn note(&mut self, lane: &str, id: &str, event: Option<u64>, status: u16) -> &mut Arrival {
        let (lane, id) = (lane.to_owned(), id.to_owned());
        self.noted.push(Noted {
            lane: lane.clone(),
            id: id.clone(),
            status,
            at: self.stamp,
        });
        let arrival = self.arrivals.entry((lane, id)).or_default();
        arrival.event = event;
        arrival
    }
}

/// A delivery, as its receiver saw it.
#[derive(Default)]
struct Arrival {
    event: Option<u64>,
    /// The lives in which it was answered 2xx, one entry an answer.
    accepted: Vec<u32>,
    refused: u32,
}

/// What the judgement found. Everything but `acknowledged`, `arrived` and `repeated` must be empty, and
/// `repeated` must be within its bound.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Events that were acknowledged.
    pub acknowledged: usize,
    /// Deliveries that were answered 2xx, over all lanes.
    pub arrived: usize,
    /// Events that were acknowledged and did not arrive, by lane.
    pub lost: Vec<(String, u64)>,
    /// What arrived and was never sent.
    pub phantoms: Vec<String>,
    /// Events of which a lane got two deliveries: two ids for the same thing.
    pub doubled: Vec<(String, u64)>,
    /// Deliveries that were accepted twice although the router did not end in between.
    pub needless: Vec<String>,
    /// By life and lane: deliveries that were accepted in it and came again after it.
    pub repeated: BTreeMap<(u32, String), usize>,
}

impl Findings {
    /// Repeated deliveries in all.
    pub fn repeats(&self) -> usize {
        self.repeated.values().sum()
    }

    /// The most deliveries of one lane that one end of the router had repeated.
    pub fn repeats_at_most(&self) -> usize {
        self.repeated.values().copied().max().unwrap_or(0)
    }

    /// Whether every promise was kept, or which was not: nothing is lost, made up or sent twice for no
    /// reason, and no end repeated more than `in_flight` deliveries of a lane.
    pub fn verdict(&self, in_flight: usize) -> Result<(), String> {
        let broken = [
            ("lost", self.lost.len()),
            ("phantoms", self.phantoms.len()),
            ("doubled", self.doubled.len()),
            ("needless", self.needless.len()),
            (
                "repeated at one end",
                self.repeats_at_most().saturating_sub(in_flight),
            ),
        ];
        let broken: Vec<_> = broken.into_iter().filter(|(_, count)| *count > 0).collect();
        if broken.is_empty() {
            return Ok(());
        }
        let some = |list: &[(String, u64)]| format!("{:?}", &list[..list.len().min(SHOWN_MAX)]);
        let (phantoms, needless) = (self.phantoms.iter(), self.needless.iter());
        let names: Vec<_> = phantoms.chain(needless).take(SHOWN_MAX).collect();
        let (lost, doubled) = (some(&self.lost), some(&self.doubled));
        Err(format!(
            "{broken:?}; lost {lost}, doubled {doubled}, {names:?}, {:?}",
            self.repeated
        ))
    }

    /// Stops the test where a promise was broken.
    #[track_caller]
    pub fn demand(&self, in_flight: usize) {
        if let Err(broken) = self.verdict(in_flight) {
            panic!("{broken}");
        }
    }
}

impl Account {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap()
    }

    /// The router starts; what comes over connections from now on belongs to this life.
    pub fn begin_life(&self) {
        self.seen().life += 1;
    }

    /// The life that is going on.
    pub fn life(&self) -> u32 {
        self.seen().life
    }

    /// A producer is about to send an event.
    pub fn will_send(&self, event: u64) {
        self.seen().sent.insert(event);
    }

    /// It was told that the event is accepted.
    pub fn acknowledge(&self, event: u64) {
        self.seen().acknowledged.insert(event);
    }

    /// Events acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.seen().acknowledged.len()
    }

    /// What comes from now on is noted with this time.
    pub fn stamp(&self, at: u64) {
        self.seen().stamp = at;
    }

    /// Every request that came, in the order in which they came.
    pub fn noted(&self) -> Vec<Noted> {
        self.seen().noted.clone()
    }

    /// Deliveries of a lane that were answered 2xx.
    pub fn arrived(&self, lane: &str) -> usize {
        let seen = self.seen();
        let of_lane = seen.arrivals.iter().filter(|((of, _), _)| of == lane);
        of_lane
            .filter(|(_, arrival)| !arrival.accepted.is_empty())
            .count()
    }

    /// A request arrived and is answered 2xx.
    pub fn accept(&self, lane: &str, id: &str, event: Option<u64>, life: u32) {
        self.seen().note(lane, id, event, 200).accepted.push(life);
    }

    /// A request arrived and is refused; how often it was before.
    pub fn refuse(&self, lane: &str, id: &str, event: Option<u64>) -> u32 {
        let mut seen = self.seen();
        let arrival = seen.note(lane, id, event, 503);
        arrival.refused += 1;
        arrival.refused - 1
    }

    /// How often a delivery was refused.
    pub fn refused(&self, lane: &str, id: &str) -> u32 {
        let key = (lane.to_owned(), id.to_owned());
        self.seen()
            .arrivals
            .get(&key)
            .map_or(0, |arrival| arrival.refused)
    }

    /// Judges what was seen, of lanes that should have got everything.
    pub fn judge(&self, lanes: &[&str]) -> Findings {
        let seen = self.seen();
        let mut findings = Findings {
            acknowledged: seen.acknowledged.len(),
            ..Findings::default()
        };
        let mut got: HashMap<(&str, u64), usize> = HashMap::new();
        for ((lane, id), arrival) in &seen.arrivals {
            match arrival.event.filter(|event| seen.sent.contains(event)) {
                None => findings.phantoms.push(format!("{lane} {id}")),
                Some(event) if !arrival.accepted.is_empty() => {
                    *got.entry((lane, event)).or_default() += 1;
                }
                Some(_) => {}
            }
            findings.arrived += usize::from(!arrival.accepted.is_empty());
            for pair in arrival.accepted.windows(2) {
                if pair[0] == pair[1] {
                    findings.needless.push(format!("{lane} {id}"));
                } else {
                    *findings.repeated.entry((pair[0], lane.clone())).or_default() += 1;
                }
            }
        }
        for (lane, event) in got.iter().filter(|(_, count)| **count > 1).map(|(key, _)| *key) {
            findings.doubled.push((lane.to_owned(), event));
        }
        for lane in lanes {
            let missing = seen
                .acknowledged
                .iter()
                .filter(|event| !got.contains_key(&(*lane, **event)));
            findings
                .lost
                .extend(missing.map(|event| ((*lane).to_owned(), *event)));
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two events, acknowledged and delivered in the first life.
    fn good() -> Account {
        let account = Account::default();
        account.begin_life();
        for (event, id) in [(1, "a"), (2, "b")] {
            account.will_send(event);
            account.acknowledge(event);
            account.accept("l", id, Some(event), 1);
        }
        account
    }

    #[test]
    fn a_number_is_found_in_whatever_carries_it() {
        assert_eq!(event_in(token(17).as_bytes()), Some(17));
        assert_eq!(event_in(b"{\"text\":\"dev-notes ev-12x &lt;\"}"), Some(12));
        assert_eq!(event_in(b"ev-x ev-12"), None);
    }

    #[test]
    fn nothing_is_found_where_all_is_well() {
        let findings = good().judge(&["l"]);
        let expected = Findings {
            acknowledged: 2,
            arrived: 2,
            ..Findings::default()
        };
        assert_eq!(findings, expected);
        findings.demand(0);
    }

    #[test]
    fn each_fault_is_found() {
        let account = good();
        account.will_send(3);
        assert!(account.judge(&["l"]).lost.is_empty(), "nobody promised it");
        account.acknowledge(3);
        assert_eq!(account.judge(&["l"]).lost, [("l".to_owned(), 3)]);
        account.refuse("l", "c", Some(3));
        assert_eq!(
            account.judge(&["l"]).lost,
            [("l".to_owned(), 3)],
            "refused is not arrived"
        );
        assert_eq!(account.judge(&["m"]).lost.len(), 3, "each lane must get it");

        let account = good();
        account.accept("l", "c", Some(4), 1);
        account.accept("l", "d", None, 1);
        assert_eq!(account.judge(&["l"]).phantoms.len(), 2);

        let account = good();
        account.accept("l", "c", Some(2), 1);
        assert_eq!(account.judge(&["l"]).doubled, [("l".to_owned(), 2)]);

        let account = good();
        account.accept("l", "b", Some(2), 1);
        assert_eq!(account.judge(&["l"]).needless, ["l b"]);

        let account = good();
        account.accept("l", "a", Some(1), 2);
        account.accept("l", "b", Some(2), 2);
        account.accept("l", "b", Some(2), 3);
        let findings = account.judge(&["l"]);
        assert_eq!((findings.repeats(), findings.repeats_at_most()), (3, 2));
        findings.demand(2);
        assert!(findings.verdict(1).unwrap_err().contains("repeated at one end"));
    }

    #[test]
    fn more_repeats_than_were_in_flight_are_not_accepted() {
        let account = good();
        account.accept("l", "a", Some(1), 2);
        assert!(account.judge(&["l"]).verdict(0).is_err());
    }
}
