//! Compiled components that were changed on disk are never loaded.
//!
//! Loading one runs whatever is in it, so the MAC in front of it is the guard. The control gives a changed
//! one the right MAC, made with the installation's own key: then another plugin's code runs under this one's
//! name, so the refusals of all others are the MAC's doing.

use std::fs;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use sha2::Sha256;

use crate::daemon::Daemon;
use crate::extent::Extent;
use crate::support::Receiver;
use crate::wrap;

/// Bytes of the MAC in front of a compiled component.
const TAG_BYTES: usize = 32;
/// Which key it is made with, of those that follow from the installation's own.
const KEY: &str = "hookway compiled plugins";

fn artefacts(data: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![data.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            match path.extension() {
                _ if path.is_dir() => open.push(path),
                Some(ending) if ending == "artefact" => found.push(path),
                _ => {}
            }
        }
    }
    found
}

/// One way to change a file.
fn mutated(mut bytes: Vec<u8>, kind: usize, random: &mut rand::rngs::StdRng) -> Vec<u8> {
    let place = random.random_range(0..bytes.len());
    match kind % 6 {
        0 => bytes.truncate(place),
        1 => bytes[place] ^= 1 << random.random_range(0..8),
        2 => bytes[..32.min(place)].fill(0),
        3 => bytes = [&b"\x7fELF\x02\x01\x01"[..], &bytes].concat(),
        4 => bytes.extend_from_slice(b"more"),
        // Another version of the engine would write another text where this one has its own.
        _ => {
            bytes = String::from_utf8_lossy(&bytes)
                .replace("48.0", "47.0")
                .into_bytes()
        }
    }
    bytes
}

/// W6: a changed artefact is never loaded, but compiled again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_artefacts_are_never_loaded() {
    let rounds = Extent::wanted().of(12, 300);
    let data = tempfile::tempdir().unwrap();
    let echo = wat::parse_str(wrap::component("")).unwrap();
    let receiver = Receiver::start().await;
    let subscription = {
        let router = Daemon::on(data.path(), &[]);
        router.push("echo", echo).await.expect(201);
        let plugins = json!([{"name": "echo", "config": {}}]);
        router
            .subscribe(&json!({"name": "e", "url": receiver.url(), "events": ["*"], "plugins": plugins}))
            .await
    };
    let mut random = rand::rngs::StdRng::seed_from_u64(6);
    let mut refused = 0;
    for round in 0..rounds {
        let mut changed = Vec::new();
        for path in artefacts(data.path()) {
            let bytes = mutated(fs::read(&path).unwrap(), round, &mut random);
            fs::write(&path, &bytes).unwrap();
            changed.push((path, bytes));
        }
        assert!(!changed.is_empty(), "there are artefacts");
        let mut router = Daemon::on(data.path(), &[]);
        // To its end, or the next start would begin with it.
        let event = router.send(&json!({"type": "a", "data": round})).await;
        let arrived =
            |delivery: &serde_json::Value| delivery["event_id"] == event && delivery["status"] == "delivered";
        router.delivery(&subscription, arrived).await;
        assert!(router.lives());
        // What was changed was written anew, or the router never looked at it.
        refused += changed
            .iter()
            .filter(|(path, bytes)| fs::read(path).unwrap() != *bytes)
            .count();
    }
    assert!(refused >= rounds, "only {refused} were compiled again");
    // The control: one that nobody changed is loaded as it is.
    let before: Vec<_> = artefacts(data.path())
        .iter()
        .map(|path| fs::metadata(path).unwrap().modified().unwrap())
        .collect();
    let router = Daemon::on(data.path(), &[]);
    let event = router.send(&json!({"type": "a", "data": 1})).await;
    let arrived =
        |delivery: &serde_json::Value| delivery["event_id"] == event && delivery["status"] == "delivered";
    router.delivery(&subscription, arrived).await;
    let after: Vec<_> = artefacts(data.path())
        .iter()
        .map(|path| fs::metadata(path).unwrap().modified().unwrap())
        .collect();
    assert_eq!(before, after, "it would be compiled again in any case");
    println!(
        "compile: {refused} changed artefacts in {rounds} starts, 0 loaded; control: unchanged ones are loaded"
    );
}

/// The MAC that the router would give this component in a file of this name.
fn mac(data: &Path, file: &Path, component: &[u8]) -> Vec<u8> {
    let key = hookway::store::files::secrets_key_in(data)
        .unwrap()
        .expect("it was made at the start");
    let key = hookway::vault::Vault::new(&key).derive(KEY);
    let mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    let name = file.file_name().unwrap().as_encoded_bytes();
    let mac = mac.chain_update(name).chain_update([0]).chain_update(component);
    mac.finalize().into_bytes().to_vec()
}

/// Another plugin's code under this one's name: with its own MAC or the old one it is refused, and runs with
/// one that was made for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_with_the_right_mac_a_changed_one_is_loaded() {
    let data = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    let delivers = wat::parse_str(wrap::component("")).unwrap();
    let filters =
        "(func $transform (param i32) (result i32) (call $filtered (i32.const 1024) (i32.const 4)))";
    let filters = wat::parse_str(wrap::component(filters)).unwrap();
    let (subscription, own, other) = {
        let router = Daemon::on(data.path(), &[]);
        let there = artefacts(data.path());
        router.push("own", delivers).await.expect(201);
        let added = |there: &[PathBuf]| {
            let now = artefacts(data.path());
            now.into_iter()
                .find(|path| !there.contains(path))
                .expect("it was kept")
        };
        let own = added(&there);
        let there = artefacts(data.path());
        router.push("other", filters).await.expect(201);
        let other = added(&there);
        let plugins = json!([{"name": "own", "config": {}}]);
        let subscription = router
            .subscribe(&json!({"name": "s", "url": receiver.url(), "events": ["*"], "plugins": plugins}))
            .await;
        (subscription, own, other)
    };
    let whole = fs::read(&own).unwrap();
    let foreign = fs::read(&other).unwrap();
    let (foreign_tag, code) = foreign.split_at(TAG_BYTES);
    let good_tag = mac(data.path(), &own, code);
    assert_eq!(
        mac(data.path(), &own, &whole[TAG_BYTES..]),
        whole[..TAG_BYTES],
        "it is made as the router does"
    );
    for (tag, status) in [
        (foreign_tag, "delivered"),
        (&whole[..TAG_BYTES], "delivered"),
        (&good_tag, "filtered"),
    ] {
        let changed = [tag, code].concat();
        fs::write(&own, &changed).unwrap();
        let router = Daemon::on(data.path(), &[]);
        let event = router.send(&json!({"type": "a", "data": 1})).await;
        let ended = |delivery: &serde_json::Value| {
            delivery["event_id"] == event
                && ["delivered", "filtered"]
                    .iter()
                    .any(|end| delivery["status"] == *end)
        };
        let delivery = router.delivery(&subscription, ended).await;
        assert_eq!(delivery["status"], status, "{delivery}");
        assert_eq!(
            fs::read(&own).unwrap() == changed,
            status == "filtered",
            "who is refused is compiled again"
        );
    }
    println!(
        "compile, control: 2 exchanged artefacts with a MAC of something else refused, 1 with the right MAC loaded"
    );
}
