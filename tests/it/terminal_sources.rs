//! `hookway sources` against a real router: made, used, looked into, changed.

use serde_json::{Value, json};

use crate::support::TestRouter;
use crate::terminal::{call, good, text};
use crate::watching::Watching;

#[tokio::test]
async fn a_source_is_made_used_and_looked_into() {
    let router = TestRouter::start().await;
    let presets = good(&call(&router, &["sources", "presets"]).await);
    assert!(
        presets.contains("github") && presets.contains("stripe"),
        "{presets}"
    );
    let made = good(
        &call(
            &router,
            &[
                "sources",
                "create",
                "--name",
                "gh",
                "--preset",
                "github",
                "--keep-refused",
            ],
        )
        .await,
    );
    assert!(made.contains(&router.url("/webhooks/gh")), "{made}");
    assert!(
        made.trim_end().lines().last().unwrap().starts_with("whsec_"),
        "the secret, once: {made}"
    );
    // The service makes this one's secret, so it must be given, and not as an argument.
    let without = call(
        &router,
        &["sources", "create", "--name", "pay", "--preset", "stripe"],
    )
    .await;
    assert_eq!(without.status.code(), Some(1));
    assert!(
        text(&without.stderr).contains("/secret: must be given"),
        "{}",
        text(&without.stderr)
    );

    let mut watching = Watching::start(&router, "?source=gh&status=failures").await;
    let json = [("content-type", "application/json"), ("authorization", "")];
    let refused = router.call_raw("POST", "/webhooks/gh", &json, "{\"a\":1}").await;
    assert_eq!(refused.status, 401, "{}", refused.text);
    let told = watching.next().await;
    assert_eq!(
        (&told["activity"], &told["outcome"]),
        (&json!("received"), &json!("refused")),
        "{told}"
    );
    assert_eq!(
        (&told["source"], &told["reason"]),
        (&json!("gh"), &json!("unsigned")),
        "{told}"
    );
    let list = good(&call(&router, &["sources", "receptions", "gh", "--outcome", "refused"]).await);
    assert!(list.contains("unsigned: ") && list.contains("401"), "{list}");
    let document = good(&call(&router, &["sources", "receptions", "gh", "--json"]).await);
    let document: Value = serde_json::from_str(&document).unwrap();
    let id = document["data"][0]["id"].as_str().unwrap();
    let shown = good(&call(&router, &["sources", "reception", id]).await);
    assert!(
        shown.starts_with("refused  ") && shown.contains("\"a\": 1"),
        "{shown}"
    );
    let body = call(&router, &["sources", "reception", id, "--body"]).await;
    assert_eq!(body.stdout, b"{\"a\":1}");

    for (verb, enabled) in [("disable", "false"), ("enable", "true")] {
        let shown = good(&call(&router, &["sources", verb, "gh"]).await);
        let line = shown.lines().find(|line| line.starts_with("enabled")).unwrap();
        assert!(line.ends_with(enabled), "{shown}");
    }
    let rotated = good(&call(&router, &["sources", "rotate-secret", "gh", "--overlap", "1h"]).await);
    assert!(rotated.contains("whsec_"), "{rotated}");
    let changed = good(
        &call(
            &router,
            &["sources", "update", "gh", "--description", "The organisation"],
        )
        .await,
    );
    assert!(
        changed.contains("The organisation") && !changed.contains("whsec_"),
        "{changed}"
    );
    assert!(good(&call(&router, &["sources", "list"]).await).contains("The organisation"));
    let unsure = call(&router, &["sources", "delete", "gh"]).await;
    assert_eq!(unsure.status.code(), Some(2));
    good(&call(&router, &["sources", "delete", "gh", "--yes"]).await);
    assert!(good(&call(&router, &["sources", "list"]).await).starts_with("no sources;"));
}
