//! What needs no outside thing: finding subscriptions, reading JSON, building and signing a request.

use std::hint::black_box;

use criterion::Criterion;
use hookway::digest::Digest;
use hookway::id::{DeliveryId, EventId};
use hookway::json::{self, Faults, Fields};
use hookway::outbound::Endpoint;
use hookway::profile;
use hookway::routing::Table;

use crate::sample;

/// Subscriptions that get the event, whatever their number in all.
const MATCHING: usize = 2;

/// Which subscriptions an event goes to: the cost is that of the matches, not of the subscriptions.
pub(crate) fn matching(criterion: &mut Criterion) {
    for subscriptions in [10, 10_000] {
        let routes = (0..subscriptions).map(|number| {
            let pattern = match number {
                0 => "alert.created".to_owned(),
                1 => "alert.*".to_owned(),
                number => format!("other.t{number}"),
            };
            sample::route(number + 1, pattern)
        });
        let table = Table::new(routes);
        let event = sample::event(EventId::from_number(1), "alert.created");
        assert_eq!(table.matches(&event).routes.len(), MATCHING);
        criterion.bench_function(
            &format!("match: {MATCHING} of {subscriptions} subscriptions"),
            |bencher| {
                bencher.iter(|| table.matches(black_box(&event)));
            },
        );
    }
}

/// From the bytes of a request to the fields of an event: checked, but no tree is built.
pub(crate) fn reading(criterion: &mut Criterion) {
    let body = sample::body();
    criterion.bench_function("JSON: depth of an event of 1 KiB", |bencher| {
        bencher.iter(|| json::check_depth(black_box(body.as_bytes())));
    });
    criterion.bench_function("JSON: fields of an event of 1 KiB", |bencher| {
        bencher.iter(|| {
            let mut faults = Faults::default();
            let mut fields = Fields::of(black_box(&body), "").expect("it is an object");
            let texts = (fields.text("type", &mut faults), fields.text("id", &mut faults));
            black_box(fields.given("data"));
            fields.finish(&mut faults);
            (texts, faults.is_empty())
        });
    });
    criterion.bench_function("digest of 1 KiB", |bencher| {
        let data = sample::data();
        bencher.iter(|| Digest::of(black_box(&data)));
    });
}

/// From an event to a signed request.
pub(crate) fn sending(criterion: &mut Criterion) {
    let route = sample::route(1, "alert.*".to_owned());
    let event = sample::event(EventId::from_number(1), "alert.created");
    let about = route.about(&event, DeliveryId::from_number(2));
    let profile = profile::usual();
    criterion.bench_function("envelope of standard-webhooks", |bencher| {
        bencher.iter(|| profile.render(black_box(about)).expect("it is JSON"));
    });
    let endpoint = Endpoint::new(route.subscription(), profile, sample::NOW).expect("it has a secret");
    let request = || endpoint.request(profile, black_box(about), sample::NOW, None);
    criterion.bench_function("request: envelope, headers, URL", |bencher| {
        bencher.iter(|| request().expect("it is whole"));
    });
    let request = request().expect("it is whole");
    criterion.bench_function("signature of 1 KiB (HMAC-SHA256)", |bencher| {
        bencher.iter(|| endpoint.sign("req_1", black_box(&request), sample::NOW));
    });
}
