//! Backups: who may make one, what is in it, and that nothing is used twice after a restore.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use hookway::backup::{Error, Wish, restore, verify};
use hookway::time::Timestamp;
use serde_json::{Value, json};

use crate::support::{Receiver, TestRouter};

/// Asks for a backup and writes it to a file.
async fn backup(router: &TestRouter, query: &str, into: &Path) {
    let client = reqwest::Client::new();
    let request = client.get(router.url(&format!("/api/v1/backup{query}")));
    let answer = request
        .bearer_auth(crate::support::router::ADMIN_KEY)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/x-tar");
    std::fs::write(into, answer.bytes().await.unwrap()).unwrap();
}

fn wish<'a>(backup: &'a Path, dir: &'a Path, now: Timestamp) -> Wish<'a> {
    Wish {
        backup,
        dir,
        key: None,
        now,
    }
}

/// A router on a data directory that is there already.
async fn on(dir: &Path) -> TestRouter {
    let data_dir = dir.to_owned();
    TestRouter::with(move |config| config.data_dir = data_dir).await
}

async fn ids(router: &TestRouter, count: usize) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for _ in 0..count {
        assert!(ids.insert(router.send(&json!({ "type": "a.b", "data": 1 })).await));
    }
    ids
}

#[tokio::test]
async fn a_backup_is_restored_with_its_secrets_and_its_pending_deliveries() {
    let receiver = Receiver::start().await;
    let router = TestRouter::start().await;
    let subscription = json!({ "name": "s", "url": receiver.url(), "events": ["*"] });
    let id = router.subscribe(&subscription).await;
    router
        .post(&format!("/api/v1/subscriptions/{id}/disable"), &json!({}))
        .await
        .expect(200);
    let event = router.send(&json!({ "type": "a.b", "data": { "n": 1 } })).await;
    let dir = tempfile::tempdir().unwrap();
    let (archive, new) = (dir.path().join("b.tar"), dir.path().join("new"));
    backup(&router, "?key=true", &archive).await;
    let manifest = verify(&archive).unwrap();
    let names: Vec<&str> = manifest.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["hookway.db", "secrets.key"]);
    let left: Vec<_> = std::fs::read_dir(router.data_dir()).unwrap().collect();
    assert!(
        left.iter().all(|entry| !entry
            .as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .contains("copy")),
        "the copy is still there"
    );

    let restored = restore(wish(&archive, &new, router.clock.now())).unwrap();
    assert!(restored.has_key);
    let again = on(&new).await;
    let shown = again
        .get(&format!("/api/v1/subscriptions/{id}"))
        .await
        .expect(200);
    assert_eq!(shown.str("/url"), receiver.url());
    again
        .post(&format!("/api/v1/subscriptions/{id}/enable"), &json!({}))
        .await
        .expect(200);
    receiver.wait_for(1).await;
    again.until(&event, "delivered").await;
    // Into what is there already: never.
    let refused = restore(wish(&archive, &new, router.clock.now()));
    assert!(matches!(refused, Err(Error::NotEmpty { .. })));
}

/// The old process went on after the backup, and the clock of the new one is behind by an hour, or both stand
/// still in the same millisecond.
#[tokio::test]
async fn no_id_is_used_twice_after_a_restore() {
    for ahead in [Duration::ZERO, Duration::from_secs(3_600)] {
        let router = TestRouter::start().await;
        let now = router.clock.now();
        router.clock.advance(ahead);
        let mut used = ids(&router, 20).await;
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("b.tar");
        backup(&router, "?key=true", &archive).await;
        let newest = used.last().cloned();
        used.extend(ids(&router, 200).await);
        // Two restores of one backup: each is a life of its own.
        for name in ["first", "second"] {
            let new = dir.path().join(name);
            restore(wish(&archive, &new, now)).unwrap();
            let more = ids(&on(&new).await, 200).await;
            let twice: Vec<_> = used.intersection(&more).collect();
            assert!(twice.is_empty(), "{twice:?}");
            assert!(more.first() > newest.as_ref(), "ids go back");
        }
        // Control: the same database taken into use without a restore goes on where the backup was.
        let plain = dir.path().join("plain");
        restore(wish(&archive, &plain, now)).unwrap();
        std::fs::write(plain.join("hookway.db"), database_in(&archive)).unwrap();
        let more = ids(&on(&plain).await, 200).await;
        assert!(used.intersection(&more).count() > 0, "the check notices nothing");
    }
}

/// The database in an archive, as it is: the first file, behind its header.
fn database_in(archive: &Path) -> Vec<u8> {
    let bytes = std::fs::read(archive).unwrap();
    let length = verify(archive).unwrap().files[0].bytes;
    bytes[512..512 + usize::try_from(length).unwrap()].to_vec()
}

#[tokio::test]
async fn a_backup_without_its_key_says_so_and_takes_it_from_elsewhere() {
    let router = TestRouter::start().await;
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("b.tar");
    backup(&router, "", &archive).await;
    assert_eq!(verify(&archive).unwrap().files.len(), 1);
    let now = router.clock.now();
    let bare = dir.path().join("bare");
    assert!(!restore(wish(&archive, &bare, now)).unwrap().has_key);
    let key = router.data_dir().join("secrets.key");
    let other = dir.path().join("other.key");
    std::fs::write(&other, "00".repeat(32)).unwrap();
    let new = dir.path().join("new");
    let with = |key| Wish {
        key: Some(key),
        ..wish(&archive, &new, now)
    };
    // One that does not fit leaves nothing behind, so that the next try can be made.
    let refused = restore(with(&other)).unwrap_err();
    assert!(matches!(refused, Error::Database(_)), "{refused}");
    assert_eq!(std::fs::read_dir(&new).unwrap().count(), 0);
    assert!(restore(with(&key)).unwrap().has_key);
    on(&new).await;
}

#[tokio::test]
async fn only_who_administers_the_whole_router_gets_one() {
    let mut router = TestRouter::start().await;
    let key = |scope: &str, whole: bool| json!({ "name": "k", "scopes": [scope], "router": whole });
    let mut keys = Vec::new();
    for (scope, whole) in [("read", true), ("manage", true), ("admin", false)] {
        let made = router.post("/api/v1/keys", &key(scope, whole)).await.expect(201);
        keys.push(made.str("/key"));
    }
    for key in keys {
        router.use_key(&key);
        let refused = router.get("/api/v1/backup?key=true").await.expect(403);
        assert_eq!(refused.body["type"], Value::from("/problems/forbidden"));
    }
}
