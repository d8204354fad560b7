//! What comes in a step of the month: events and repetitions, calls of services, operations that people ask for.

use std::time::Duration;

use hookway::operation::RUNNING_MAX;
use hookway::time::Timestamp;
use serde_json::{Value, json};

use super::{CALLS, DEAD, FLAKY, HELD, LANES, Month, PATIENCE, PLAIN, QUIET, SHAPED, STEPS_A_DAY, Sent};
use crate::account::token;
use crate::extent::Extent;
use crate::seed::Seed;

/// Events of one call.
const CALL: usize = 500;
/// Operations of a step; nine are more in a month than are kept.
const OPERATIONS: (usize, usize) = (2, 9);
/// What an operation waits between two of its steps at the most.
const PACE: Duration = Duration::from_millis(50);

impl Month {
    /// Sends the events of a step, some of a kind that fails, is held or is filtered.
    pub(super) async fn send(&mut self, seed: &mut Seed, count: usize) {
        let mut sent = Vec::with_capacity(count);
        let mut step = Sent {
            all: count,
            ..Sent::default()
        };
        for _ in 0..count {
            let kind = match seed.within(0..20) {
                0 => DEAD,
                1 => HELD,
                2 => QUIET,
                3 => SHAPED,
                _ => "usual",
            };
            self.events += 1;
            self.account.will_send(self.events);
            let lanes = [PLAIN, FLAKY, kind];
            for lane in LANES.into_iter().filter(|lane| lanes.contains(lane)) {
                *self.created.entry(lane).or_default() += 1;
            }
            step.dead += usize::from(kind == DEAD);
            step.held += usize::from(kind == HELD);
            step.shaped += usize::from(kind == SHAPED);
            let data =
                json!({"id": token(self.events), "title": "t", "severity": "low", "text": "x".repeat(400)});
            sent.push(json!({"type": kind, "id": token(self.events), "data": data}));
        }
        for call in sent.chunks(CALL) {
            let key = format!("call-{}", call[0]["id"]);
            let headers = [
                ("content-type", "application/json"),
                ("idempotency-key", key.as_str()),
            ];
            let body = json!(call).to_string();
            let first = self
                .router
                .call_raw("POST", "/api/v1/events", &headers, body.clone())
                .await;
            // The producer did not hear the answer, and says it again.
            let again = self
                .router
                .call_raw("POST", "/api/v1/events", &headers, body)
                .await;
            let ids = |answer: &Value| {
                let events = answer["data"].as_array().expect("an array").iter();
                events.map(|event| event["id"].clone()).collect::<Vec<_>>()
            };
            assert_eq!(ids(&first.expect(202).body), ids(&again.expect(202).body));
        }
        for event in self.events + 1 - count as u64..=self.events {
            self.account.acknowledge(event);
        }
        self.sent.push(step);
    }

    /// Repeats an id that is within its window, and one that is not.
    pub(super) async fn repeat(&mut self, step: usize) {
        let repeat = |of: usize| json!({"type": "twice", "id": format!("twice-{of}"), "data": of});
        let first = self
            .router
            .post("/api/v1/events", &repeat(step))
            .await
            .expect(202);
        assert!(first.body.get("duplicate").is_none(), "{}", first.text);
        // PLAIN and FLAKY get it too. It carries no number: the counters know it, the account does not.
        let mut new = 1;
        if step > 0 {
            let again = self
                .router
                .post("/api/v1/events", &repeat(step - 1))
                .await
                .expect(202);
            assert_eq!(again.body["duplicate"], true, "within its window: {}", again.text);
        }
        if step > STEPS_A_DAY {
            let again = self
                .router
                .post("/api/v1/events", &repeat(step - STEPS_A_DAY - 1))
                .await
                .expect(202);
            assert!(
                again.body.get("duplicate").is_none(),
                "out of its window: {}",
                again.text
            );
            new += 1;
        }
        self.sent.last_mut().expect("a step").all += usize::try_from(new).expect("two");
        for lane in [PLAIN, FLAKY] {
            *self.created.entry(lane).or_default() += new;
        }
    }

    /// A service calls, and somebody who does not know its secret.
    pub(super) async fn call(&mut self, step: usize) {
        for call in 0..CALLS.0 + CALLS.1 {
            let (source, expected) = if call < CALLS.0 {
                ("open", 200..300)
            } else {
                ("shut", 401..402)
            };
            let body = json!({"step": step, "call": call});
            let answer = self.router.post(&format!("/webhooks/{source}"), &body).await;
            assert!(expected.contains(&answer.status), "{source}: {}", answer.text);
        }
        // They carry no number either.
        self.sent.last_mut().expect("a step").all += CALLS.0;
        for lane in [PLAIN, FLAKY] {
            *self.created.entry(lane).or_default() += CALLS.0 as u64;
        }
    }

    /// Has what was shaped since then delivered once more, and asks for operations that find nothing to do.
    pub(super) async fn operate(&mut self, since: Timestamp) {
        let replay = json!({"kind": "replay", "subscription": SHAPED, "since": since});
        let recover = json!({"kind": "recover", "subscription": PLAIN});
        let count = Extent::wanted().of(OPERATIONS.0, OPERATIONS.1);
        let mut begun = Vec::new();
        for asked in std::iter::once(replay).chain(std::iter::repeat_n(recover, count - 1)) {
            if begun.len() == RUNNING_MAX {
                self.end(&mut begun).await;
            }
            let answer = self.router.post("/api/v1/operations", &asked).await;
            begun.push(answer.expect(202).str("/id"));
        }
        self.end(&mut begun).await;
    }

    /// Waits until these operations have ended, and counts what they put in.
    async fn end(&mut self, begun: &mut Vec<String>) {
        let mut done = 0;
        for id in begun.drain(..) {
            let path = format!("/api/v1/operations/{id}");
            let ended = async {
                loop {
                    let now = self.router.get(&path).await.expect(200);
                    match now.str("/state").as_str() {
                        "running" => self.router.clock.advance(PACE),
                        "finished" => return now.body["progress"]["done"].as_u64().expect("a count"),
                        _ => panic!("{}", now.text),
                    }
                }
            };
            let ended = tokio::time::timeout(PATIENCE, ended).await;
            done += ended.expect("an operation ends");
        }
        self.sent.last_mut().expect("a step").shaped += usize::try_from(done).expect("few");
        *self.created.entry(SHAPED).or_default() += done;
    }
}
