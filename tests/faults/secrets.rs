//! Canary secrets: one of its own in every field that takes a secret, a session in which all of them are
//! used, and then a search of everything that others can read. The log (at its most talkative), every answer
//! that a key with the scope `read` gets, `/metrics`, what `tail` streams, and the bytes of the database with
//! its log and its index, while the router runs and after it ended.
//!
//! Each is searched for in the spellings in which a secret gets about. The control plants texts where they
//! belong (the data of an event, a path of a request) and the same search must find them in each place.

mod canaries;
mod process;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};

use crate::support;
use crate::support::receiver::{Receiver, Reply};
use canaries::Canaries;
use process::{Process, eventually};

/// The admin key of this test, which is one of the canaries.
const ADMIN_KEY: &str = "canary-admin-key-5b1f0c7e9a3d-5b1f0c7e9a3d";

/// All files of the data directory, by name; the key of the vault is kept apart.
fn data(dir: &Path) -> (Vec<(String, Vec<u8>)>, Vec<u8>) {
    let mut files = Vec::new();
    let mut vault = Vec::new();
    let mut todo = vec![dir.join("data")];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() {
                todo.push(path);
            } else if name.ends_with(".key") {
                vault.extend(std::fs::read(path).expect("readable"));
            } else {
                files.push((name, std::fs::read(path).expect("readable")));
            }
        }
    }
    (files, vault)
}

/// Everything is used: made, changed, refused, sent, tried, rotated, deleted.
async fn session(process: &Process, canaries: &mut Canaries, receiver: &Receiver) -> String {
    canaries.know("admin key", ADMIN_KEY);
    let mut keys = Vec::new();
    for (name, scopes) in [
        ("reader", json!(["read"])),
        ("manager", json!(["manage", "ingest"])),
        ("gone", json!(["admin"])),
    ] {
        let made = process
            .made("/api/v1/keys", &json!({"name": name, "scopes": scopes}))
            .await;
        keys.push(canaries.know(&format!("key of {name}"), made["key"].as_str().expect("a key")));
        if name == "gone" {
            let path = format!("/api/v1/keys/{}", made["id"].as_str().expect("an id"));
            process.call("DELETE", &path, &json!({})).await;
        }
    }
    // Nobody listens where somebody listened a moment ago.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let dead = format!("http://{}", closed.expect("a port"));
    for (name, base) in [
        ("good", receiver.url()),
        ("dead", format!("{dead}/hook")),
        ("nowhere", "http://nowhere.invalid/hook".to_owned()),
    ] {
        let (path, query) = (
            canaries.text(&format!("{name} path")),
            canaries.text(&format!("{name} query")),
        );
        let body = json!({
            "name": name, "key": name, "url": format!("{base}/{path}?token={query}"), "events": ["*"],
            "secret": canaries.signing(&format!("{name} old")), "retry": {"waits": ["1s", "1h"]},
            "headers": {"authorization": format!("Bearer {}", canaries.text(&format!("{name} header"))),
                        "x-any": canaries.text(&format!("{name} other header"))},
            "plugins": [{"name": "jq", "config": {"program": format!(". # {}", canaries.text(&format!("{name} configuration")))}}],
        });
        process.made("/api/v1/subscriptions", &body).await;
        process
            .made(&format!("/api/v1/subscriptions/{name}/test"), &json!({}))
            .await;
        process
            .made(
                &format!("/api/v1/subscriptions/{name}/rotate-secret"),
                &json!({"secret": canaries.signing(&format!("{name} new"))}),
            )
            .await;
    }
    // A secret that the router makes.
    let made = process
        .made("/api/v1/subscriptions/good/rotate-secret", &json!({}))
        .await;
    canaries.know("made secret", made["secret"].as_str().expect("a secret"));
    // Wishes that are refused, each for another field than the one that is secret.
    for (field, wish) in [
        (
            "refused url",
            json!({"url": format!("ftp://example.com/{}", canaries.text("refused url"))}),
        ),
        (
            "refused user",
            json!({"url": format!("http://user:{}@127.0.0.1/", canaries.text("refused user"))}),
        ),
        (
            "refused secret",
            json!({"secret": format!("whsec_{}", canaries.text("refused secret"))}),
        ),
        (
            "refused header",
            json!({"headers": {"host": canaries.text("refused header")}}),
        ),
        (
            "refused wish",
            json!({"url": format!("http://127.0.0.1/{}", canaries.text("refused wish")), "filter": "(("}),
        ),
    ] {
        let (status, answer) = process.call("PATCH", "/api/v1/subscriptions/good", &wish).await;
        assert_eq!(status, 422, "{field}: {answer}");
    }
    let tried = json!({
        "name": "t", "url": format!("{}/{}", receiver.url(), canaries.text("tried url")), "events": ["*"],
        "secret": canaries.signing("tried"), "headers": {"x-key": canaries.text("tried header")},
    });
    process.made("/api/v1/subscriptions/test", &tried).await;
    // Keys that are none, where keys and other things go.
    let (wrong, mistyped) = (canaries.text("wrong key"), canaries.text("key in the query"));
    process.ask("GET", "/api/v1/events", &wrong, &[], "").await;
    process
        .ask("GET", &format!("/api/v1/events?api_key={mistyped}"), "", &[], "")
        .await;
    let basic = BASE64.encode(format!("user:{}", canaries.text("basic key")).as_bytes());
    process
        .ask(
            "GET",
            "/api/v1/events",
            "",
            &[("authorization", &format!("Basic {basic}"))],
            "",
        )
        .await;
    sources(process, canaries).await;
    // Events, one of them resent after it was delivered.
    for n in 0..3 {
        process
            .made("/api/v1/events", &json!({"type": "a.b", "data": {"n": n}}))
            .await;
    }
    receiver.wait_for(5).await;
    let ended = eventually("deliveries end", || async {
        let (_, page) = process
            .call("GET", "/api/v1/deliveries?status=delivered", &json!({}))
            .await;
        page["data"].as_array().filter(|list| list.len() >= 3).cloned()
    })
    .await;
    let id = ended[0]["id"].as_str().expect("an id");
    process
        .made(&format!("/api/v1/deliveries/{id}/resend"), &json!({}))
        .await;
    process
        .made(
            "/api/v1/subscriptions/nowhere/disable",
            &json!({"reason": "not there"}),
        )
        .await;
    keys.swap_remove(0)
}

/// Sources of every kind of secret, each used rightly and wrongly.
async fn sources(process: &Process, canaries: &mut Canaries) {
    let json_type = ("content-type", "application/json");
    for preset in ["token", "bearer", "basic", "hmac-sha256", "meta", "github"] {
        let secret = match preset {
            "basic" => format!("user:{}", canaries.text("source basic")),
            _ => canaries.text(&format!("source {preset}")),
        };
        let mut wish = json!({"name": preset, "preset": preset, "secret": secret, "keep_refused": true});
        if preset == "meta" {
            wish["verify_token"] = json!(canaries.text("verify token"));
        }
        process.made("/api/v1/sources", &wish).await;
        let path = format!("/webhooks/{preset}");
        let wrong = canaries.text(&format!("wrong {preset}"));
        let basic = |text: &str| format!("Basic {}", BASE64.encode(text.as_bytes()));
        let (right, other) = match preset {
            "token" => (("x-api-key", secret.clone()), ("x-api-key", wrong.clone())),
            "basic" => (
                ("authorization", basic(&secret)),
                ("authorization", basic(&format!("user:{wrong}"))),
            ),
            _ => (
                ("authorization", format!("Bearer {secret}")),
                ("authorization", format!("Bearer {wrong}")),
            ),
        };
        for (name, value) in [&right, &other] {
            process
                .ask(
                    "POST",
                    &path,
                    "",
                    &[json_type, (name, value)],
                    "{\"type\":\"c.d\"}",
                )
                .await;
        }
        // The same in the URL, as senders without headers do.
        for value in [&secret, &wrong] {
            process
                .ask(
                    "POST",
                    &format!("{path}?api_key={value}&token={value}"),
                    "",
                    &[json_type],
                    "{\"type\":\"e.f\"}",
                )
                .await;
            process
                .ask(
                    "GET",
                    &format!("{path}?hub.mode=subscribe&hub.challenge=1&hub.verify_token={value}"),
                    "",
                    &[],
                    "",
                )
                .await;
        }
        let renewed = canaries.text(&format!("renewed {preset}"));
        let renewed = if preset == "basic" {
            format!("user:{renewed}")
        } else {
            renewed
        };
        process
            .made(
                &format!("/api/v1/sources/{preset}/rotate-secret"),
                &json!({"secret": renewed}),
            )
            .await;
    }
}

/// All that a key which may only read gets to see: every list, and each thing by itself.
async fn seen(process: &Process, key: &str) -> Vec<(String, Vec<u8>)> {
    let mut seen = Vec::new();
    let lists = [
        "subscriptions",
        "webhooks",
        "sources",
        "events",
        "deliveries",
        "receptions",
        "operations",
        "plugins",
        "profiles",
        "event-types",
        "source-presets",
        "deliveries/causes",
        "keys",
        "tenants",
    ];
    for list in lists {
        let path = format!("/api/v1/{list}");
        let (status, text) = process.ask("GET", &path, key, &[], "").await;
        let page: Value = serde_json::from_str(&text).unwrap_or_default();
        seen.push((path.clone(), text.into_bytes()));
        assert!(
            status == 200 || matches!(list, "keys" | "tenants"),
            "{list}: {status}"
        );
        for one in page["data"].as_array().into_iter().flatten() {
            let Some(id) = one["id"].as_str().or(one["name"].as_str()) else {
                continue;
            };
            for more in ["", "/deliveries", "/stats", "/matches", "/receptions"] {
                let path = format!("{path}/{id}{more}");
                let (_, text) = process.ask("GET", &path, key, &[], "").await;
                seen.push((path, text.into_bytes()));
            }
        }
    }
    for path in ["/metrics", "/readyz", "/healthz", "/openapi.json"] {
        let (_, text) = process.ask("GET", path, key, &[], "").await;
        seen.push((path.to_owned(), text.into_bytes()));
    }
    seen
}

/// What `tail` streams meanwhile, until it was silent for a moment.
async fn streamed(mut stream: reqwest::Response) -> Vec<u8> {
    let mut text = Vec::new();
    while let Ok(Ok(Some(piece))) = tokio::time::timeout(Duration::from_secs(1), stream.chunk()).await {
        text.extend_from_slice(&piece);
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_anywhere() {
    let dir = tempfile::tempdir().expect("a directory");
    let cookie = "canary-cookie-of-an-answer-20261";
    let answers = Reply::Full(
        200,
        vec![("set-cookie", format!("session={cookie}"))],
        bytes::Bytes::from_static(b"fine"),
    );
    let receiver = Receiver::scripted([], answers).await;
    let process = Process::start(dir.path());
    let mut canaries = Canaries::default();
    canaries.know("cookie", cookie);
    let tail = format!("{}/api/v1/tail", process.url);
    let tail = support::client::http()
        .get(tail)
        .bearer_auth(ADMIN_KEY)
        .send()
        .await
        .expect("an answer");
    let reader = session(&process, &mut canaries, &receiver).await;
    // What has to arrive arrived with the secrets in it, so they were in use.
    let arrived = receiver
        .received()
        .iter()
        .any(|request| request.header("authorization").contains("canary-good-header"));
    assert!(arrived, "the header of a subscription arrives");
    let (running, vault) = data(dir.path());
    let mut places = seen(&process, &reader).await;
    places.push(("tail".to_owned(), streamed(tail).await));
    places.extend(running);
    let planted = plant(&process).await;
    process.end().await;
    let (files, _) = data(dir.path());
    places.extend(files);
    let log = places
        .iter()
        .any(|(name, bytes)| name.ends_with("-wal") && !bytes.is_empty());
    assert!(log, "no log of the database was searched");
    places.push((
        "log".to_owned(),
        std::fs::read(dir.path().join("log")).expect("a log"),
    ));

    // The key of the vault, as it lies in its file and in the two spellings of bytes.
    assert!(vault.len() >= 32, "{}", vault.len());
    canaries.know("key of the vault", &BASE64.encode(&vault));
    canaries.know("key of the vault in hexadecimal", &HEXLOWER.encode(&vault));
    let found: Vec<String> = places
        .iter()
        .flat_map(|(place, bytes)| canaries.found(place, bytes))
        .collect();
    assert!(found.is_empty(), "{found:#?}");

    // The control: the same search over the same places finds what was put there on purpose.
    for (what, text, place) in planted {
        let control = Canaries(BTreeMap::from([(what.to_owned(), text.to_owned())]));
        let found = places
            .iter()
            .filter(|(name, _)| name.contains(place))
            .flat_map(|(name, bytes)| control.found(name, bytes));
        assert!(
            found.count() > 0,
            "{what} is in {place}, and the search does not find it"
        );
    }
    let bytes: usize = places.iter().map(|(_, bytes)| bytes.len()).sum();
    println!(
        "secrets: {} canaries, {} places with {} KiB searched: 0 found; 2 of 2 planted texts found",
        canaries.0.len(),
        places.len(),
        bytes >> 10
    );
}

/// Texts that may be read, and where.
async fn plant(process: &Process) -> [(&'static str, &'static str, &'static str); 2] {
    let (data, path) = (
        "planted-data-of-an-event-90121",
        "planted-path-of-a-request-90122",
    );
    process
        .made("/api/v1/events", &json!({"type": "x.y", "data": {"text": data}}))
        .await;
    process
        .ask("GET", &format!("/api/v1/{path}"), ADMIN_KEY, &[], "")
        .await;
    [("data", data, ".db"), ("path", path, "log")]
}
