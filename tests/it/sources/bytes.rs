//! Bytes are sacred: what a source took is what history holds and what is delivered.

use data_encoding::BASE64;
use serde_json::json;

use super::sender::{Call, hex, sha256};
use crate::support::{Receiver, TestRouter};

const ROUNDS: u32 = 100;

/// A body of a kind, different for each `n`, with what is easily lost on the way.
fn body(kind: &str, n: u32) -> Vec<u8> {
    match kind {
        "application/json" => format!(
            "{{ \"n\": {n}.0,\t\"big\":1{n}12345678901234567890,  \"e\":1e{n}, \"dup\":1,\"dup\":2, \"text\":\"\\u00e9é\\/ \\ud83d\\ude00\" }}\r\n"
        )
        .into_bytes(),
        "application/x-www-form-urlencoded" => {
            format!("b=2&a=1+{n}&a=%c3%A9&empty=&flag&%20=%2B&z=~{n}").into_bytes()
        }
        "application/xml" => format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<a xmlns:x='urn:x' n=\"{n}\">\n <x:b>&lt;é&#233;&amp;</x:b><![CDATA[<!DOCTYPE no>]]><!-- c --></a>\n"
        )
        .into_bytes(),
        _ => (0..=255_u8).chain(n.to_be_bytes()).rev().collect(),
    }
}

#[tokio::test]
async fn what_came_is_what_history_holds_and_what_is_delivered() {
    let receiver = Receiver::start().await;
    let router = TestRouter::start().await;
    let source =
        json!({"name": "raw", "preset": "hmac-sha256", "secret": "s", "events": {"type": "raw.came"}});
    router.post("/api/v1/sources", &source).await.expect(201);
    let plain = json!({"name": "p", "url": receiver.url(), "events": ["raw.came"], "profile": "plain"});
    router.subscribe(&plain).await;
    let kinds = [
        "application/json",
        "application/x-www-form-urlencoded",
        "application/xml",
        "application/octet-stream",
    ];
    let mut expected = Vec::new();
    for kind in kinds {
        for n in 0..ROUNDS {
            let body = body(kind, n);
            let signature = format!("sha256={}", hex(&sha256(b"s", &[&body])));
            let call = Call::new(kind, body.clone()).header("x-signature", signature);
            let answer = call.post(&router, "raw").await.expect(200);
            let event = answer.headers["hookway-event-id"].to_str().unwrap().to_owned();
            let stored = router.get(&format!("/api/v1/events/{event}")).await.expect(200);
            assert_eq!(stored.body["datacontenttype"], kind);
            if kind == "application/json" {
                // As a slice of the answer's text: parsed and written again it would be another.
                let text = str::from_utf8(&body).unwrap().trim();
                assert!(stored.text.contains(text), "{} {}", stored.text, text);
            }
            expected.push((kind, body, event));
        }
    }
    let count = expected.len();
    let received = receiver.wait_for(count).await;
    router.settle().await;
    for (kind, body, event) in &expected {
        let delivered = received
            .iter()
            .find(|request| request.header("hookway-event-id") == event)
            .expect("delivered");
        assert_eq!(&delivered.body[..], &body[..], "{kind}");
        assert_eq!(delivered.header("content-type"), *kind);
        if *kind != "application/json" {
            let stored = router.get(&format!("/api/v1/events/{event}")).await.expect(200);
            let data = BASE64.decode(stored.str("/data_base64").as_bytes()).unwrap();
            assert_eq!(&data, body, "{kind}");
        }
    }
}

#[tokio::test]
async fn xml_that_hides_entities_is_refused_and_says_why() {
    let router = TestRouter::start().await;
    let source = json!({"name": "xml", "preset": "none", "events": {"type": "xml.came"}});
    router.post("/api/v1/sources", &source).await.expect(201);
    let utf16: Vec<u8> =
        "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
    let tricks: [(&str, Vec<u8>); 8] = [
        (
            "laughs",
            b"<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><l>&b;</l>".to_vec(),
        ),
        (
            "external",
            b"<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>".to_vec(),
        ),
        (
            "parameter",
            b"<!DOCTYPE a [<!ENTITY % p SYSTEM \"http://127.0.0.1/\">%p;]><a/>".to_vec(),
        ),
        (
            "outer subset",
            b"<!DOCTYPE a SYSTEM \"http://127.0.0.1/a.dtd\"><a/>".to_vec(),
        ),
        ("undeclared", b"<a>&x;</a>".to_vec()),
        ("in an attribute", b"<a b=\"&x;\"/>".to_vec()),
        ("utf-16", [b"\xff\xfe".to_vec(), utf16].concat()),
        ("broken", b"<a><b></a>".to_vec()),
    ];
    for (what, body) in tricks {
        for kind in [
            "application/xml",
            "text/xml; charset=utf-8",
            "application/soap+xml",
        ] {
            let answer = Call::new(kind, body.clone()).post(&router, "xml").await;
            assert_eq!(answer.status, 400, "{what}: {}", answer.text);
        }
        let page = router
            .get("/api/v1/sources/xml/receptions?limit=1")
            .await
            .expect(200);
        let seen = &page.body["data"][0];
        assert_eq!(
            (&seen["outcome"], &seen["reason"]),
            (&json!("refused"), &json!("malformed_body")),
            "{what}"
        );
        assert!(!seen["detail"].as_str().unwrap().is_empty(), "{what}");
    }
    assert!(
        router.get("/api/v1/events").await.body["data"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    Call::new("application/xml", "<a>&amp;&#233;</a>")
        .post(&router, "xml")
        .await
        .expect(200);
}
