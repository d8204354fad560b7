//! `hookway sign` and `hookway verify`: the real program, without a router.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::terminal::{good, text};

const VECTORS: &str = include_str!("../vectors/signature-vectors.json");

fn call(arguments: &[&str], secret: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hookway"))
        .args(arguments)
        .env("SECRET_OF_A_TEST", secret)
        .env_remove("HOOKWAY_SIGNING_SECRET")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .expect("it starts")
}

/// AE-16, WF-06, AE-07, IB-10, WX-03.
#[test]
fn sign_makes_the_published_signatures_of_the_products() {
    let file: Value = serde_json::from_str(VECTORS).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let body = dir.path().join("body.json");
    let path = body.to_str().unwrap();
    let products = ["workflows", "aetherflow", "inboundflow", "workflux"];
    let mut seen = Vec::new();
    for vector in file["vectors"].as_array().unwrap() {
        let profile = vector["scheme"].as_str().unwrap();
        if !products.contains(&profile) {
            continue;
        }
        seen.push(profile);
        std::fs::write(&body, vector["body_utf8"].as_str().unwrap()).unwrap();
        let secret = vector["secret"].as_str().unwrap();
        let published = vector["headers"].as_object().unwrap();
        let timestamp = published.iter().find(|(name, _)| name.ends_with("-Timestamp"));
        let timestamp = timestamp.map_or("1709064000", |(_, value)| value.as_str().unwrap());
        let both = ["--profile", profile, "--secret-env", "SECRET_OF_A_TEST"];

        let more = ["--timestamp", timestamp, "--id", "msg_1", "--json", path];
        let signed = good(&call(&[&["sign"], &both[..], &more].concat(), secret));
        let signed: Value = serde_json::from_str(&signed).unwrap();
        for (name, value) in published {
            assert_eq!(&signed[name], value, "{profile}");
        }
        // Those of Standard Webhooks go along, as they do with a delivery.
        assert_eq!(signed["webhook-id"], "msg_1", "{profile}");
        assert_eq!(signed["webhook-timestamp"], timestamp, "{profile}");
        assert!(signed["webhook-signature"].as_str().unwrap().starts_with("v1,"));

        let signature = published.iter().find(|(name, _)| name.ends_with("-Signature"));
        let signature = signature.unwrap().1.as_str().unwrap();
        let mut verify = vec!["verify", "--any-age", "--signature", signature, path];
        verify.extend(both);
        if published.len() > 1 {
            verify.extend(["--timestamp", timestamp]);
        }
        assert_eq!(good(&call(&verify, secret)).trim(), "verified", "{profile}");
        let wrong = call(&verify, "another secret");
        assert_eq!(wrong.status.code(), Some(1), "{profile}");
    }
    seen.sort_unstable();
    assert_eq!(seen, ["aetherflow", "inboundflow", "workflows", "workflux"]);
}

#[test]
fn an_id_is_made_and_a_secret_that_does_not_suit_is_told_why() {
    let dir = tempfile::tempdir().unwrap();
    let body = dir.path().join("body.json");
    std::fs::write(&body, "{}").unwrap();
    let path = body.to_str().unwrap();
    let arguments = [
        "sign",
        "--profile",
        "workflows",
        "--secret-env",
        "SECRET_OF_A_TEST",
        "--curl",
        path,
    ];
    let lines = good(&call(&arguments, "a plain text"));
    assert!(lines.contains("-H X-WorkFlows-Signature:sha256="), "{lines}");
    assert!(lines.contains("-H webhook-id:req_"), "{lines}");
    let arguments = ["sign", "--secret-env", "SECRET_OF_A_TEST", path];
    let refused = call(&arguments, "a plain text");
    let why = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        why.contains("the profile standard-webhooks, which wants `whsec_` and base64"),
        "{why}"
    );
    assert!(!why.contains("a plain text"), "{why}");
}
