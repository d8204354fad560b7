//! Event types as people and programs use them: described, loaded from catalogues, listed in two
//! languages, and held to their schemas where the operator says so.

use hookway::config::{UnknownTypes, Validate};
use serde_json::{Value, json};

use crate::support::TestRouter;

const TYPES: &str = "/api/v1/event-types";

fn names(list: &Value) -> Vec<&str> {
    let names = list.as_array().expect("a list").iter();
    names
        .map(|one| one["name"].as_str().unwrap_or_default())
        .collect()
}

fn pointers(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().expect("errors").iter();
    errors
        .map(|one| one["pointer"].as_str().unwrap_or_default())
        .collect()
}

/// WF-13, AE-04, IB-04, WX-01.
#[tokio::test]
async fn the_types_of_the_products_load_as_catalogues() {
    let mut router = TestRouter::start().await;
    let catalogues = router.get("/api/v1/event-type-catalogues").await.expect(200);
    let listed = catalogues.body["data"].as_array().unwrap();
    let sizes: Vec<(&str, usize)> = listed
        .iter()
        .map(|one| {
            (
                one["name"].as_str().unwrap(),
                one["event_types"].as_array().unwrap().len(),
            )
        })
        .collect();
    assert_eq!(
        sizes,
        [
            ("workflows", 25),
            ("aetherflow", 12),
            ("inboundflow", 4),
            ("workflux", 9)
        ]
    );
    router
        .post("/api/v1/tenants", &json!({"name": "other"}))
        .await
        .expect(201);
    for (catalogue, count) in sizes {
        router.use_tenant(Some("other"));
        for name in names(&router.get(TYPES).await.expect(200).body["data"]) {
            router
                .call("DELETE", &format!("{TYPES}/{name}"), &Value::Null)
                .await
                .expect(204);
        }
        let load = json!({"catalogue": catalogue});
        let loaded = router
            .post(&format!("{TYPES}/load"), &load)
            .await
            .expect(200)
            .body;
        assert_eq!(loaded["added"].as_array().unwrap().len(), count, "{catalogue}");
        let list = router.get(TYPES).await.expect(200).body;
        let mut expected: Vec<&str> = listed
            .iter()
            .find(|one| one["name"] == catalogue)
            .and_then(|one| one["event_types"].as_array())
            .map(|types| types.iter().filter_map(Value::as_str).collect())
            .unwrap();
        expected.sort_unstable();
        assert_eq!(names(&list["data"]), expected);
        // A second time there is nothing to do.
        let again = router
            .post(&format!("{TYPES}/load"), &load)
            .await
            .expect(200)
            .body;
        assert_eq!(again["unchanged"].as_array().unwrap().len(), count);
        assert_eq!((&again["added"], &again["changed"]), (&json!([]), &json!([])));
    }
    router.use_tenant(None);
    let own = router.get(TYPES).await.expect(200).body;
    assert_eq!(own["data"], json!([]), "another tenant's types are its own");
}

/// WF-13: groups, and descriptions in the caller's language.
#[tokio::test]
async fn types_are_listed_by_group_and_in_the_callers_language() {
    let mut router = TestRouter::start().await;
    router
        .post(&format!("{TYPES}/load"), &json!({"catalogue": "workflows"}))
        .await
        .expect(200);
    let list = router
        .get(&format!("{TYPES}?group=API%20Keys"))
        .await
        .expect(200)
        .body;
    assert_eq!(names(&list["data"]), ["api_key.created", "api_key.deleted"]);
    router.restart().await;
    let path = format!("{TYPES}/alert.critical");
    for (accept, language, text) in [
        ("es-MX,es;q=0.9", "es", "Se creó una alerta de severidad crítica"),
        ("fr", "en", "An alert of critical severity was created"),
    ] {
        let shown = router
            .call_raw("GET", &path, &[("accept-language", accept)], "")
            .await
            .expect(200);
        assert_eq!(shown.str("/description"), text);
        assert_eq!(shown.headers["content-language"], language);
        assert_eq!(shown.body["descriptions"].as_object().unwrap().len(), 2);
        let list = router
            .call_raw("GET", TYPES, &[("accept-language", accept)], "")
            .await
            .expect(200);
        assert!(list.text.contains(text), "{}", list.text);
        assert_eq!(list.headers["vary"], "accept-language");
    }
    let sample = router.get(&format!("{TYPES}/alert.created")).await.expect(200);
    assert_eq!(sample.str("/sample/id"), "alert_xyz789");
    assert_eq!(sample.body["schema"]["type"], "object");
    assert_eq!(sample.body["group"], "Alerts");
}

#[tokio::test]
async fn a_type_is_described_changed_and_forgotten() {
    let mut router = TestRouter::start().await;
    let body = json!({
        "name": "order/eu.paid", "group": "Orders", "descriptions": {"en": "An order was paid"},
        "schema": {"type": "object", "required": ["id"]}, "sample": {"id": 1},
    });
    let made = router.post(TYPES, &body).await.expect(201);
    assert_eq!(
        made.headers["location"],
        format!("{TYPES}/order%2Feu.paid").as_str()
    );
    router.post(TYPES, &body).await.expect(409);
    let path = format!("{TYPES}/order%2Feu.paid");
    let patch = json!({"deprecated": true, "sample": null});
    let changed = router
        .call_raw(
            "PATCH",
            &path,
            &[("content-type", "application/json"), ("if-match", "\"1\"")],
            patch.to_string(),
        )
        .await
        .expect(200);
    assert_eq!(changed.headers["etag"], "\"2\"");
    assert_eq!(changed.body["deprecated"], true);
    assert_eq!(
        (&changed.body["has_sample"], &changed.body["has_schema"]),
        (&json!(false), &json!(true))
    );
    for method in ["PATCH", "PUT", "DELETE"] {
        let headers = [("content-type", "application/json"), ("if-match", "\"1\"")];
        router.call_raw(method, &path, &headers, "{}").await.expect(412);
    }
    router.restart().await;
    let kept = router.get(&path).await.expect(200);
    assert_eq!(
        (kept.headers["etag"].to_str().unwrap(), kept.str("/group")),
        ("\"2\"", "Orders".to_owned())
    );
    let whole = router
        .call("PUT", &path, &json!({"descriptions": {"en": "Paid"}}))
        .await
        .expect(200);
    assert_eq!(
        (whole.body["group"].clone(), whole.body["has_schema"].clone()),
        (Value::Null, json!(false))
    );
    router
        .call("PUT", &format!("{TYPES}/order.new"), &json!({}))
        .await
        .expect(201);
    let renamed = router
        .call("PUT", &path, &json!({"name": "order.other"}))
        .await
        .expect(422);
    assert_eq!(pointers(&renamed.body), ["/name"]);
    router.call("DELETE", &path, &Value::Null).await.expect(204);
    router.get(&path).await.expect(404);
    for (bad, expected) in [
        (json!({}), vec!["/name"]),
        (json!({"name": "hookway.own"}), vec!["/name"]),
        (
            json!({"name": "a", "schema": {"type": "nothing"}}),
            vec!["/schema"],
        ),
        (
            json!({"name": "a", "schema": {"$ref": "http://127.0.0.1/x"}}),
            vec!["/schema"],
        ),
        (
            json!({"name": "a", "schema": {"required": ["id"]}, "sample": {}}),
            vec!["/sample"],
        ),
        (json!({"name": "a", "descriptons": {}}), vec!["/descriptons"]),
    ] {
        let refused = router.post(TYPES, &bad).await.expect(422);
        assert_eq!(pointers(&refused.body), expected, "{bad}");
    }
}

#[tokio::test]
async fn a_document_of_ones_own_loads_whole_or_not_at_all() {
    let router = TestRouter::start().await;
    let path = format!("{TYPES}/load");
    let document = json!({"event_types": [
        {"name": "a.b", "descriptions": {"de": "Etwas"}}, {"name": "c"},
    ]});
    let loaded = router.post(&path, &document).await.expect(200).body;
    assert_eq!(loaded["added"], json!(["a.b", "c"]));
    let document = json!({"event_types": [{"name": "a.b"}, {"name": "c"}, {"name": "d"}]});
    let loaded = router.post(&path, &document).await.expect(200).body;
    assert_eq!(
        loaded,
        json!({"added": ["d"], "changed": ["a.b"], "unchanged": ["c"]})
    );
    let broken = json!({"event_types": [
        {"name": "e"}, {"name": "e"}, {"name": "f", "schema": 5}, {"name": "g", "grup": "x"},
    ]});
    let refused = router.post(&path, &broken).await.expect(422);
    assert_eq!(pointers(&refused.body), ["/event_types/3/grup"]);
    let broken = json!({"event_types": [{"name": "e"}, {"name": "e"}, {"name": "f", "schema": 5}]});
    let refused = router.post(&path, &broken).await.expect(422);
    assert_eq!(
        pointers(&refused.body),
        ["/event_types/1/name", "/event_types/2/schema"]
    );
    assert_eq!(names(&router.get(TYPES).await.body["data"]), ["a.b", "c", "d"]);
    for (bad, expected) in [
        (json!({"catalogue": "nobodys"}), "/catalogue"),
        (json!({"catalogue": "workflux", "event_types": []}), "/catalogue"),
        (json!({}), ""),
    ] {
        let refused = router.post(&path, &bad).await.expect(422);
        assert_eq!(pointers(&refused.body), [expected], "{bad}");
    }
}

/// WX-12.
#[tokio::test]
async fn payloads_are_held_to_their_schema_where_the_operator_says_so() {
    let router = TestRouter::with(|config| config.ingest.validate = Validate::Refuse).await;
    router
        .post(&format!("{TYPES}/load"), &json!({"catalogue": "workflux"}))
        .await
        .expect(200);
    let refused = router
        .post("/api/v1/events", &json!({
            "type": "agent.response",
            "data": {"conversation_id": 5, "agent_id": "a", "message_id": "m", "content": "x", "confidence_score": "high"},
        }))
        .await
        .expect(422);
    let mut places = pointers(&refused.body);
    places.sort_unstable();
    assert_eq!(places, ["/data/confidence_score", "/data/conversation_id"]);
    let batch = json!([
        {"type": "agent.response", "data": {"conversation_id": "c", "agent_id": "a", "message_id": "m", "content": "x"}},
        {"type": "agent.response", "data": []},
    ]);
    let refused = router.post("/api/v1/events", &batch).await.expect(422);
    assert_eq!(pointers(&refused.body), ["/1/data"]);
    assert_eq!(
        router.get("/api/v1/events").await.body["data"],
        json!([]),
        "nothing was accepted"
    );
    // In a CloudEvent in binary mode the body is the data.
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "s"),
        ("ce-type", "agent.response"),
        ("content-type", "application/json"),
    ];
    let refused = router
        .call_raw("POST", "/api/v1/events", &headers, r#"{"conversation_id":5}"#)
        .await
        .expect(422);
    assert!(
        pointers(&refused.body).contains(&"/conversation_id"),
        "{}",
        refused.text
    );
    // What nobody described passes, and so does what a source brings.
    router.send(&json!({"type": "nobody.knows", "data": 1})).await;
    let source = json!({"name": "flux", "preset": "none", "events": {"type": ["agent.response"]}});
    router.post("/api/v1/sources", &source).await.expect(201);
    router
        .call_open(
            "POST",
            "/webhooks/flux",
            &[("content-type", "application/json")],
            "[]",
        )
        .await
        .expect(200);
    let events = router.get("/api/v1/events?source=flux").await.expect(200);
    assert_eq!(events.str("/data/0/type"), "agent.response");
}

/// WX-12.
#[tokio::test]
async fn a_tenant_says_for_itself_whether_payloads_are_held_to_their_schema() {
    let mut router = TestRouter::start().await;
    let described = json!({"name": "list", "schema": {"type": "array"}});
    router.post(TYPES, &described).await.expect(201);
    let event = json!({"type": "list", "data": 5});
    router.send(&event).await;
    let tenant = "/api/v1/tenants/default";
    router
        .call("PATCH", tenant, &json!({"validate_events": "sometimes"}))
        .await
        .expect(422);
    let changed = router
        .call("PATCH", tenant, &json!({"validate_events": "refuse"}))
        .await
        .expect(200);
    assert_eq!(changed.body["validate_events"], "refuse");
    router.post("/api/v1/events", &event).await.expect(422);
    router.restart().await;
    let refused = router.post("/api/v1/events", &event).await.expect(422);
    assert_eq!(pointers(&refused.body), ["/data"]);
    router
        .call("PATCH", tenant, &json!({"validate_events": null}))
        .await
        .expect(200);
    router.send(&event).await;
}

#[tokio::test]
async fn a_call_is_told_twenty_violations_and_no_more() {
    let router = TestRouter::with(|config| config.ingest.validate = Validate::Refuse).await;
    let described = json!({"name": "list", "schema": {"items": {"type": "string"}}});
    router.post(TYPES, &described).await.expect(201);
    let event = json!({"type": "list", "data": vec![5; 60]});
    let refused = router.post("/api/v1/events", &event).await.expect(422);
    assert_eq!(pointers(&refused.body).len(), 20);
}

#[tokio::test]
async fn unknown_types_are_refused_where_the_operator_says_so() {
    let mut router = TestRouter::with(|config| config.ingest.unknown_types = UnknownTypes::Refuse).await;
    router
        .post(&format!("{TYPES}/load"), &json!({"catalogue": "inboundflow"}))
        .await
        .expect(200);
    router.restart().await;
    let refused = router
        .post("/api/v1/events", &json!({"type": "lead.craeted", "data": {}}))
        .await
        .expect(422);
    assert_eq!(pointers(&refused.body), ["/type"]);
    assert!(
        refused.text.contains("did you mean `lead.created`?"),
        "{}",
        refused.text
    );
    // The payload is not looked at: only types are held to something here.
    router.send(&json!({"type": "lead.created", "data": {}})).await;
}
