//! Events, subscriptions and plugins from the first request to the last.

use super::*;
use crate::subscription::Status;

#[tokio::test]
async fn an_event_is_accepted_durably_and_handed_over() {
    let house = house().await;
    let subscription = house.subscribe(json!({})).await;
    assert_eq!(
        subscription.status,
        StatusCode::CREATED,
        "{}",
        subscription.json()
    );
    assert!(subscription.field("secret").starts_with("whsec_") && subscription.json()["enabled"] == true);
    let body = r#"{"type":"alert.created", "data" : {"n": 1.0,  "big":12345678901234567890123}}"#;
    let accepted = house.call("POST", "/events", body).await;
    assert_eq!(
        (accepted.status, &accepted.json()["matched"]),
        (StatusCode::ACCEPTED, &json!(1))
    );
    let (event, rows) = house.taken.offered.lock().unwrap().pop().unwrap();
    assert_eq!(&event.data[..], br#"{"n": 1.0,  "big":12345678901234567890123}"#);
    assert_eq!((rows.len(), event.id.to_string()), (1, accepted.field("id")));
    let shown = house
        .call("GET", &format!("/events/{}", accepted.field("id")), NOTHING)
        .await;
    let text = String::from_utf8(shown.body.to_vec()).unwrap();
    assert!(
        text.contains(r#""data":{"n": 1.0,  "big":12345678901234567890123}"#),
        "{text}"
    );
    let deliveries = house
        .call("GET", "/deliveries?status=pending", NOTHING)
        .await
        .json();
    assert_eq!(deliveries["data"][0]["id"], rows[0].delivery.to_string());
    assert_eq!(
        deliveries["data"][0]["next_attempt_at"],
        "2026-05-19T16:30:00.000Z"
    );
    let why = house
        .call(
            "GET",
            &format!("/events/{}/matches", accepted.field("id")),
            NOTHING,
        )
        .await
        .json();
    assert_eq!(why["data"][0]["matched"], true, "{why}");
}

#[tokio::test]
async fn arrays_duplicates_and_unmatched_events_are_answered_as_promised() {
    let house = house().await;
    let one = r#"{"type":"a","data":1,"id":"x"}"#;
    let first = house.call("POST", "/events", one).await.json();
    assert!(
        first["note"].is_string() && first.get("duplicate").is_none(),
        "{first}"
    );
    let again = house.call("POST", "/events", one).await.json();
    assert_eq!((&again["id"], &again["duplicate"]), (&first["id"], &json!(true)));
    let other = house
        .call("POST", "/events", r#"{"type":"a","data":2,"id":"x"}"#)
        .await;
    assert_eq!(other.problem(), "409 idempotency-conflict /id");
    let many = house
        .call(
            "POST",
            "/events",
            r#"[{"type":"a","data":1},{"type":"b","data":2}]"#,
        )
        .await;
    assert_eq!(
        (many.status, many.json()["data"].as_array().unwrap().len()),
        (StatusCode::ACCEPTED, 2)
    );
    let key = |body: &'static str| {
        let request = Request::post("/api/v1/events").header(AUTHORIZATION, format!("Bearer {ADMIN}"));
        request
            .header("Idempotency-Key", "k1")
            .body(Body::from(body))
            .unwrap()
    };
    let first = house.send(key(r#"{"type":"a","data":1}"#)).await.json();
    assert_eq!(
        house.send(key(r#"{"type":"a","data":1}"#)).await.json()["id"],
        first["id"]
    );
    assert_eq!(
        house.send(key(r#"{"type":"a","data":2}"#)).await.problem(),
        "409 idempotency-conflict"
    );
}

#[tokio::test]
async fn a_subscription_lives_its_life() {
    let house = house().await;
    let made = house
        .subscribe(json!({"key":"slack","headers":{"X-Token":"t0p"},"filter":"true"}))
        .await;
    let secret = made.field("secret");
    assert_eq!(made.headers[ETAG], "\"1\"");
    assert_eq!(
        house.subscribe(json!({"key":"slack"})).await.problem(),
        "409 conflict /key"
    );
    let shown = house.call("GET", "/webhooks/slack", NOTHING).await.json();
    assert_eq!(
        (&shown["url"], &shown["headers"]["X-Token"]),
        (&json!("https://example.com/hook/token"), &json!("t0p"))
    );
    assert!(shown.get("secret").is_none());
    let read = house.key(&["read"]).await;
    let masked = house
        .call_as(&read, "GET", "/subscriptions/slack", NOTHING)
        .await
        .json();
    assert_eq!(
        (&masked["url"], &masked["headers"]["X-Token"]),
        (&json!("https://example.com/…"), &json!("…"))
    );
    let patched = house
        .call("PATCH", "/subscriptions/slack", r#"{"filter":null,"name":"new"}"#)
        .await;
    assert_eq!(
        (patched.field("name"), &patched.json()["filter"]),
        ("new".into(), &Value::Null)
    );
    assert_eq!(
        house
            .call("PATCH", "/subscriptions/slack", r#"{"url":null}"#)
            .await
            .problem(),
        "422 invalid /url"
    );
    let request =
        Request::patch("/api/v1/subscriptions/slack").header(AUTHORIZATION, format!("Bearer {ADMIN}"));
    let stale = house
        .send(request.header(IF_MATCH, "\"1\"").body(Body::from("{}")).unwrap())
        .await;
    assert_eq!(stale.problem(), "412 changed");
    let rotated = house
        .call(
            "POST",
            "/subscriptions/slack/rotate-secret",
            r#"{"overlap_seconds":60}"#,
        )
        .await;
    assert_ne!(rotated.field("secret"), secret);
    assert_eq!(
        rotated.json()["old_secrets_until"],
        json!(["2026-05-19T16:31:00.000Z"])
    );
    let off = house
        .call(
            "POST",
            "/subscriptions/slack/disable",
            r#"{"reason":"maintenance"}"#,
        )
        .await;
    assert_eq!(
        (&off.json()["enabled"], off.field("status_reason")),
        (&json!(false), "maintenance".into())
    );
    house
        .call("POST", "/events", r#"{"type":"alert.x","data":1}"#)
        .await;
    let held = house
        .call("GET", "/subscriptions/slack/deliveries?status=held", NOTHING)
        .await
        .json();
    assert_eq!(
        (&held["data"][0]["status"], &held["data"][0]["reason"]),
        (&json!("held"), &json!("maintenance"))
    );
    assert_eq!(
        house
            .call("GET", "/deliveries?status=pending", NOTHING)
            .await
            .json()["data"],
        json!([])
    );
    assert_eq!(
        house
            .call("POST", "/subscriptions/slack/enable", NOTHING)
            .await
            .json()["enabled"],
        true
    );
    let pending = house
        .call("GET", "/deliveries?status=pending", NOTHING)
        .await
        .json();
    let id = pending["data"][0]["id"].as_str().unwrap().to_owned();
    let resent = house
        .call("POST", &format!("/deliveries/{id}/resend"), NOTHING)
        .await;
    assert_eq!(
        (resent.status, resent.field("status")),
        (StatusCode::ACCEPTED, "pending".into())
    );
    assert_eq!(house.taken.queued.lock().unwrap().len(), 1);
    assert_eq!(
        house.call("DELETE", "/subscriptions/slack", NOTHING).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        house.call("GET", "/subscriptions/slack", NOTHING).await.problem(),
        "404 not-found"
    );
    assert!(house.store.subscriptions().await.unwrap().is_empty());
}

#[tokio::test]
async fn lists_are_cut_into_pages() {
    let house = house().await;
    house.subscribe(json!({})).await;
    let events: Vec<Value> = (0..5).map(|n| json!({"type":"alert.x","data":n})).collect();
    house
        .call("POST", "/events", Value::from(events).to_string())
        .await;
    for list in ["/events?source=api", "/deliveries", "/deliveries?status=pending"] {
        let (mut path, mut seen) = (list.to_owned(), Vec::new());
        let join = if list.contains('?') { '&' } else { '?' };
        path.push_str(&format!("{join}limit=2"));
        loop {
            let page = house.call("GET", &path, NOTHING).await.json();
            seen.extend(
                page["data"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|row| row["id"].to_string()),
            );
            let Some(next) = page["next"].as_str() else { break };
            path = format!("{list}{join}limit=2&cursor={next}");
        }
        let mut sorted = seen.clone();
        sorted.sort_by(|a, b| b.cmp(a));
        sorted.dedup();
        assert_eq!((seen.len(), &seen), (5, &sorted), "{list}");
    }
}

#[tokio::test]
async fn a_plugin_is_uploaded_run_and_guarded() {
    let house = house().await;
    let listed = house.call("GET", "/plugins", NOTHING).await.json();
    assert_eq!(
        (&listed["data"][0]["name"], &listed["data"][0]["origin"]),
        (&json!("echo"), &json!("first-party"))
    );
    let version = |marker: &str| component(&format!("(func $marker_{marker})"));
    let first = house.call("PUT", "/plugins/mine", version("one")).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.json());
    assert_eq!(
        house.call("PUT", "/plugins/mine", version("one")).await.status,
        StatusCode::OK
    );
    let run = r#"{"event":{"type":"a","data":{"b": 1}}}"#;
    let ran = house.call("POST", "/plugins/mine/run", run).await.json();
    assert_eq!(
        (&ran["outcome"], &ran["requests"][0]["body"]),
        (&json!("deliver"), &json!("{\"b\": 1}")),
        "{ran}"
    );
    let follower = house.subscribe(json!({"plugins":[{"name":"mine"}]})).await;
    assert_eq!(follower.status, StatusCode::CREATED, "{}", follower.json());
    assert!(
        house
            .call("DELETE", "/plugins/mine", NOTHING)
            .await
            .problem()
            .starts_with("409 conflict")
    );
    let refusing = component(include_str!("../../../../tests/guests/refuses_config.wat"));
    let id = follower.field("id");
    let refused = house.call("PUT", "/plugins/mine", refusing.clone()).await;
    assert_eq!(
        refused.problem(),
        format!("409 conflict /subscriptions/{id}/plugins/0/config/channel")
    );
    assert_eq!(
        house.call("GET", "/plugins/mine", NOTHING).await.field("digest"),
        first.field("digest")
    );
    let forced = house.call("PUT", "/plugins/mine?force", refusing).await;
    assert_eq!(
        (forced.status, &forced.json()["held"]),
        (StatusCode::CREATED, &json!([id])),
        "{}",
        forced.json()
    );
    assert_eq!(
        house
            .call("GET", &format!("/subscriptions/{id}"), NOTHING)
            .await
            .field("status"),
        "held"
    );
    let wrong = house
        .subscribe(json!({"plugins":[{"name":"mine","config":{}}]}))
        .await;
    assert_eq!(wrong.problem(), "422 invalid /plugins/0/config/channel");
    let pinned = json!({"plugins":[{"name":"mine","digest":first.field("digest")}]}).to_string();
    let mended = house.call("PATCH", &format!("/subscriptions/{id}"), pinned).await;
    assert_eq!(
        mended.json()["enabled"],
        true,
        "a change ends a hold: {}",
        mended.json()
    );
    house
        .call("DELETE", &format!("/subscriptions/{id}"), NOTHING)
        .await;
    assert_eq!(
        house.call("DELETE", "/plugins/mine", NOTHING).await.status,
        StatusCode::NO_CONTENT
    );
}

#[tokio::test]
async fn an_uploaded_plugin_stands_before_a_first_party_one_of_its_name() {
    let house = house().await;
    let own = house.call("GET", "/plugins/echo", NOTHING).await;
    assert_eq!(own.field("origin"), "first-party");
    let uploaded = house
        .call("PUT", "/plugins/echo", component("(func $mine)"))
        .await;
    assert_eq!(
        (uploaded.status, uploaded.field("origin")),
        (StatusCode::CREATED, "uploaded".into())
    );
    assert_ne!(uploaded.field("digest"), own.field("digest"));
    let tenant = house.control.default_tenant();
    let pinned = own.field("digest").parse().unwrap();
    let old = house
        .control
        .catalogue()
        .resolve(tenant, "echo", Some(pinned))
        .await
        .unwrap();
    assert_eq!(old.digest(), pinned, "a digest means one version for ever");
    assert_eq!(
        house.call("DELETE", "/plugins/echo", NOTHING).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        house.call("GET", "/plugins/echo", NOTHING).await.field("digest"),
        own.field("digest")
    );
}

#[tokio::test]
async fn who_wants_the_same_plugin_at_once_gets_the_same() {
    let house = house().await;
    let (catalogue, tenant) = (house.control.catalogue(), house.control.default_tenant());
    let all = (0..8).map(|_| catalogue.resolve(tenant, "echo", None));
    let all = futures_util::future::try_join_all(all).await.unwrap();
    assert!(all.windows(2).all(|pair| Arc::ptr_eq(&pair[0], &pair[1])));
    assert!(matches!(
        catalogue.resolve(tenant, "none", None).await,
        Err(crate::catalogue::Error::Unknown { .. })
    ));
}

#[tokio::test]
async fn the_router_itself_stops_only_what_is_enabled() {
    let house = house().await;
    let made = house.subscribe(json!({})).await.field("id");
    let id = made.parse().unwrap();
    let version = 1;
    let held = || Status::Held {
        since: Timestamp::from_millis(1),
        reason: "gone".into(),
        probe_at: None,
    };
    let other_version = house.control.stop(id, version + 1, held(), 0).await.unwrap();
    assert!(other_version.is_none(), "what went wrong was another version");
    assert!(
        house
            .control
            .stop(id, version, held(), 0)
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(
        house
            .call("GET", &format!("/subscriptions/{made}"), NOTHING)
            .await
            .field("status"),
        "held"
    );
    house
        .call("POST", &format!("/subscriptions/{made}/disable"), NOTHING)
        .await;
    assert!(
        house
            .control
            .stop(id, version, held(), 0)
            .await
            .unwrap()
            .is_none(),
        "a person's word stays"
    );
    let shown = house
        .call("GET", &format!("/subscriptions/{made}"), NOTHING)
        .await;
    assert_eq!(shown.field("status"), "disabled");
}
