//! Producers that misbehave: slow, idle, oversized, deeply nested, or with two opinions about where a
//! request ends. Attackers are gone within the time limits, healthy producers do not notice them, memory is
//! bounded, and nothing that stands inside of a body is ever taken for a request.
//!
//! The guards: time limits on heads, bodies and answers that nobody reads, a bound on connections, within
//! which those that only rest make room, bounds on what is read. Negative controls: the same fleet before a
//! bare `axum::serve` stays; wider bounds let in what must be refused.

mod corpus;
mod crowd;
mod fleet;
mod heavy;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use self::corpus::{Case, Then, cases};
use self::fleet::{Attack, Fleet};
use crate::daemon::{Daemon, Held};
use crate::extent::Extent;
use crate::percentile::{median, p99};
use crate::support::wire::post_events;

/// The time limits that the router has here.
const LIMIT: Duration = Duration::from_secs(3);
/// How much later than that an attacker may be shown out, on a machine that has other things to do.
const LATE_MAX: Duration = Duration::from_secs(5);
/// How much more memory the router may have, in KiB.
const PEAK_KIB_MAX: u64 = 96 << 10;
/// How much more the p99 of healthy producers may be, where twice is less than that.
const SLOWER_MAX: Duration = Duration::from_millis(20);
/// Requests of a healthy producer in one window.
const WINDOW: usize = 150;

const SETTINGS: [&str; 3] = [
    "server.header_timeout=3s",
    "server.body_timeout=3s",
    "server.send_timeout=3s",
];

/// Ways to hold a connection without using it.
fn attacks() -> Vec<Attack> {
    let attack = |name, opening: &str, drip| Attack {
        name,
        opening: opening.to_owned(),
        drip,
    };
    let head = "POST /api/v1/events HTTP/1.1\r\nhost: x\r\n";
    let announced = "content-length: 100000";
    vec![
        attack("silent", "", ""),
        attack("slow head", &format!("{head}x-a: "), "y"),
        attack("slow lines", "GET /readyz HTTP/1.1\r\n", "x-a: b\r\n"),
        attack("slow body", &post_events(announced, "{"), " "),
        attack(
            "slow chunks",
            &post_events("transfer-encoding: chunked", ""),
            "1\r\n \r\n",
        ),
        attack(
            "slow body of a stranger",
            &format!("{head}{announced}\r\n\r\n{{"),
            " ",
        ),
        attack(
            "slow webhook",
            &format!("POST /webhooks/nobody HTTP/1.1\r\nhost: x\r\n{announced}\r\n\r\n{{"),
            " ",
        ),
        attack(
            "idle after an answer",
            "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n",
            "",
        ),
        attack("empty lines for ever", "", "\r\n"),
    ]
}

/// How long each of a window's events took to be accepted.
async fn window(router: &Daemon) -> Vec<Duration> {
    let mut times = Vec::with_capacity(WINDOW);
    for n in 0..WINDOW {
        #[expect(
            clippy::disallowed_methods,
            reason = "the latency of a healthy producer is what is measured"
        )]
        let started = Instant::now();
        router.send(&json!({"type": "healthy", "data": n})).await;
        times.push(started.elapsed());
    }
    times
}

/// Whether healthy producers could live beside the others with a p99 like this.
fn bearable(alone: Duration, beside: Duration) -> Result<(), String> {
    let allowed = (alone * 2).max(alone + SLOWER_MAX);
    if beside > allowed {
        return Err(format!("p99 {beside:?} beside them, {alone:?} alone"));
    }
    Ok(())
}

/// The control of that: when each tenth event waits a little longer, it is noticed.
#[test]
fn control_a_p99_that_has_moved_is_noticed() {
    let alone: Vec<_> = (0..WINDOW as u64)
        .map(|n| Duration::from_micros(4_000 + n))
        .collect();
    let mut beside = alone.clone();
    assert_eq!(bearable(p99(alone.clone()), p99(beside.clone())), Ok(()));
    for time in beside.iter_mut().step_by(10) {
        *time += SLOWER_MAX + Duration::from_millis(1);
    }
    bearable(p99(alone), p99(beside)).unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_attackers_are_shown_out_and_nobody_notices() {
    let rounds = Extent::wanted().of(3, 20);
    let attacks = attacks();
    let each = 2_000_usize.div_ceil(attacks.len());
    let mut router = Daemon::start(&SETTINGS);
    window(&router).await;
    let before = router.held();
    router.forget_peak();
    let (mut alone, mut beside, mut longest) = (Vec::new(), Vec::new(), Duration::ZERO);
    for _ in 0..rounds {
        alone.push(p99(window(&router).await));
        let fleet = Fleet::launch(router.address, &attacks, each).await;
        beside.push(p99(window(&router).await));
        let shown = fleet.gone().await;
        assert!(
            shown.stayed.is_empty(),
            "{} stayed: {:?}",
            shown.stayed.len(),
            shown.stayed.first()
        );
        longest = longest.max(shown.longest);
    }
    assert!(
        longest <= LIMIT + LATE_MAX,
        "the longest was served for {longest:?}"
    );
    let (alone, beside) = (median(alone), median(beside));
    bearable(alone, beside).unwrap();
    let peak = router.held().peak_kib;
    assert!(
        peak <= before.rss_kib + PEAK_KIB_MAX,
        "{peak} KiB after {before:?}"
    );
    let closed = |held: Held| held.descriptors <= before.descriptors + 8;
    let after = router.until_it_holds("every connection is closed", closed).await;
    assert!(router.lives());
    println!(
        "producers: {rounds} x {} attackers, gone after {:.1} s (limit {} s), p99 {:.1} ms alone, {:.1} ms beside \
         them, peak +{} KiB, {} descriptors before, {} after",
        each * attacks.len(),
        longest.as_secs_f32(),
        LIMIT.as_secs(),
        alone.as_secs_f32() * 1e3,
        beside.as_secs_f32() * 1e3,
        peak.saturating_sub(before.rss_kib),
        before.descriptors,
        after.descriptors,
    );
}

const DEAF_CLIENTS: usize = 50;

/// Clients that ask for much and read nothing, and what the router held before they came.
async fn deaf(router: &Daemon) -> (Vec<TcpStream>, Held) {
    router.get("/openapi.json").await.expect(200);
    let before = router.held();
    let asks = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(200);
    let mut clients = Vec::new();
    for _ in 0..DEAF_CLIENTS {
        let mut stream = TcpStream::connect(router.address).await.unwrap();
        // As much as fits; the rest would wait for the answers to be read.
        let _as_much_as_fits =
            tokio::time::timeout(Duration::from_millis(20), stream.write_all(asks.as_bytes())).await;
        clients.push(stream);
    }
    (clients, before)
}

/// They hold a connection and an answer each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_the_answers_is_shown_out() {
    let router = Daemon::start(&SETTINGS);
    let (clients, before) = deaf(&router).await;
    let closed = |held: Held| held.descriptors <= before.descriptors + 4;
    let after = router
        .until_it_holds("connections that nobody reads are closed", closed)
        .await;
    drop(clients);
    println!(
        "producers: {DEAF_CLIENTS} clients that read nothing, {} descriptors before, {} after, memory {:+} KiB",
        before.descriptors,
        after.descriptors,
        i128::from(after.rss_kib) - i128::from(before.rss_kib),
    );
}

/// The control: where nothing limits how long an answer may wait to be read, they stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_who_does_not_read_stays_without_the_limit() {
    let router = Daemon::start(&["server.header_timeout=3s", "server.send_timeout=10min"]);
    let (clients, before) = deaf(&router).await;
    tokio::time::sleep(LIMIT + LATE_MAX).await;
    let held = router.held().descriptors - before.descriptors;
    assert!(
        // Some descriptors of before, such as that of the first request, may be gone.
        held + 4 >= DEAF_CLIENTS as u64,
        "the check would not see a server that keeps them: {held}"
    );
    drop(clients);
    println!("producers, control: {held} of {DEAF_CLIENTS} clients that read nothing stay");
}

/// The control: the same fleet before a server without the guard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_a_bare_server_keeps_them() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let body = |bytes: bytes::Bytes| async move { bytes.len().to_string() };
    let app = axum::Router::new()
        .route("/api/v1/events", axum::routing::post(body))
        .route("/healthz", axum::routing::get(|| async { "ok" }));
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    // The others hold what this server does not have, or what it ends by itself.
    let kept = [
        "silent",
        "slow head",
        "slow lines",
        "slow body",
        "slow chunks",
        "idle after an answer",
    ];
    let mut attacks = attacks();
    attacks.retain(|attack| kept.contains(&attack.name));
    assert_eq!(attacks.len(), kept.len());
    let mut fleet = Fleet::launch(address, &attacks, 20).await;
    tokio::time::sleep(LIMIT + LATE_MAX).await;
    assert!(
        fleet.is_whole(),
        "the check would not see a server that keeps them"
    );
    server.abort();
    println!(
        "producers, control: {} attackers before a bare server, none shown out",
        attacks.len() * 20
    );
}

/// Sends bytes and reads until the other side closes or has said nothing for a while.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may refuse before it has read everything.
    let _cut_off = tokio::time::timeout(Duration::from_secs(5), stream.write_all(bytes)).await;
    let mut answers = Vec::new();
    let quiet = Duration::from_millis(150);
    loop {
        let mut piece = [0; 4_096];
        let patience = if answers.is_empty() {
            LIMIT + LATE_MAX
        } else {
            quiet
        };
        match tokio::time::timeout(patience, stream.read(&mut piece)).await {
            Ok(Ok(read)) if read > 0 => answers.extend_from_slice(&piece[..read]),
            _ => return String::from_utf8_lossy(&answers).into_owned(),
        }
    }
}

async fn stored(router: &Daemon, event_type: &str) -> usize {
    let path = format!("/api/v1/events?type={event_type}&limit=100");
    let page = router.get(&path).await.expect(200);
    page.body["data"].as_array().map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_inside_of_a_body_becomes_a_request() {
    let mut router = Daemon::start(&SETTINGS);
    let (mut wrong, mut refused) = (Vec::new(), 0);
    let cases = cases();
    for Case { name, bytes, then } in &cases {
        let answers = exchange(router.address, bytes).await;
        let statuses: Vec<&str> = answers
            .split("HTTP/1.1 ")
            .skip(1)
            .map(|answer| &answer[..3.min(answer.len())])
            .collect();
        let smuggled = stored(&router, "smuggled").await;
        let fits = match then {
            Then::Refused => {
                matches!(&statuses[..], [only] if only.starts_with('4') || *only == "501" || *only == "505")
                    || statuses.is_empty()
            }
            Then::Taken => statuses.first() == Some(&"202") && statuses.len() == 1,
            Then::Any => statuses.len() <= 1,
        };
        if smuggled > 0 {
            wrong.push(format!("{name}: the request inside was carried out"));
            break;
        }
        if !fits {
            wrong.push(format!("{name}: {then:?}, but {statuses:?}"));
        }
        refused += usize::from(*then == Then::Refused);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The control: what really is a second request on a connection is seen by the same check.
    let honest = corpus::honest_pair();
    let answers = exchange(router.address, &honest).await;
    assert_eq!(answers.matches("HTTP/1.1 202").count(), 2, "{answers}");
    assert_eq!(
        stored(&router, "smuggled").await,
        1,
        "a request that was carried out is noticed"
    );
    assert!(router.lives());
    println!(
        "producers: {} framings, {refused} to be refused, 0 desynchronised; control: 1 of 1 seen",
        cases.len()
    );
}
