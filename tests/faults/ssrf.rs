//! Every vector of the file, through every way out, in a network where each address there is has a canary.
//!
//! Subscriptions are made while everything is allowed, and their deliveries fail; then the router starts
//! again with the guard on and the same data, so that what is refused when a URL is saved is now asked of the
//! dialler: retries, new events, tests, resends, recoveries, replays, what Hookway tells of itself. After
//! that each vector is saved anew, by every call that takes a URL. Not one canary on an address that is not
//! public may be reached, by a table of its own (`special`); those on public ones are, which shows that the
//! network works. The control goes the same ways without the guard, and each of them reaches canaries.

mod special;
mod vectors;
mod ways;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use hookway::config::{AllowRule, AllowWhat, Config};
use serde_json::{Value, json};

use crate::private_network::{Answer, PrivateNetwork, inside};
use crate::support::TestRouter;
use vectors::{PUBLIC, Target, targets};
use ways::{FETCHING_NOTHING, SENDING, Ways, forbidden};

/// Between tests of subscriptions: there are thirty in a minute.
const BETWEEN_TESTS: Duration = Duration::from_secs(3);
/// Subscriptions that are recovered one by one, before all of them at once.
const RECOVERED_ALONE: usize = 10;
/// Names whose subscriptions take what Hookway tells of itself.
const OWN_EVENTS: [&str; 5] = [
    "http://127.0.0.1/own",
    "http://[::ffff:10.0.0.1]/own",
    "http://127.0.0.1.nip.io/own",
    "http://mixed.example/own",
    "http://hosts.example/own",
];

/// What the server of names says. A name that nobody thought of leads inside.
fn names(name: &str, before: usize) -> Option<Answer> {
    let addresses = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| text.parse().expect("an address"))
            .collect()
    };
    let inner = |suffix: &str| {
        name.strip_suffix(suffix)
            .and_then(|text| text.parse::<IpAddr>().ok())
    };
    if let Some(address) = inner(".nip.io").or_else(|| inner(".sslip.io")) {
        return Some(Answer::Addresses(vec![address]));
    }
    Some(match name {
        "good.example" | "public.example" => Answer::Addresses(addresses(&[PUBLIC])),
        "mixed.example" => Answer::Addresses(addresses(&["127.0.0.1", PUBLIC])),
        "mixed6.example" => Answer::Addresses(addresses(&[PUBLIC, "::1"])),
        "mapped.example" => Answer::Addresses(addresses(&[PUBLIC, "::ffff:169.254.169.254"])),
        // The first answer is what a check of the past would have seen.
        "rebind.example" => Answer::Addresses(addresses(&[if before == 0 { PUBLIC } else { "127.0.0.1" }])),
        "pooled.example" => Answer::Addresses(addresses(&[if before == 0 { PUBLIC } else { "10.0.0.9" }])),
        "alias.example" => Answer::Alias("localhost", addresses(&["127.0.0.1"])),
        "nowhere.example" => Answer::NoSuchName,
        "empty.example" => Answer::Addresses(Vec::new()),
        "many.example" => {
            let many = (0..30_u8).map(|last| IpAddr::from([93, 184, 215, last]));
            Answer::Addresses(many.chain(addresses(&["10.0.0.8"]) as Vec<IpAddr>).collect())
        }
        "silent.example" => return None,
        "allowed.example" | "metadata.google.internal" => Answer::Addresses(addresses(&["169.254.169.254"])),
        _ => Answer::Addresses(addresses(&["127.0.0.1"])),
    })
}

/// Takes the guard away, as far as a configuration can.
fn open(config: &mut Config) {
    let everywhere = |net: &str| AllowRule {
        what: AllowWhat::Network(net.parse().expect("a network")),
        http: true,
    };
    config.egress.allow = vec![everywhere("0.0.0.0/0"), everywhere("::/0")];
    config.egress.allow_http = true;
    config.egress.allow_private_networks = true;
}

/// Puts the guard on. HTTP is allowed, so that it is not the reason why something is refused.
fn guard(config: &mut Config) {
    config.egress.allow = vec![AllowRule {
        what: AllowWhat::Host("allowed.example".to_owned()),
        http: true,
    }];
    config.egress.allow_http = true;
    config.egress.allow_private_networks = false;
}

async fn network() -> PrivateNetwork {
    let literals: BTreeSet<IpAddr> = targets().iter().filter_map(Target::literal).collect();
    // What the names lead to.
    let others = ["10.0.0.7", "10.0.0.8", "10.0.0.9", PUBLIC].map(|text| text.parse().expect("an address"));
    let all: Vec<IpAddr> = literals
        .into_iter()
        .chain(others)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    PrivateNetwork::up(&all, "10.0.0.7 hosts.example\n", names).await
}

/// A subscription to each target that may be saved, and a failed attempt of each.
struct Prepared {
    router: TestRouter,
    /// Its id, by that of the target.
    subscriptions: BTreeMap<String, String>,
    own: Vec<String>,
    event: String,
}

async fn prepare() -> Prepared {
    let router = TestRouter::with(open).await;
    let mut subscriptions = BTreeMap::new();
    for target in targets() {
        let body = json!({"name": target.id, "url": target.url, "events": ["*"], "retry": {"waits": ["1m"]}});
        let made = router.post("/api/v1/subscriptions", &body).await;
        if made.status == 201 {
            subscriptions.insert(target.id.to_owned(), made.str("/id"));
        }
    }
    let mut own = Vec::new();
    for url in OWN_EVENTS {
        let body = json!({"name": "own", "url": url, "events": ["hookway.*"], "retry": {"waits": []}});
        own.push(router.subscribe(&body).await);
    }
    let event = router.send(&json!({"type": "a.b", "data": 1})).await;
    router.settle().await;
    Prepared {
        router,
        subscriptions,
        own,
        event,
    }
}

/// Everything that makes a stored subscription send.
async fn stored_ways(prepared: &Prepared, ways: &mut Ways<'_>) {
    let router = &prepared.router;
    // Those that failed before are due again.
    router.advance(Duration::from_secs(3_600)).await;
    let deliveries = all_deliveries(router, &prepared.event).await;
    ways.note("retry", deliveries.len());
    let event = router.send(&json!({"type": "a.b", "data": 2})).await;
    router.settle().await;
    router.advance(Duration::from_secs(3_600)).await;
    let fresh = all_deliveries(router, &event).await;
    ways.note("delivery", fresh.len());
    for id in prepared.subscriptions.values() {
        router.clock.advance(BETWEEN_TESTS);
        router
            .post(&format!("/api/v1/subscriptions/{id}/test"), &json!({}))
            .await
            .expect(200);
    }
    ways.note("test of a subscription", prepared.subscriptions.len());
    let ended: Vec<&Value> = fresh.iter().filter(|one| one["status"] == "failed").collect();
    for one in &ended {
        let id = one["id"].as_str().expect("an id");
        router
            .post(&format!("/api/v1/deliveries/{id}/resend"), &json!({}))
            .await
            .expect(202);
    }
    router.settle().await;
    ways.note("resend", ended.len());
    let ids: Vec<&Value> = deliveries.iter().map(|one| &one["id"]).collect();
    router
        .post("/api/v1/deliveries/resend", &json!({"ids": ids}))
        .await
        .expect(202);
    router.settle().await;
    ways.note("resend of many", ids.len());
    let asked = json!({"rate": 10_000});
    for id in prepared.subscriptions.values().take(RECOVERED_ALONE) {
        let path = format!("/api/v1/subscriptions/{id}/recover");
        router.post(&path, &asked).await.expect(202);
    }
    router.advance(Duration::from_secs(60)).await;
    let all = json!({"kind": "recover", "rate": 10_000});
    router.post("/api/v1/operations", &all).await.expect(202);
    for _ in 0..3 {
        router.advance(Duration::from_secs(60)).await;
    }
    ways.note("recovery", prepared.subscriptions.len());
    router
        .post("/api/v1/operations", &json!({"kind": "replay", "rate": 10_000}))
        .await
        .expect(202);
    for _ in 0..3 {
        router.advance(Duration::from_secs(60)).await;
    }
    router
        .post(&format!("/api/v1/events/{event}/replay"), &json!({}))
        .await
        .expect(202);
    router.settle().await;
    ways.note("replay", prepared.subscriptions.len());
    // It is told to those that take what Hookway tells of itself.
    let first = prepared.subscriptions.values().next().expect("one at least");
    router
        .post(&format!("/api/v1/subscriptions/{first}/disable"), &json!({}))
        .await
        .expect(200);
    router.settle().await;
    let mut told = 0;
    for id in &prepared.own {
        let list = router
            .get(&format!("/api/v1/subscriptions/{id}/deliveries"))
            .await
            .expect(200);
        let here = list.body["data"].as_array().expect("a list").len();
        assert!(here > 0, "nothing was told to {id}");
        told += here;
    }
    ways.note("what Hookway tells of itself", told);
}

async fn all_deliveries(router: &TestRouter, event: &str) -> Vec<Value> {
    let path = format!("/api/v1/deliveries?event={event}&limit=250");
    router.get(&path).await.expect(200).body["data"]
        .as_array()
        .expect("a list")
        .clone()
}

/// Whether the router may go where it should not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guard {
    On,
    Off,
}

/// Every call that takes a URL, with each target.
async fn calls(prepared: &Prepared, ways: &mut Ways<'_>, guard: Guard) {
    let router = &prepared.router;
    // They take every event, and have had theirs.
    for id in prepared.subscriptions.values() {
        let path = format!("/api/v1/subscriptions/{id}");
        router.call("DELETE", &path, &json!({})).await.expect(204);
    }
    let fine = json!({"name": "fine", "url": "http://public.example/", "events": ["changed.to"]});
    let other = router.subscribe(&fine).await;
    let path = format!("/api/v1/subscriptions/{other}");
    for target in targets() {
        let wish =
            json!({"name": target.id, "url": target.url, "events": ["c.d"], "retry": {"waits": ["1m"]}});
        let made = router.post("/api/v1/subscriptions", &wish).await;
        if guard == Guard::On {
            target.check(made.status, &made.text);
        }
        ways.note("new subscription", 1);
        let changed = router.call("PATCH", &path, &json!({"url": target.url})).await;
        assert_eq!(
            changed.status == 200,
            made.status == 201,
            "{}: {}",
            target.id,
            changed.text
        );
        // Saving sends nothing; what happens now does.
        router
            .send(&json!({"type": "changed.to", "data": target.id}))
            .await;
        router.settle().await;
        ways.note("changed subscription", 1);
        router.clock.advance(BETWEEN_TESTS);
        let tried = router.post("/api/v1/subscriptions/test", &wish).await;
        assert!(matches!(tried.status, 200 | 422), "{}: {}", target.id, tried.text);
        ways.note("test before saving", 1);
        let schema = json!({"name": "c.d", "schema": {"$ref": target.url}});
        let described = router.post("/api/v1/event-types", &schema).await;
        assert!(described.status >= 400, "{}: {}", target.id, described.text);
        ways.note(FETCHING_NOTHING, 1);
        if let Some(host) = target.host() {
            certificate(router, &host, &target.url.replacen("http:", "https:", 1)).await;
            ways.note("certificate of a source", 1);
        }
    }
    router.send(&json!({"type": "c.d", "data": 3})).await;
    router.settle().await;
    router.advance(Duration::from_secs(3_600)).await;
    ways.note("new subscription", 0);
}

/// A source that fetches its sender's certificate from this host, and a request that names it.
async fn certificate(router: &TestRouter, host: &str, url: &str) {
    let preset = json!({"name": "fetches", "preset": "paypal", "secret": "9XL90610J3647323C"});
    let made = router.post("/api/v1/sources", &preset).await.expect(201);
    let path = format!("/api/v1/sources/{}", made.str("/id"));
    let mut verification = made.body["verification"].clone();
    verification["schemes"][0]["certificate_hosts"] = json!([host]);
    let changed = router
        .call("PATCH", &path, &json!({"verification": verification}))
        .await;
    if changed.status == 200 {
        let headers = [
            ("content-type", "application/json"),
            ("paypal-transmission-id", "69cd13f0"),
            ("paypal-transmission-time", "2026-05-19T16:30:00Z"),
            ("paypal-transmission-sig", "AAAAAAAAAAAAAAAAAAAAAA=="),
            ("paypal-auth-algo", "SHA256withRSA"),
            ("paypal-cert-url", url),
            // Asked for in the handshake of CloudEvents; nobody calls back.
            ("webhook-request-callback", url),
        ];
        if http::HeaderValue::from_str(url).is_ok() {
            let refused = router
                .call_open("POST", "/webhooks/fetches", &headers, "{}")
                .await;
            assert!(refused.status >= 400, "{url}: {}", refused.text);
        }
    }
    router.call("DELETE", &path, &json!({})).await.expect(204);
}

#[tokio::test]
async fn nothing_forbidden_is_dialled() {
    if !inside("ssrf::nothing_forbidden_is_dialled") {
        return;
    }
    let network = network().await;
    let mut prepared = prepare().await;
    prepared.router.stop().await;
    prepared.router.configure(guard);
    let mut ways = Ways::new(&network);
    prepared.router.start_again().await;
    stored_ways(&prepared, &mut ways).await;
    calls(&prepared, &mut ways, Guard::On).await;
    prepared.router.stop().await;
    ways.note("certificate of a source", 0);
    let reached = ways.reached();
    assert_eq!(forbidden(&reached), BTreeSet::new(), "{:?}", ways.gone());
    // The network works, and so do names: what is public was reached, under its name and by its address.
    let public: BTreeSet<IpAddr> = reached.iter().map(|(address, _)| *address).collect();
    assert!(
        public.contains(&PUBLIC.parse().expect("an address")),
        "{public:?}"
    );
    assert!(public.len() >= 5, "{public:?}");
    assert!(network.lookups("rebind.example") >= 2 && network.lookups("alias.example") >= 1);
    vectors::every_line_was_sent();
    let tries: BTreeMap<_, _> = ways.gone().iter().map(|(name, way)| (name, way.tries)).collect();
    println!(
        "ssrf: {} targets of 193 vectors, {} ways {tries:?}: {} requests to {} public addresses, 0 forbidden",
        targets().len(),
        tries.len(),
        reached.len(),
        public.len()
    );
}

#[tokio::test]
async fn control_without_the_guard_every_way_reaches_canaries() {
    if !inside("ssrf::control_without_the_guard_every_way_reaches_canaries") {
        return;
    }
    let network = network().await;
    let mut prepared = prepare().await;
    let saved = prepared.subscriptions.len();
    let first = network.dialled();
    let reached = forbidden(&first);
    let requests = first.iter().filter(|one| reached.contains(one)).count();
    assert!(requests >= 50, "{requests} of {saved}: {reached:?}");
    let mut ways = Ways::new(&network);
    stored_ways(&prepared, &mut ways).await;
    calls(&prepared, &mut ways, Guard::Off).await;
    prepared.router.stop().await;
    ways.note("certificate of a source", 0);
    let gone = ways.gone();
    let by_way: BTreeMap<_, _> = gone
        .iter()
        .map(|(name, way)| (*name, way.forbidden().len()))
        .collect();
    for name in SENDING {
        assert!(by_way[name] > 0, "nothing is shown by {name}: {by_way:?}");
    }
    // It is no way out at all: what is there for it was reached on all of the others.
    assert!(gone[FETCHING_NOTHING].reached.is_empty(), "{by_way:?}");
    assert_eq!(by_way.len(), SENDING.len() + 1);
    // What no switch opens stays shut.
    let all = forbidden(&[first, ways.reached()].concat());
    let metadata: BTreeSet<_> = all.iter().filter(|(address, _)| never(*address)).collect();
    assert!(metadata.is_empty(), "{metadata:?}");
    println!(
        "ssrf control: {requests} requests to canaries on {} forbidden addresses by {saved} subscriptions; forbidden \
         addresses reached by each way {by_way:?}",
        reached.len(),
    );
}

fn never(address: IpAddr) -> bool {
    let link_local: ipnet::IpNet = "169.254.0.0/16".parse().expect("a network");
    link_local.contains(&address)
        || ["168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"]
            .contains(&&*address.to_string())
}
