//! Receivers that misbehave, over raw sockets: each attempt ends within its time-out, keeps no more than
//! its cap, leaves no memory behind, and its record says what happened.
//!
//! The guards: the time of an attempt holds for the last byte of the answer too, the body and the head are
//! counted while they are read, nothing is decompressed and no redirect followed. Negative control: two
//! clients without these, judged by the same rules, are caught, at every kind that can do harm to them.

mod kinds;
mod naive;
mod stage;
mod tls;

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use self::kinds::{CANARY, Ends, Kind, NEVER, TIMEOUT_SECONDS, kinds};
use self::stage::{Stage, Step};
use crate::daemon::Daemon;
use crate::extent::Extent;

/// How much later than its time-out an attempt may end.
const LATE_MAX: Duration = Duration::from_secs(1);
/// Most bytes of a body that are kept, and most of all headers together (the defaults of the egress).
const KEPT_BYTES_MAX: usize = 16 << 10;
/// Most headers that are kept.
const KEPT_HEADERS_MAX: usize = 100;
/// How much memory may stay behind in the router, in KiB: allocators keep some of what they had.
const LEFT_KIB_MAX: u64 = 24 << 10;
/// How much more memory the router may have while all receivers misbehave at once, in KiB.
const PEAK_KIB_MAX: u64 = 96 << 10;

/// Most processor time for one attempt against a flood, in milliseconds: a tenth of the attempt's time.
const CPU_MS_MAX: u64 = 200;

/// Whose cost is measured.
const FLOODS: [&str; 3] = [
    "flood of 100 Continue",
    "endless body of chunks",
    "endless empty lines",
];

/// How an attempt ended, as whoever made it tells.
#[derive(Debug)]
struct Ended {
    took: Duration,
    end: Result<u16, (String, String)>,
    body_bytes: usize,
    headers: usize,
    header_bytes: usize,
}

/// What is wrong with how an attempt ended.
fn judge(ends: Ends, ended: &Ended) -> Vec<String> {
    let mut wrong = Vec::new();
    if ended.took > Duration::from_secs(TIMEOUT_SECONDS) + LATE_MAX {
        wrong.push(format!("it took {:?}", ended.took));
    }
    if ended.body_bytes > KEPT_BYTES_MAX {
        wrong.push(format!("{} bytes of the body were kept", ended.body_bytes));
    }
    if ended.headers > KEPT_HEADERS_MAX || ended.header_bytes > KEPT_BYTES_MAX {
        wrong.push(format!(
            "{} headers of {} bytes were kept",
            ended.headers, ended.header_bytes
        ));
    }
    let fits = match (ends, &ended.end) {
        (Ends::Answer(wanted), Ok(status)) => wanted == *status,
        (Ends::Error(kinds, says), Err((is, detail))) => {
            kinds.split('|').any(|kind| kind == is) && says.split('|').any(|says| detail.contains(says))
        }
        _ => false,
    };
    if !fits {
        wrong.push(format!("{:?} in place of {ends:?}", ended.end));
    }
    wrong
}

/// What the record of an attempt says.
fn told(attempt: &Value) -> Ended {
    let response = &attempt["response"];
    let headers = response["headers"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let body_bytes = match response["body_base64"].as_str() {
        Some(encoded) => data_encoding::BASE64.decode(encoded.as_bytes()).unwrap().len(),
        None => text(&response["body"]).len(),
    };
    Ended {
        took: Duration::from_millis(attempt["duration_ms"].as_u64().unwrap()),
        end: match attempt["status_code"].as_u64() {
            Some(status) => Ok(u16::try_from(status).unwrap()),
            None => Err((text(&attempt["error"]), text(&attempt["error_detail"]))),
        },
        body_bytes,
        headers: headers.len(),
        header_bytes: headers
            .iter()
            .map(|pair| text(&pair[0]).len() + text(&pair[1]).len())
            .sum(),
    }
}

/// The same for a client whose errors say what they like: an error is as good as the one that is wanted.
fn judge_any_error(ends: Ends, mut ended: Ended) -> Vec<String> {
    if let (Ends::Error(kind, says), Err(_)) = (ends, &ended.end) {
        let first = |words: &str| words.split('|').next().unwrap_or_default().to_owned();
        ended.end = Err((first(kind), first(says)));
    }
    judge(ends, &ended)
}

/// Whether what was kept of something packed is how it came.
fn is_as_it_came(kept: &[u8], packed: &[u8]) -> bool {
    kept == &packed[..packed.len().min(KEPT_BYTES_MAX)]
}

/// What is wrong with what an attempt cost.
fn affordable(cpu_ms: u64) -> Result<(), String> {
    if cpu_ms >= CPU_MS_MAX {
        return Err(format!("{cpu_ms} ms of the processor for each attempt"));
    }
    Ok(())
}

/// A receiver on its stage; what redirects leads to the canary.
async fn staged(kind: &Kind, canary: &Stage) -> Stage {
    let to = canary.address.to_string();
    let script = kind.script.iter().cloned().map(|step| match step {
        Step::Write(bytes) if bytes.windows(CANARY.len()).any(|part| part == CANARY.as_bytes()) => {
            Step::Write(String::from_utf8_lossy(&bytes).replace(CANARY, &to).into_bytes())
        }
        step => step,
    });
    Stage::start(script.collect()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_attempt_ends_in_time_with_a_clear_record() {
    let waves = Extent::wanted().of(4, 60);
    let mut router = Daemon::start(&["dispatch.retry_waits=1h"]);
    let canary = Stage::start(vec![Step::Hang]).await;
    let kinds = kinds();
    let mut receivers = Vec::new();
    for kind in &kinds {
        let stage = staged(kind, &canary).await;
        let body = json!({
            "name": kind.name, "url": format!("{}://{}/hook", kind.scheme, stage.address), "events": ["*"],
            "timeout_seconds": TIMEOUT_SECONDS,
        });
        receivers.push((kind, router.subscribe(&body).await, stage));
    }
    let (mut wrong, mut attempts, mut slowest) = (Vec::new(), 0, Duration::ZERO);
    let mut baseline = router.held();
    let mut peak = 0;
    for wave in 0..waves {
        // The first wave makes what stays for good: caches, connections of the database, arenas.
        if wave == 1 {
            baseline = router.held();
            router.forget_peak();
        }
        let event = router.send(&json!({"type": "a", "data": {"wave": wave}})).await;
        for (kind, subscription, _) in &receivers {
            let tried = |delivery: &Value| {
                delivery["event_id"] == event
                    && delivery["attempts"].as_array().is_some_and(|a| !a.is_empty())
            };
            let delivery = router.delivery(subscription, tried).await;
            let ended = told(&delivery["attempts"][0]);
            assert_ne!(
                ended.end,
                Ok(NEVER),
                "{}: bytes behind an answer were taken for one",
                kind.name
            );
            attempts += 1;
            slowest = slowest.max(ended.took);
            wrong.extend(
                judge(kind.ends, &ended)
                    .into_iter()
                    .map(|what| format!("{}: {what}", kind.name)),
            );
        }
        peak = router.held().peak_kib;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(canary.connections(), 0, "nobody follows where a receiver points");
    let looping = receivers
        .iter()
        .find(|(kind, ..)| kind.name == "redirect to itself");
    assert!(
        looping.is_some_and(|(_, _, stage)| stage.connections() <= waves),
        "once for each event"
    );
    assert!(
        peak <= baseline.rss_kib + PEAK_KIB_MAX,
        "{peak} KiB after {baseline:?}"
    );
    let fits = |held: crate::daemon::Held| {
        held.rss_kib <= baseline.rss_kib + LEFT_KIB_MAX && held.threads <= baseline.threads + 4
    };
    let after = router.until_it_holds("memory and threads come back", fits).await;
    assert!(router.lives());
    println!(
        "receivers: {} kinds, {attempts} attempts, slowest {} ms of {} ms, peak +{} KiB, left {:+} KiB, \
         {} descriptors, canary 0",
        kinds.len(),
        slowest.as_millis(),
        TIMEOUT_SECONDS * 1_000,
        peak.saturating_sub(baseline.rss_kib),
        i128::from(after.rss_kib) - i128::from(baseline.rss_kib),
        after.descriptors,
    );
}

/// Interim answers without end must not cost the time of an attempt: each would hold a thread until then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_cost_little_of_the_processor() {
    const ATTEMPTS: usize = 16;
    let router = Daemon::start(&["dispatch.retry_waits=1h"]);
    let kinds = kinds();
    let mut figures = Vec::new();
    for name in FLOODS {
        let kind = kinds.iter().find(|kind| kind.name == name).unwrap();
        let stage = Stage::start(kind.script.clone()).await;
        let event_type = name.replace(' ', "-");
        let body = json!({"name": name, "url": format!("http://{}/", stage.address), "events": [event_type],
            "timeout_seconds": TIMEOUT_SECONDS});
        let subscription = router.subscribe(&body).await;
        let before = router.held().cpu_ms;
        let mut last = String::new();
        for n in 0..ATTEMPTS {
            last = router.send(&json!({"type": event_type, "data": n})).await;
        }
        let tried = |delivery: &Value| {
            delivery["event_id"] == last && delivery["attempts"].as_array().is_some_and(|a| !a.is_empty())
        };
        router.delivery(&subscription, tried).await;
        let each = (router.held().cpu_ms - before) / ATTEMPTS as u64;
        figures.push(format!("{name} {each} ms"));
        affordable(each).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
    }
    println!("receivers, processor for each attempt: {}", figures.join(", "));
}

/// A bomb is kept as it came: had anybody opened it, there would be zeros.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_compressed_stays_so() {
    let router = Daemon::start(&["dispatch.retry_waits=1h"]);
    for (name, copies) in [("gzip bomb", 40_000), ("gzip bomb that fits", 9_000)] {
        let packed = kinds::gzip_of_zeros(copies);
        let kinds = kinds();
        let kind = kinds.iter().find(|kind| kind.name == name).unwrap();
        let stage = Stage::start(kind.script.clone()).await;
        let body = json!({"name": name, "url": format!("http://{}/", stage.address), "events": [format!("t{copies}")]});
        let subscription = router.subscribe(&body).await;
        router
            .send(&json!({"type": format!("t{copies}"), "data": 1}))
            .await;
        let delivery = router
            .delivery(&subscription, |delivery| delivery["status"] == "delivered")
            .await;
        let response = &delivery["attempts"][0]["response"];
        let kept = data_encoding::BASE64
            .decode(response["body_base64"].as_str().unwrap().as_bytes())
            .unwrap();
        assert!(is_as_it_came(&kept, &packed), "{name}: {} bytes", kept.len());
        assert_eq!(response["truncated"], packed.len() > KEPT_BYTES_MAX, "{name}");
    }
}

/// Kinds at which nothing can be done wrong by these two: there is an answer, and what is bad about it can only
/// be believed by who does more with answers than they do.
const HARMLESS: [&str; 8] = [
    "longer body than it said",
    "another answer a while later",
    "chunks and something else last",
    "status 999",
    "101 that nobody asked for",
    "redirect to a file",
    "another way to go there",
    "proxy that wants a login",
];

/// The control: a library as it comes, and a client that believes whatever arrives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_clients_without_the_caps_are_caught() {
    let canary = Stage::start(vec![
        Step::Read,
        Step::Write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()),
    ])
    .await;
    let kinds = kinds();
    let exchanges = kinds.iter().map(|kind| {
        let canary = &canary;
        async move {
            let stage = staged(kind, canary).await;
            let url = format!("{}://{}/hook", kind.scheme, stage.address);
            let (library, gullible) = (naive::library(url).await, naive::gullible(stage.address).await);
            let swallowed = library.body_bytes + gullible.body_bytes;
            let caught = [library, gullible].map(|ended| !judge_any_error(kind.ends, ended).is_empty());
            (kind, caught, swallowed)
        }
    });
    let judged: Vec<_> = futures_util::stream::iter(exchanges)
        .buffer_unordered(8)
        .collect()
        .await;
    let count = |which: fn(&[bool; 2]) -> bool| judged.iter().filter(|(_, caught, _)| which(caught)).count();
    let missed: BTreeSet<&str> = judged
        .iter()
        .filter(|(_, caught, _)| !caught.contains(&true))
        .map(|(kind, ..)| kind.name)
        .collect();
    let swallowed: usize = judged.iter().map(|(.., swallowed)| swallowed).sum();
    println!(
        "receivers, control: of {} kinds a library is caught at {}, a gullible client at {}, either at {}; {} MiB \
         swallowed",
        kinds.len(),
        count(|caught| caught[0]),
        count(|caught| caught[1]),
        count(|caught| caught.contains(&true)),
        swallowed >> 20,
    );
    assert_eq!(missed, BTreeSet::from(HARMLESS), "the check would not see these");
    assert!(canary.connections() > 0, "it goes where it is sent");
}

/// The control: who goes on reading pays for it with the processor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_who_reads_floods_pays_for_them() {
    let kinds = kinds();
    for name in FLOODS {
        let kind = kinds.iter().find(|kind| kind.name == name).unwrap();
        let stage = Stage::start(kind.script.clone()).await;
        let to = stage.address;
        let reading = tokio::task::spawn_blocking(move || naive::reads_lines_for_ever(to, CPU_MS_MAX));
        let cost = tokio::time::timeout(Duration::from_secs(60), reading).await;
        let cost = cost.expect("it costs something").unwrap();
        affordable(cost).expect_err("the check would not see a client that reads on");
    }
    println!(
        "receivers, control: reading {} floods on costs more than {CPU_MS_MAX} ms each",
        FLOODS.len()
    );
}

/// The control: had anybody opened a bomb, it would be seen.
#[test]
fn control_an_opened_bomb_is_seen() {
    for copies in [40_000, 9_000] {
        let packed = kinds::gzip_of_zeros(copies);
        let opened = naive::opened(&packed).expect("it is one");
        assert_eq!(opened.len(), 1 + copies * 258);
        let kept = &opened[..KEPT_BYTES_MAX];
        assert!(is_as_it_came(
            &packed[..packed.len().min(KEPT_BYTES_MAX)],
            &packed
        ));
        assert!(!is_as_it_came(kept, &packed), "zeros are noticed");
    }
}
