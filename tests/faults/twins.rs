//! Twins: the same event, or the same call, from many producers at the same moment. Exactly one event each,
//! the same answer for everybody, and 409 for who says something else under the same name.
//!
//! Whoever looks first and writes later is caught here: each round lets all racers go at once, each over a
//! connection of its own. The control is the same race without names, where every racer's event counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::extent::Extent;
use crate::support::Process;
use crate::support::client::{ADMIN_KEY, builder};

/// Racers in a round, and among them those that say something else.
const RACERS: usize = 64;
const OTHERS: usize = 8;
/// Races, of each of the two kinds of names.
const ROUNDS: (u32, u32) = (8, 500);
/// Events in one call of those races that name the call.
const CALL_EVENTS: usize = 3;
/// Longest wait for all answers of a round.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is the same for all racers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    /// The id of the event.
    Event,
    /// The `Idempotency-Key` of the call.
    Call,
    /// Nothing.
    Nothing,
}

/// What the racers of one round were told.
#[derive(Default)]
struct Round {
    /// Ids of events that were answered 202, and how many racers were told each.
    accepted: BTreeMap<Vec<String>, usize>,
    /// How often 409 was answered.
    conflicts: usize,
    /// Of the racers that were told 202, which of the two contents they had sent.
    contents: BTreeSet<bool>,
}

struct Race {
    url: String,
    clients: Vec<reqwest::Client>,
}

impl Race {
    fn at(url: &str) -> Self {
        let client = || {
            let patient = builder().timeout(PATIENCE);
            patient.build().expect("a client")
        };
        Self {
            url: format!("{url}/api/v1/events"),
            clients: (0..RACERS).map(|_| client()).collect(),
        }
    }

    /// One round, with the last `others` of the racers saying something else.
    async fn run(&self, named: Named, round: u32, others: usize) -> Round {
        let (gate, mut racing) = (Arc::new(Barrier::new(RACERS)), JoinSet::new());
        for (place, client) in self.clients.iter().enumerate() {
            let other = place >= RACERS - others;
            let data = json!({"round": round, "says": if other { "other" } else { "same" }});
            let mut event = json!({"type": "raced", "data": data});
            if named == Named::Event {
                event["id"] = json!(format!("twin-{round}"));
            }
            let body = match named {
                Named::Event | Named::Nothing => event,
                Named::Call => json!(vec![event; CALL_EVENTS]),
            };
            let mut request = client.post(&self.url).bearer_auth(ADMIN_KEY);
            if named == Named::Call {
                request = request.header("idempotency-key", format!("twin-{round}"));
            }
            let request = request
                .header("content-type", "application/json")
                .body(body.to_string());
            let gate = gate.clone();
            racing.spawn(async move {
                gate.wait().await;
                let answer = request.send().await.expect("an answer");
                (
                    other,
                    answer.status().as_u16(),
                    answer.text().await.expect("a body"),
                )
            });
        }
        let mut seen = Round::default();
        while let Some(racer) = racing.join_next().await {
            let (other, status, text) = racer.expect("a racer ends well");
            match status {
                202 => {
                    *seen.accepted.entry(ids_in(&text)).or_default() += 1;
                    seen.contents.insert(other);
                }
                409 => seen.conflicts += 1,
                _ => panic!("{status} {text}"),
            }
        }
        seen
    }
}

fn ids_in(text: &str) -> Vec<String> {
    let answer: Value = serde_json::from_str(text).expect("JSON");
    let id = |event: &Value| event["id"].as_str().expect("an id").to_owned();
    match answer["data"].as_array() {
        Some(events) => events.iter().map(id).collect(),
        None => vec![id(&answer)],
    }
}

/// Whether a round had one winner, whom all were told of, and conflicts for all who said something else.
fn one_winner(round: &Round, others: usize) -> Result<(), String> {
    if round.accepted.len() != 1 || round.contents.len() != 1 {
        let (accepted, contents) = (round.accepted.len(), round.contents.len());
        return Err(format!("{accepted} different answers for {contents} contents"));
    }
    let won_by_others = round.contents.contains(&true);
    let expected = if won_by_others { RACERS - others } else { others };
    if round.conflicts != expected {
        return Err(format!("{} conflicts instead of {expected}", round.conflicts));
    }
    Ok(())
}

/// The events that the router has of this type.
async fn stored(process: &Process) -> usize {
    let (mut count, mut cursor) = (0, String::new());
    loop {
        let page = format!("/api/v1/events?type=raced&limit=100{cursor}");
        let page = process.get(&page).await.expect(200);
        count += page.body["data"].as_array().expect("a list").len();
        match page.body["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return count,
        }
    }
}

fn router() -> (Process, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    (Process::start(&dir.path().join("data")), dir)
}

#[tokio::test]
async fn of_the_same_event_from_many_at_once_there_is_one() {
    let (process, _dir) = router();
    let race = Race::at(&process.url);
    let rounds = Extent::wanted().of(ROUNDS.0, ROUNDS.1);
    let (mut conflicts, mut expected) = (0, 0);
    for round in 0..rounds {
        for (named, events) in [(Named::Event, 1), (Named::Call, CALL_EVENTS)] {
            // Every other round all say the same, so that nobody is refused for what others said.
            let others = if round % 2 == 0 { OTHERS } else { 0 };
            let seen = race.run(named, round, others).await;
            one_winner(&seen, others).unwrap_or_else(|fault| panic!("round {round}: {fault}"));
            conflicts += seen.conflicts;
            expected += events;
        }
    }
    let found = stored(&process).await;
    assert_eq!(found, expected, "events that nobody was told of");
    println!(
        "twins: {rounds} rounds of {RACERS} with the same event id and as many with the same Idempotency-Key, \
         {} requests, {found} events of {expected} expected, {conflicts} conflicts",
        rounds as usize * RACERS * 2,
    );
    assert!(!process.panicked());
    process.kill();
}

#[tokio::test]
async fn control_without_names_every_racer_has_an_event_of_its_own() {
    let (process, _dir) = router();
    let seen = Race::at(&process.url).run(Named::Nothing, 0, 0).await;
    let fault = one_winner(&seen, 0).expect_err("the check sees no difference");
    assert_eq!(stored(&process).await, RACERS);
    println!("twins, control: {fault}");
    process.kill();
}
