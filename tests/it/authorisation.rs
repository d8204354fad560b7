//! Who may do what: every operation of the OpenAPI document with every kind of key, as the document declares
//! it; and nothing of one tenant for the keys of another.
//!
//! The document names for each operation the scope that it needs, or that it needs no key. The matrix is made
//! from it alone, so that an operation that is added is in it, and one that declares nothing fails.

#![expect(clippy::print_stdout, reason = "its figures go into a table")]

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::client::{ADMIN_KEY, http};
use crate::support::{Receiver, Reply, TestRouter};

/// An operation and what it declares.
struct Operation {
    method: String,
    path: String,
    /// The words of its security: a scope, and `router` where the key must be the whole router's. None where
    /// it needs no key.
    needs: Option<Vec<String>>,
}

async fn operations(router: &TestRouter) -> Vec<Operation> {
    let document = router.get("/openapi.json").await.expect(200).body;
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        // A setting decides who may read the metrics; the tests of that door ask all of them.
        if path == "/metrics" {
            continue;
        }
        for (method, operation) in item.as_object().expect("operations") {
            let security = operation["security"].as_array();
            let [declared] = security.map(Vec::as_slice).unwrap_or_default() else {
                panic!("{method} {path} does not declare what it needs: {security:?}");
            };
            let words = declared.get("key").map(|words| {
                let words = words.as_array().expect("a list").iter();
                words
                    .map(|word| word.as_str().expect("a word").to_owned())
                    .collect()
            });
            all.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                needs: words,
            });
        }
    }
    all
}

/// Who asks.
struct Role {
    name: &'static str,
    key: Option<String>,
    scopes: &'static [&'static str],
}

impl Role {
    /// What the router must say: that there is no such key, that it may not, or something else.
    fn expected(&self, needs: Option<&[String]>) -> Expected {
        let Some(needs) = needs else {
            return Expected::Else;
        };
        if self.scopes.is_empty() {
            return Expected::Status(401);
        }
        let allowed = needs.iter().all(|need| match need.as_str() {
            "read" => ["read", "manage", "admin"]
                .iter()
                .any(|scope| self.scopes.contains(scope)),
            "manage" => ["manage", "admin"]
                .iter()
                .any(|scope| self.scopes.contains(scope)),
            "ingest" => ["ingest", "admin"]
                .iter()
                .any(|scope| self.scopes.contains(scope)),
            need => self.scopes.contains(&need),
        });
        if allowed {
            Expected::Else
        } else {
            Expected::Status(403)
        }
    }
}

#[derive(Debug, PartialEq)]
enum Expected {
    /// This.
    Status(u16),
    /// Anything but 401, 403 and a failure of the router.
    Else,
}

/// The status of an answer, whose body may never end.
async fn status(
    client: &reqwest::Client,
    router: &TestRouter,
    operation: &Operation,
    path: &str,
    key: Option<&str>,
    tenant: Option<&str>,
) -> u16 {
    let method = operation.method.parse().expect("a method");
    let mut request = client.request(method, router.url(path));
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    if let Some(tenant) = tenant {
        request = request.header("hookway-tenant", tenant);
    }
    if operation.method != "GET" {
        request = request.header("content-type", "application/json").body("{}");
    }
    request.send().await.expect("an answer").status().as_u16()
}

async fn key(router: &TestRouter, scopes: &[&str], for_router: bool) -> String {
    let wish = json!({"name": "role", "scopes": scopes, "router": for_router});
    router.post("/api/v1/keys", &wish).await.expect(201).str("/key")
}

#[tokio::test]
async fn every_operation_lets_in_whom_it_declares() {
    let mut router = TestRouter::start().await;
    router
        .post("/api/v1/tenants", &json!({"name": "acme"}))
        .await
        .expect(201);
    router.use_tenant(Some("acme"));
    let revoked = router
        .post("/api/v1/keys", &json!({"name": "gone", "scopes": ["admin"]}))
        .await
        .expect(201);
    let id = revoked.str("/id");
    router
        .call("DELETE", &format!("/api/v1/keys/{id}"), &json!({}))
        .await
        .expect(204);
    let mut roles = vec![
        Role {
            name: "nobody",
            key: None,
            scopes: &[],
        },
        Role {
            name: "a wrong key",
            key: Some("hw_wrong".to_owned()),
            scopes: &[],
        },
        Role {
            name: "a revoked key",
            key: Some(revoked.str("/key")),
            scopes: &[],
        },
        Role {
            name: "the operator",
            key: Some(ADMIN_KEY.to_owned()),
            scopes: &["admin", "router"],
        },
    ];
    for (name, scopes) in [
        ("ingest", &["ingest"] as &[&str]),
        ("metrics", &["metrics"]),
        ("read", &["read"]),
        ("manage", &["manage"]),
        ("admin", &["admin"]),
        ("ingest and read", &["ingest", "read"]),
    ] {
        let key = Some(key(&router, scopes, false).await);
        roles.push(Role { name, key, scopes });
    }
    router.use_tenant(None);
    for (name, scopes, has) in [
        (
            "read of the router",
            &["read"] as &[&str],
            &["read", "router"] as &[&str],
        ),
        ("metrics of the router", &["metrics"], &["metrics", "router"]),
        ("manage of the router", &["manage"], &["manage", "router"]),
        ("admin of the router", &["admin"], &["admin", "router"]),
    ] {
        let key = Some(key(&router, scopes, true).await);
        roles.push(Role {
            name,
            key,
            scopes: has,
        });
    }
    let (client, operations) = (http(), operations(&router).await);
    let mut counts = BTreeMap::new();
    for operation in &operations {
        // Ids that nobody has: whether one may is said before.
        let path = operation.path.replace("{id}", "sub_0000000000000");
        let path = ["name", "slug", "source", "tenant"]
            .iter()
            .fold(path, |path, name| {
                path.replace(&format!("{{{name}}}"), "nobody-has-it")
            });
        for role in &roles {
            let got = status(&client, &router, operation, &path, role.key.as_deref(), None).await;
            let expected = role.expected(operation.needs.as_deref());
            let right = match expected {
                Expected::Status(status) => got == status,
                // Two backups are not made at once: while that of the role before is, it may be 503.
                Expected::Else if operation.path == "/api/v1/backup" => matches!(got, 200 | 503),
                Expected::Else => !matches!(got, 401 | 403) && got < 500,
            };
            assert!(
                right,
                "{} {} for {}: {got}, expected {expected:?} by {:?}",
                operation.method, operation.path, role.name, operation.needs
            );
            *counts.entry(got).or_insert(0) += 1;
        }
    }
    assert!(operations.len() >= 80 && counts.len() >= 5, "{counts:?}");
    println!(
        "authorisation: {} operations × {} roles as declared: {counts:?}",
        operations.len(),
        roles.len()
    );
}

/// What an operation wants beside an id, so that the id is all that is wrong.
fn body(method: &str, path: &str) -> Value {
    match (method, path.rsplit('/').next().unwrap_or_default()) {
        ("PATCH", _) if path.contains("/subscriptions/") || path.contains("/webhooks/") => {
            json!({"name": "stolen"})
        }
        ("PATCH", _) if path.contains("/sources/") => json!({"description": "stolen"}),
        ("PATCH", _) if path.contains("/tenants/") => json!({"external_id": "stolen"}),
        ("PATCH", _) => json!({"group": "stolen"}),
        ("POST", "run") => json!({"event": {"type": "a", "data": {}}}),
        _ => json!({}),
    }
}

#[tokio::test]
async fn nothing_of_another_tenant_is_there() {
    let receiver = Receiver::scripted([], Reply::Status(400)).await;
    let mut router = TestRouter::start().await;
    let tenant = router
        .post("/api/v1/tenants", &json!({"name": "acme"}))
        .await
        .expect(201)
        .str("/id");
    router
        .post("/api/v1/tenants", &json!({"name": "umbrella"}))
        .await
        .expect(201);
    router.use_tenant(Some("umbrella"));
    let foreign = key(&router, &["admin"], false).await;
    router.use_tenant(Some("acme"));
    // One of everything, of acme.
    let wish =
        json!({"name": "s", "key": "slug", "url": receiver.url(), "events": ["*"], "retry": {"waits": []}});
    let subscription = router.subscribe(&wish).await;
    let event = router.send(&json!({"type": "a.b", "data": 1})).await;
    router.settle().await;
    let delivery = router.delivery_of(&event).await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let source = router
        .post("/api/v1/sources", &json!({"name": "inbox", "preset": "none"}))
        .await
        .expect(201)
        .str("/id");
    router
        .call_open("POST", "/webhooks/acme/inbox", &[], "{}")
        .await
        .expect(200);
    let receptions = router.get("/api/v1/receptions").await.expect(200);
    let reception = receptions.str("/data/0/id");
    let operation = router
        .post("/api/v1/operations", &json!({"kind": "recover"}))
        .await
        .expect(202)
        .str("/id");
    let described = json!({"name": "a.b", "group": "mine"});
    router.post("/api/v1/event-types", &described).await.expect(201);
    let profile = json!({"name": "mine", "envelope": [["kind", "{type}"], ["data", "{data}"]]});
    router
        .call("PUT", "/api/v1/profiles/mine", &profile)
        .await
        .expect(201);
    let kept = router
        .post("/api/v1/keys", &json!({"name": "mine", "scopes": ["read"]}))
        .await
        .expect(201)
        .str("/id");
    router.settle().await;
    let ids: [(&str, &[&str]); 9] = [
        ("/subscriptions/{id}", &[&subscription, "slug"]),
        ("/webhooks/{id}", &[&subscription, "slug"]),
        ("/events/{id}", &[&event]),
        ("/deliveries/{id}", &[&delivery]),
        ("/sources/{id}", &[&source, "inbox"]),
        ("/receptions/{id}", &[&reception]),
        ("/operations/{id}", &[&operation]),
        ("/keys/{id}", &[&kept]),
        ("/tenants/{id}", &[&tenant, "acme"]),
    ];
    let named = [("/event-types/{name}", "a.b"), ("/profiles/{name}", "mine")];
    let before = everything(&router).await;

    let operations = operations(&router).await;
    router.use_key(&foreign);
    router.use_tenant(None);
    let (mut refused, mut listed) = (0, 0);
    for one in operations
        .iter()
        .filter(|one| one.needs.is_some() && !one.path.ends_with("/tail"))
    {
        let rest = one.path.strip_prefix("/api/v1").expect("the API");
        if let Some((prefix, values)) = ids.iter().find(|(prefix, _)| rest.starts_with(prefix)) {
            for value in *values {
                let path = one.path.replacen(prefix, &prefix.replace("{id}", value), 1);
                let answer = router
                    .call(&one.method, &path, &body(&one.method, &one.path))
                    .await;
                assert_eq!(answer.status, 404, "{} {path}: {}", one.method, answer.text);
                refused += 1;
            }
        } else if let Some((prefix, value)) = named.iter().find(|(prefix, _)| rest.starts_with(prefix)) {
            // To put one makes one of one's own, by the same name.
            if one.method != "PUT" {
                let path = one.path.replacen(prefix, &prefix.replace("{name}", value), 1);
                let answer = router
                    .call(&one.method, &path, &body(&one.method, &one.path))
                    .await;
                assert_eq!(answer.status, 404, "{} {path}: {}", one.method, answer.text);
                refused += 1;
            }
        } else if one.method == "GET" && !one.path.contains('{') {
            let answer = router.get(&one.path).await;
            for (.., values) in ids {
                assert!(!answer.text.contains(values[0]), "{}: {}", one.path, answer.text);
            }
            listed += 1;
        }
        // Nor does naming the tenant help.
        let client = http();
        let got = status(&client, &router, one, &one.path, Some(&foreign), Some("acme")).await;
        assert_eq!(got, 404, "{} {} for acme", one.method, one.path);
    }
    // By the ways that name a thing in their body or their query.
    let resent = router
        .post("/api/v1/deliveries/resend", &json!({"ids": [delivery]}))
        .await;
    assert!(!resent.text.contains("req_"), "{}", resent.text);
    let asked = json!({"kind": "replay", "subscription": subscription});
    router.post("/api/v1/operations", &asked).await.expect(422);
    for query in ["event", "subscription"] {
        let value = if query == "event" { &event } else { &subscription };
        let found = router.get(&format!("/api/v1/deliveries?{query}={value}")).await;
        assert!(
            found.status == 404 || found.body["data"] == json!([]),
            "{}",
            found.text
        );
    }
    router
        .call(
            "PUT",
            "/api/v1/profiles/mine",
            &json!({"name": "mine", "envelope": [["stolen", "{data}"]]}),
        )
        .await
        .expect(201);
    router
        .call("PUT", "/api/v1/event-types/a.b", &json!({"group": "stolen"}))
        .await
        .expect(201);

    router.settle().await;
    router.use_key(ADMIN_KEY);
    router.use_tenant(Some("acme"));
    let after = everything(&router).await;
    assert_eq!(after, before, "nothing of it has changed");
    assert!(refused >= 60 && listed >= 15, "{refused} {listed}");
    println!(
        "authorisation: {refused} calls with ids of another tenant answered 404, {listed} lists without them"
    );
}

/// All that a tenant has, but what changes by itself.
async fn everything(router: &TestRouter) -> BTreeMap<&'static str, String> {
    let mut all = BTreeMap::new();
    for list in [
        "subscriptions",
        "events",
        "deliveries",
        "sources",
        "receptions",
        "operations",
        "keys",
        "profiles",
        "event-types",
    ] {
        all.insert(
            list,
            router.get(&format!("/api/v1/{list}")).await.expect(200).text,
        );
    }
    all
}
