//! Sources by the API: made, shown, changed, switched off, removed; bad wishes and what is said of them.

use serde_json::{Value, json};

use super::sender::Call;
use crate::support::TestRouter;

#[tokio::test]
async fn a_source_lives_as_other_resources_do() {
    let mut router = TestRouter::with(|config| {
        config.server.public_url = Some("https://hooks.example.com".to_owned());
    })
    .await;
    let made = router
        .post("/api/v1/sources", &json!({"name": "gh", "preset": "github"}))
        .await
        .expect(201);
    assert!(made.str("/secret").len() >= 32, "made here and shown once");
    assert_eq!(made.body["path"], "/webhooks/gh");
    assert_eq!(made.body["url"], "https://hooks.example.com/webhooks/gh");
    assert_eq!(made.headers["etag"], "\"1\"");
    let id = made.str("/id");
    let secret = made.str("/secret");
    for path in [format!("/api/v1/sources/{id}"), "/api/v1/sources/gh".to_owned()] {
        let shown = router.get(&path).await.expect(200);
        assert_eq!((&shown.body["id"], shown.body.get("secret")), (&json!(id), None));
        assert!(!shown.text.contains(&secret));
    }
    let changed = router
        .call(
            "PATCH",
            "/api/v1/sources/gh",
            &json!({"description": "our organisation", "name": "github"}),
        )
        .await
        .expect(200);
    assert_eq!(
        (&changed.body["version"], &changed.body["path"]),
        (&json!(2), &json!("/webhooks/github"))
    );
    let stale = router
        .call_raw(
            "PATCH",
            "/api/v1/sources/github",
            &[("if-match", "\"1\""), ("content-type", "application/json")],
            "{}",
        )
        .await;
    assert_eq!(stale.status, 412, "{}", stale.text);
    assert_eq!(Call::default().post(&router, "gh").await.status, 404);
    assert_eq!(Call::default().post(&router, "github").await.status, 401);
    router
        .post("/api/v1/sources/github/disable", &json!({}))
        .await
        .expect(200);
    assert_eq!(
        Call::default().post(&router, "github").await.status,
        404,
        "as if it were not there"
    );
    router.restart().await;
    assert_eq!(
        router.get("/api/v1/sources/github").await.expect(200).body["enabled"],
        false
    );
    router
        .post("/api/v1/sources/github/enable", &json!({}))
        .await
        .expect(200);
    let list = router.get("/api/v1/sources").await.expect(200);
    assert_eq!(list.body["data"].as_array().unwrap().len(), 1);
    router
        .call("DELETE", "/api/v1/sources/github", &json!({}))
        .await
        .expect(204);
    router.get("/api/v1/sources/github").await.expect(404);
    assert_eq!(Call::default().post(&router, "github").await.status, 404);
}

#[tokio::test]
async fn a_reader_sees_sources_but_may_not_change_them() {
    let mut router = TestRouter::start().await;
    router
        .post("/api/v1/sources", &json!({"name": "a", "preset": "none"}))
        .await
        .expect(201);
    let key = router
        .post("/api/v1/keys", &json!({"name": "r", "scopes": ["read"]}))
        .await
        .expect(201)
        .str("/key");
    router.use_key(&key);
    let shown = router.get("/api/v1/sources/a").await.expect(200);
    assert!(
        shown.str("/note").contains("whoever knows the address"),
        "{}",
        shown.text
    );
    router
        .post("/api/v1/sources", &json!({"name": "b", "preset": "none"}))
        .await
        .expect(403);
    router
        .call("DELETE", "/api/v1/sources/a", &json!({}))
        .await
        .expect(403);
    router
        .call("PATCH", "/api/v1/sources/a", &json!({"enabled": false}))
        .await
        .expect(403);
}

#[tokio::test]
async fn bad_wishes_are_refused_by_their_place() {
    let router = TestRouter::start().await;
    router
        .post("/api/v1/sources", &json!({"name": "taken", "preset": "none"}))
        .await
        .expect(201);
    let table: Vec<(Value, &str, &str)> = vec![
        (json!({"preset": "github"}), "/name", "must"),
        (json!({"name": "A b"}), "/name", "lower-case"),
        (json!({"name": "a", "preset": "githbu"}), "/preset", "github"),
        (
            json!({"name": "a", "preset": "stripe"}),
            "/secret",
            "must be given",
        ),
        (
            json!({"name": "a", "preset": "discord", "secret": "not hex"}),
            "/secret",
            "hex",
        ),
        (
            json!({"name": "a", "preset": "none", "secret": "s"}),
            "/secret",
            "verifies nothing",
        ),
        (
            json!({"name": "a", "preset": "standard-webhooks", "secret": "plain"}),
            "/secret",
            "whsec_",
        ),
        (
            json!({"name": "a", "preset": "none", "evnets": {}}),
            "/evnets",
            "events",
        ),
        (
            json!({"name": "a", "preset": "none", "events": {"type": "{headr:x}"}}),
            "/events/type/0",
            "header",
        ),
        (
            json!({"name": "a", "preset": "none", "events": {"type": []}}),
            "/events/type",
            "one",
        ),
        (
            json!({"name": "a", "preset": "none", "events": {"split": "items"}}),
            "/events/split",
            "JSON Pointer",
        ),
        (
            json!({"name": "a", "preset": "none", "allowed_ips": ["10.0.0.0/33"]}),
            "/allowed_ips/0",
            "network",
        ),
        (
            json!({"name": "a", "preset": "none", "response": {"status": 500}}),
            "/response/status",
            "200",
        ),
        (
            json!({"name": "a", "preset": "none", "response": {"headers": {"a b": "c"}}}),
            "/response/headers/a b",
            "header",
        ),
        (
            json!({"name": "a", "preset": "none", "body_bytes_max": 0}),
            "/body_bytes_max",
            "from",
        ),
        (
            json!({"name": "a", "preset": "none", "public_url": "nowhere"}),
            "/public_url",
            "http",
        ),
        (
            json!({"name": "a", "verification": {"kind": "magic"}}),
            "/verification",
            "magic",
        ),
        (
            json!({"name": "a", "verification": {"kind": "signature", "schemes": []}, "secret": "s"}),
            "/verification/schemes",
            "1 to 8",
        ),
    ];
    for (body, pointer, word) in table {
        let answer = router.post("/api/v1/sources", &body).await;
        assert_eq!(answer.status, 422, "{body}: {}", answer.text);
        let fault = &answer.body["errors"][0];
        assert_eq!(fault["pointer"], pointer, "{body}: {}", answer.text);
        assert!(
            fault["detail"].as_str().unwrap().contains(word),
            "{body}: {}",
            answer.text
        );
    }
    let taken = router
        .post("/api/v1/sources", &json!({"name": "taken", "preset": "none"}))
        .await;
    assert_eq!(
        (taken.status, &taken.body["errors"][0]["pointer"]),
        (409, &json!("/name")),
        "{}",
        taken.text
    );
}

#[tokio::test]
async fn every_preset_says_where_its_secret_is_and_makes_a_source() {
    let router = TestRouter::start().await;
    let presets = router.get("/api/v1/source-presets").await.expect(200);
    let all = presets.body["data"].as_array().unwrap();
    assert!(all.len() >= 20);
    for preset in all {
        let name = preset["name"].as_str().unwrap();
        assert!(!preset["title"].as_str().unwrap().is_empty());
        let url = "https://hooks.example.com/x";
        let body = json!({"name": name, "preset": name, "public_url": url, "verify_token": "t"});
        let answer = router.post("/api/v1/sources", &body).await;
        if preset["secret_made_by"] == "service" {
            let detail = answer.body["errors"][0]["detail"].as_str().unwrap().to_owned();
            assert!(
                detail.contains(preset["secret"].as_str().unwrap()),
                "{name}: {}",
                answer.text
            );
        } else {
            assert_eq!(answer.status, 201, "{name}: {}", answer.text);
            assert_eq!(answer.body.get("secret").is_some(), name != "none", "{name}");
        }
    }
}

#[tokio::test]
async fn a_stored_source_that_is_not_valid_any_more_keeps_nothing_else_from_working() {
    let mut router = TestRouter::start().await;
    for name in ["old", "odd", "good"] {
        let body = json!({"name": name, "preset": "none", "description": "d"});
        router.post("/api/v1/sources", &body).await.expect(201);
    }
    router.stop().await;
    // As a version that knows another preset would have left it.
    let file = std::fs::read_dir(router.data_dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|kind| kind == "db"))
        .expect("the database");
    let database = rusqlite::Connection::open(file).unwrap();
    let changed = database
        .execute(
            "UPDATE source SET document = json_set(document, '$.preset', 'of-tomorrow'), sum = NULL WHERE name = 'old'",
            [],
        )
        .unwrap();
    assert_eq!(changed, 1);
    database
        .execute(
            "UPDATE source SET document = json_set(document, '$.settings.colour', 1), sum = NULL WHERE name = 'odd'",
            [],
        )
        .unwrap();
    drop(database);
    router.start_again().await;

    let call = Call::new("application/json", r#"{"type":"a"}"#);
    assert_eq!(call.post(&router, "good").await.status, 200);
    let refused = call.post(&router, "old").await;
    assert_eq!(
        refused.status, 503,
        "its sender shall come again: {}",
        refused.text
    );
    assert!(refused.headers.contains_key("retry-after"));
    let shown = router.get("/api/v1/sources/old").await.expect(200);
    assert_eq!(
        (&shown.body["preset"], &shown.body["description"]),
        (&json!("of-tomorrow"), &json!("d"))
    );
    assert!(
        shown.str("/fault").contains("not a known preset"),
        "{}",
        shown.text
    );
    assert_eq!(shown.body.get("note"), None);
    // Settings that cannot be read are not replaced in silence.
    assert_eq!(call.post(&router, "odd").await.status, 503);
    let shown = router.get("/api/v1/sources/odd").await.expect(200);
    assert!(
        shown.str("/fault").contains("unknown field `colour`"),
        "{}",
        shown.text
    );
    let answer = router
        .call("PATCH", "/api/v1/sources/odd", &json!({"enabled": true}))
        .await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    router
        .call("DELETE", "/api/v1/sources/odd", &json!(null))
        .await
        .expect(204);
    // Other changes do not make it valid; this one does.
    let renamed = json!({"name": "older"});
    let answer = router
        .call("PATCH", "/api/v1/sources/old", &renamed)
        .await
        .expect(422);
    assert_eq!(answer.body["errors"][0]["pointer"], "/preset");
    let mended = json!({"preset": "none"});
    let answer = router
        .call("PATCH", "/api/v1/sources/old", &mended)
        .await
        .expect(200);
    assert_eq!(answer.body.get("fault"), None);
    assert_eq!(call.post(&router, "old").await.status, 200);
}

#[tokio::test]
async fn a_secret_is_not_taken_away() {
    let router = TestRouter::start().await;
    let made = json!({"name": "gh", "preset": "github", "secret": "s"});
    router.post("/api/v1/sources", &made).await.expect(201);
    let answer = router
        .call("PATCH", "/api/v1/sources/gh", &json!({"secret": null}))
        .await
        .expect(422);
    assert_eq!(answer.body["errors"][0]["pointer"], "/secret");
    // Where there is none, there is nothing to take away.
    router
        .post(
            "/api/v1/sources",
            &json!({"name": "n", "preset": "none", "secret": null}),
        )
        .await
        .expect(201);
    router
        .call("PATCH", "/api/v1/sources/n", &json!({"secret": null}))
        .await
        .expect(200);
}

#[tokio::test]
async fn addresses_have_two_spellings_and_one_meaning() {
    let router = TestRouter::start().await;
    let made = json!({"name": "n", "preset": "none", "allowed_ips": ["::ffff:127.0.0.0/104"]});
    let made = router.post("/api/v1/sources", &made).await.expect(201);
    assert_eq!(made.body["allowed_ips"], json!(["127.0.0.0/8"]));
    let call = Call::new("application/json", r#"{"type":"a"}"#);
    assert_eq!(call.post(&router, "n").await.status, 200);
}

/// Whoever brings a secret has it. Saying it again would put it into terminals and logs for nothing.
#[tokio::test]
async fn a_secret_that_was_given_is_not_said_again() {
    let router = TestRouter::start().await;
    let given = json!({"name": "pay", "preset": "stripe", "secret": "whsec_brought_here"});
    let made = router.post("/api/v1/sources", &given).await.expect(201);
    assert!(!made.text.contains("whsec_brought_here"), "{}", made.text);
    let path = "/api/v1/sources/pay/rotate-secret";
    let other = json!({"secret": "whsec_brought_later"});
    let rotated = router.post(path, &other).await.expect(200);
    assert!(!rotated.text.contains("whsec_brought"), "{}", rotated.text);
    let free = json!({"name": "gh", "preset": "github"});
    router.post("/api/v1/sources", &free).await.expect(201);
    let path = "/api/v1/sources/gh/rotate-secret";
    let rotated = router.post(path, &json!({})).await.expect(200);
    assert!(rotated.str("/secret").starts_with("whsec_"));
}

#[tokio::test]
async fn a_patch_of_events_keeps_what_it_does_not_name() {
    let router = TestRouter::start().await;
    let events = json!({"type": "shop.{json:/kind}", "id": ["{json:/id}"], "subject": "{json:/order}"});
    let made = json!({"name": "s", "preset": "none", "events": events});
    router.post("/api/v1/sources", &made).await.expect(201);
    let patch = async |events: Value| {
        let answer = router
            .call("PATCH", "/api/v1/sources/s", &json!({ "events": events }))
            .await;
        answer.expect(200).body["events"].clone()
    };
    let changed = patch(json!({"id": "{json:/number}", "subject": null})).await;
    assert_eq!(changed["type"], json!(["shop.{json:/kind}"]), "not named");
    assert_eq!(changed["id"], json!(["{json:/number}"]));
    assert_eq!(
        changed["subject"],
        json!(["{json:/subject}"]),
        "the preset's again"
    );
    assert_eq!(
        patch(json!({"id": []})).await["id"],
        json!([]),
        "nothing is a repetition"
    );
    let bare = patch(json!(null)).await;
    assert_ne!(bare["type"], json!(["shop.{json:/kind}"]), "the preset's again");
    let bad = json!({"events": {"id": 5, "kind": "x"}});
    let refused = router.call("PATCH", "/api/v1/sources/s", &bad).await.expect(422);
    let places: Vec<&str> = refused.body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(places, ["/events/id", "/events/kind"]);
}
