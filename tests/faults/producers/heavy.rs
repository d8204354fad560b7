//! Bodies that are large or deep, and requests that never end: each is refused, and memory is bounded.
//!
//! The guards: bounds on bodies, on events in a call, on depth, on heads. Controls: with wider bounds the same
//! requests are taken, and the same bound on memory is exceeded; a server without bounds waits for the rest of
//! what never ends.

use std::time::Duration;

use super::corpus::{announced, endless, heavy, many_headers};
use super::{PEAK_KIB_MAX, SETTINGS, exchange, window};
use crate::daemon::{Daemon, Held};
use crate::extent::Extent;
use crate::support::router::Answer;

/// A body larger than the router takes by default, and how many are sent at once.
const LARGE: usize = 24 << 20;
const AT_ONCE: usize = 6;

/// What is wrong with the answer to a body that is too much.
fn judge(wanted: &[u16], answer: &Answer) -> Result<(), String> {
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    if !wanted.contains(&answer.status) || answer.status != 202 && detail.is_empty() {
        return Err(answer.text.clone());
    }
    Ok(())
}

/// What is wrong with the memory that they took.
fn bounded(before: Held, after: Held) -> Result<u64, String> {
    let more = after.peak_kib.saturating_sub(before.rss_kib);
    if more > PEAK_KIB_MAX {
        return Err(format!("{after:?} after {before:?}"));
    }
    Ok(more)
}

/// Whether the answer to a request that never ends is a refusal, or the connection is cut without one.
fn refused(answer: &str) -> bool {
    ["413", "431", "cut"].contains(&answer.get(9..12).unwrap_or("cut"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_and_deep_bodies_are_refused_within_bounds() {
    let mut router = Daemon::start(&SETTINGS);
    window(&router).await;
    let before = router.held();
    router.forget_peak();
    let bodies = heavy();
    let rounds = Extent::wanted().of(2, 20);
    let mut count = 0;
    for _ in 0..rounds {
        let sending = bodies.iter().map(|(name, media, body, wanted)| {
            let router = &router;
            async move {
                let media = [("content-type", *media)];
                let answer = router
                    .call_raw("POST", "/api/v1/events", &media, body.clone())
                    .await;
                judge(wanted, &answer).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
            }
        });
        count += futures_util::future::join_all(sending).await.len();
        for endless in [announced(), endless(), many_headers()] {
            let answer = exchange(router.address, &endless).await;
            assert!(refused(&answer), "{answer}");
            count += 1;
        }
    }
    let after = router.held();
    let more = bounded(before, after).unwrap();
    assert!(router.lives());
    println!("producers: {count} large or deep bodies, peak +{more} KiB");
}

/// The control: with bounds that are wider, what must be refused for its size is taken, and what holds the
/// router's memory is not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_wider_bounds_let_them_in() {
    let wider = ["server.body_bytes_max=64MiB", "ingest.events_per_call_max=10000"];
    let router = Daemon::start(&[&SETTINGS[..], &wider].concat());
    window(&router).await;
    let json = [("content-type", "application/json")];
    let many = heavy().into_iter().find(|(name, ..)| *name == "1,001 events");
    let (_, _, body, wanted) = many.expect("it is among them");
    let answer = router.call_raw("POST", "/api/v1/events", &json, body).await;
    judge(wanted, &answer).expect_err("a thousand and one events are noticed");
    assert_eq!(answer.status, 202, "{}", answer.text);
    let before = router.held();
    router.forget_peak();
    let large = format!(r#"{{"type":"large","data":"{}"}}"#, "x".repeat(LARGE));
    let sending = (0..AT_ONCE).map(|_| router.call_raw("POST", "/api/v1/events", &json, large.clone()));
    let mut taken = 0;
    for answer in futures_util::future::join_all(sending).await {
        judge(&[413], &answer).expect_err("a body that was read is noticed");
        // Some wait for the store, which has a bound of its own for what waits.
        assert!([202, 503].contains(&answer.status), "{}", answer.text);
        taken += usize::from(answer.status == 202);
    }
    assert!(taken > 0, "none is taken");
    let after = router.held();
    bounded(before, after).expect_err("so is what it took");
    println!(
        "producers, control: wider bounds take 1,001 events, and {taken} of {AT_ONCE} bodies of {} MiB; peak +{} \
         KiB",
        LARGE >> 20,
        after.peak_kib.saturating_sub(before.rss_kib)
    );
}

/// The control: a server without bounds reads on, or takes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_a_bare_server_waits_for_the_rest() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let body =
        |bytes: bytes::Bytes| async move { (axum::http::StatusCode::ACCEPTED, bytes.len().to_string()) };
    let app = axum::Router::new()
        .route("/api/v1/events", axum::routing::post(body))
        .layer(axum::extract::DefaultBodyLimit::disable());
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let mut seen = 0;
    for endless in [announced(), endless()] {
        let waits = tokio::time::timeout(Duration::from_secs(2), exchange(address, &endless)).await;
        // Still reading after so long a time, or done with it: neither is a refusal.
        seen += usize::from(waits.map_or(true, |answer| !refused(&answer)));
    }
    // For the depth of what it holds it does not look either.
    let client = crate::support::client::Client::at(format!("http://{address}"));
    let mut deep = 0;
    for (name, media, body, wanted) in heavy() {
        let answer = client
            .call_raw("POST", "/api/v1/events", &[("content-type", media)], body)
            .await;
        if !wanted.contains(&202) {
            judge(wanted, &answer).expect_err(name);
            deep += 1;
        }
    }
    assert_eq!(seen, 2, "a server that reads for ever is noticed");
    server.abort();
    println!(
        "producers, control: a server without bounds reads on {seen} of 2 times, and takes {deep} bodies"
    );
}
