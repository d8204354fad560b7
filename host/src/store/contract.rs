//! What every backend must do, whatever it is made of: one test for each promise, and a comparison
//! with a model over random histories ([`model`]).
//!
//! A backend is a [`Backend`]: something that can be opened, left and opened again. It calls
//! `contract_tests!` with it and gets all of these as tests of its own.

pub(super) mod alerts;
pub(super) mod candidates;
pub(super) mod config;
pub(super) mod event_types;
pub(super) mod expiry;
pub(super) mod histories;
pub(super) mod history;
pub(super) mod ingest;
mod model;
pub(super) mod operations;
pub(super) mod outcomes;
pub(super) mod profiles;
pub(super) mod receptions;
pub(super) mod repetitions;
pub(super) mod resends;
pub(super) mod rows;
pub(super) mod sources;
pub(super) mod walks;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::delivery::{
    Attempt, AttemptResult, Cause, Change, ErrorKind, GivenUp, NewDelivery, NewEvent, Next, Pending,
    PluginRun, Request, RunOutcome,
};
use crate::digest::Digest;
use crate::event::Event;
use crate::id::{DeliveryId, EventId, Generator, RequestId, SourceId, SubscriptionId, TenantId};
use crate::profile;
use crate::reception::{Outcome, Reception};
use crate::source::Conflict;
use crate::store::{Accept, Accepted, AcceptedEvent, Series, Store};
use crate::time::Timestamp;

/// A place where a store can be opened again and again.
pub(super) trait Backend {
    /// A fresh place. In a tiny one, everything that is cut by size is cut as small as it can be.
    fn new(size: Size) -> Self;
    /// Opens the store that is there.
    fn open(&self, now: Timestamp) -> Arc<dyn Store>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    Usual,
    Tiny,
}

macro_rules! contract_tests {
    ($backend:ty: $($name:ident $($path:ident)::+;)*) => {$(
        #[tokio::test]
        async fn $name() {
            $crate::store::contract::$($path)::+::<$backend>().await;
        }
    )*};
    ($backend:ty) => {
        $crate::store::contract::contract_tests! { $backend:
            what_is_accepted_is_pending ingest::what_is_accepted_is_pending;
            a_repeated_id_gets_the_first_answer ingest::a_repeated_id_gets_the_first_answer;
            a_call_is_accepted_whole_or_refused_whole ingest::a_call_is_accepted_whole_or_refused_whole;
            an_idempotency_key_covers_its_call ingest::an_idempotency_key_covers_its_call;
            headers_are_kept_with_their_event ingest::headers_are_kept_with_their_event;
            keys_leave_the_window ingest::keys_leave_the_window;
            a_closed_store_says_so ingest::a_closed_store_says_so;
            many_callers_are_all_answered ingest::many_callers_are_all_answered;
            series_do_not_meet repetitions::series_do_not_meet;
            an_id_is_used_up_for_the_inbound_source_that_it_came_to
                repetitions::an_id_is_used_up_for_the_inbound_source_that_it_came_to;
            a_changed_repetition_may_count_as_one repetitions::a_changed_repetition_may_count_as_one;
            receptions_are_written_with_their_events receptions::receptions_are_written_with_their_events;
            a_reception_says_what_became_of_its_events receptions::a_reception_says_what_became_of_its_events;
            refusals_and_handshakes_are_kept receptions::refusals_and_handshakes_are_kept;
            receptions_are_filtered_and_paged receptions::receptions_are_filtered_and_paged;
            receptions_leave_with_age receptions::receptions_leave_with_age;
            attempts_move_a_delivery outcomes::attempts_move_a_delivery;
            runs_end_a_delivery outcomes::runs_end_a_delivery;
            several_requests_end_together outcomes::several_requests_end_together;
            a_wrong_guess_loses_no_request outcomes::a_wrong_guess_loses_no_request;
            emitted_events_enter_with_their_run outcomes::emitted_events_enter_with_their_run;
            a_bad_change_leaves_nothing outcomes::a_bad_change_leaves_nothing;
            an_old_epoch_is_fenced outcomes::an_old_epoch_is_fenced;
            resend_puts_back_what_ended resends::resend_puts_back_what_ended;
            resend_of_parts_sends_what_failed resends::resend_of_parts_sends_what_failed;
            a_step_is_one_transaction operations::a_step_is_one_transaction;
            a_bad_step_leaves_nothing operations::a_bad_step_leaves_nothing;
            failed_deliveries_are_walked candidates::failed_deliveries_are_walked;
            old_events_say_what_became_last candidates::old_events_say_what_became_last;
            a_new_delivery_keeps_its_event operations::a_new_delivery_keeps_its_event;
            what_expired_is_not_sent_again operations::what_expired_is_not_sent_again;
            operations_are_kept operations::operations_are_kept;
            old_operations_make_room operations::old_operations_make_room;
            everything_that_happened_can_be_read history::everything_that_happened_can_be_read;
            lists_are_filtered_and_paged history::lists_are_filtered_and_paged;
            deliveries_are_walked_through_from_either_end walks::deliveries_are_walked_through_from_either_end;
            a_page_looks_at_a_bounded_number_of_rows walks::a_page_looks_at_a_bounded_number_of_rows;
            dead_letters_are_grouped_by_cause walks::dead_letters_are_grouped_by_cause;
            pages_stand_while_rows_are_added walks::pages_stand_while_rows_are_added;
            failures_in_a_row_are_counted rows::failures_in_a_row_are_counted;
            each_change_of_a_batch_is_told_the_row_at_its_time rows::each_change_of_a_batch_is_told_the_row_at_its_time;
            only_what_the_endpoint_did_counts rows::only_what_the_endpoint_did_counts;
            a_delivery_with_several_requests_counts_once rows::a_delivery_with_several_requests_counts_once;
            enabling_begins_the_row_anew rows::enabling_begins_the_row_anew;
            what_began_before_the_row_does_not_count rows::what_began_before_the_row_does_not_count;
            what_is_missing_is_none history::what_is_missing_is_none;
            subscriptions_are_kept_whole config::subscriptions_are_kept_whole;
            profiles_are_kept_in_versions profiles::profiles_are_kept_in_versions;
            sources_are_kept_whole sources::sources_are_kept_whole;
            event_types_are_kept_whole event_types::event_types_are_kept_whole;
            tenants_and_keys config::tenants_and_keys;
            alerts_are_kept_until_they_are_over alerts::alerts_are_kept_until_they_are_over;
            components_are_kept_while_used config::components_are_kept_while_used;
            expiry_keeps_what_is_pending expiry::expiry_keeps_what_is_pending;
            age_works_with_little_traffic expiry::age_works_with_little_traffic;
            a_budget_drops_the_oldest expiry::a_budget_drops_the_oldest;
        }
    };
}
pub(super) use contract_tests;

pub(super) const WINDOW: Duration = Duration::from_secs(24 * 3_600);
/// As sources have it.
pub(super) const SOURCES_WINDOW: Duration = Duration::from_secs(7 * 24 * 3_600);
pub(super) const START: Timestamp = Timestamp::from_millis(1_779_208_200_000);
const TENANT: TenantId = TenantId::from_number(1);

/// Makes what tests need; its clock stands still until it is moved.
pub(super) struct Maker {
    ids: Generator,
    pub(super) now: Timestamp,
}

impl Maker {
    pub(super) fn new() -> Self {
        Self {
            ids: Generator::new(0),
            now: START,
        }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time);
    }

    pub(super) fn subscription(&self) -> SubscriptionId {
        self.ids.next(self.now)
    }

    pub(super) fn event(&self, producer_id: Option<&str>, data: &str) -> Event {
        Event {
            id: self.ids.next(self.now),
            tenant: TENANT,
            source: "api".to_owned(),
            producer_id: producer_id.map(str::to_owned),
            event_type: "alert.created".to_owned(),
            subject: None,
            time: self.now,
            received_at: self.now,
            content_type: "application/json".to_owned(),
            extensions: Vec::new(),
            headers: Vec::new(),
            data: Bytes::from(data.to_owned()),
            hops: 0,
        }
    }

    /// An event as sources make them.
    pub(super) fn received(&self, producer_id: Option<&str>, data: &str) -> Event {
        Event {
            source: "deploys".to_owned(),
            headers: vec![
                ("x-github-event".to_owned(), "push".to_owned()),
                ("x-empty".to_owned(), String::new()),
            ],
            ..self.event(producer_id, data)
        }
    }

    /// A request to a source that was accepted, as its caller gives it to the store.
    pub(super) fn reception(&self, source: SourceId) -> Reception {
        Reception {
            id: self.ids.next(self.now),
            tenant: TENANT,
            source,
            received_at: self.now,
            remote: "2001:db8::7".parse().unwrap(),
            method: "POST".to_owned(),
            headers: vec![("user-agent".to_owned(), "GitHub-Hookshot".to_owned())],
            bytes: 2,
            digest: Some(Digest::of(b"{}")),
            status: 200,
            outcome: Outcome::Accepted {
                first: EventId::from_number(1),
                events: 0,
                duplicates: 0,
                changed: 0,
            },
            body: None,
            unrecorded: 0,
        }
    }

    /// A call by which a source brings events.
    pub(super) fn received_call(&self, events: Vec<NewEvent>, source: SourceId) -> Accept {
        Accept {
            window: SOURCES_WINDOW,
            series: Series::Sources,
            reception: Some(Box::new(self.reception(source))),
            ..self.call(events)
        }
    }

    pub(super) fn matched(&self, event: Event, subscriptions: &[SubscriptionId]) -> NewEvent {
        let deliver = |subscription: &SubscriptionId| NewDelivery {
            id: self.ids.next(self.now),
            subscription: *subscription,
            profile: profile::Number::new(7),
        };
        NewEvent {
            event: Arc::new(event),
            deliveries: subscriptions.iter().map(deliver).collect(),
        }
    }

    fn new_event(&self, data: &str, subscriptions: &[SubscriptionId]) -> NewEvent {
        self.matched(self.event(None, data), subscriptions)
    }

    pub(super) fn call(&self, events: Vec<NewEvent>) -> Accept {
        Accept {
            tenant: TENANT,
            idempotency: None,
            events,
            now: self.now,
            window: WINDOW,
            series: Series::Api,
            on_conflict: Conflict::Refuse,
            reception: None,
        }
    }

    /// Accepts an event for one subscription and gives its ledger row.
    async fn accepted(&self, store: &dyn Store, data: &str, subscription: SubscriptionId) -> Pending {
        let new = self.new_event(data, &[subscription]);
        let delivery = new.deliveries[0].id;
        done(store.accept(self.call(vec![new])).await.unwrap());
        let all = store
            .pending(RequestId::from_number(delivery.number() - 1), 1)
            .await
            .unwrap();
        all[0]
    }

    pub(super) fn attempt(&self, pending: &Pending, result: AttemptResult) -> Attempt {
        Attempt {
            request: pending.request,
            delivery: pending.delivery,
            number: pending.attempts + 1,
            started_at: self.now,
            duration_ms: 12,
            result,
            resend: false,
            signature_headers: vec![("webhook-timestamp".to_owned(), "1779208200".to_owned())],
        }
    }

    pub(super) fn attempted(&self, pending: &Pending, next: Next) -> Change {
        let result = match &next {
            Next::Delivered => answer(200),
            Next::Again { .. } | Next::Failed { .. } => AttemptResult::Error {
                kind: ErrorKind::Timeout,
                detail: "no whole answer within 15 s".to_owned(),
            },
        };
        Change::Attempted {
            pending: *pending,
            attempt: self.attempt(pending, result).into(),
            next,
            at: self.now,
        }
    }

    pub(super) fn run(&self, pending: &Pending, outcome: RunOutcome) -> PluginRun {
        PluginRun {
            run: pending.runs + 1,
            step: 0,
            plugin: "slack".to_owned(),
            digest: Digest::of(b"component"),
            started_at: self.now,
            duration_us: 17,
            memory_bytes: 1 << 20,
            outcome,
            logs: Vec::new(),
            logs_dropped: 0,
        }
    }

    /// So many requests of a delivery, the first with its number.
    pub(super) fn requests(&self, delivery: DeliveryId, count: usize) -> Vec<Request> {
        let request = |place: usize| Request {
            id: if place == 0 {
                delivery.same_number()
            } else {
                self.ids.next(self.now)
            },
            delivery,
            method: "POST".to_owned(),
            path: None,
            headers: Vec::new(),
            body: Bytes::from(format!("{{\"part\":{place}}}")),
            not_before: None,
        };
        (0..count).map(request).collect()
    }

    pub(super) fn rendered(&self, pending: &Pending, requests: Vec<Request>) -> Change {
        let count = u32::try_from(requests.len()).unwrap();
        Change::Rendered {
            pending: *pending,
            tenant: TENANT,
            runs: [self.run(
                pending,
                RunOutcome::Deliver {
                    requests: count,
                    events: 0,
                },
            )]
            .into(),
            requests: requests.into(),
            emitted: Vec::new(),
            at: self.now,
        }
    }
}

pub(super) fn answer(status: u16) -> AttemptResult {
    AttemptResult::Response {
        status,
        headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
        body: Bytes::from_static(b"ok"),
        truncated: false,
    }
}

fn failed(reason: &str) -> Next {
    Next::Failed {
        cause: Cause::Timeout,
        reason: reason.to_owned(),
        given_up: GivenUp::AtOnce,
    }
}

pub(super) fn done(accepted: Accepted) -> Vec<AcceptedEvent> {
    match accepted {
        Accepted::Done(events) => events,
        other => panic!("not accepted: {other:?}"),
    }
}

pub(super) async fn all_pending(store: &dyn Store) -> Vec<Pending> {
    store.pending(RequestId::from_number(0), 100_000).await.unwrap()
}

async fn event_ids(store: &dyn Store) -> Vec<EventId> {
    let query = crate::store::EventQuery {
        limit: 1_000,
        ..Default::default()
    };
    store
        .events(query)
        .await
        .unwrap()
        .iter()
        .map(|stored| stored.event.id)
        .collect()
}
