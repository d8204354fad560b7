//! Backups under load: every event that was accepted before the backup began is in it, whole, and the
//! restored router goes on with what was pending, with secrets that it can read.
//!
//! Guard: the copy is one state of the database, write-ahead log included. Control: the database's file
//! alone, copied under the same load, where the same check must find events missing.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;

use crate::extent::Extent;
use crate::support::client::{ADMIN_KEY, Client};
use crate::support::process::program;
use crate::support::{Process, Receiver, Reply};

/// Producers at once.
const PRODUCERS: usize = 4;
/// Events that are accepted before a backup begins, at the least.
const BEFORE: usize = 200;
/// A test waits this long for something to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A router under load, with deliveries that wait for their receiver.
struct Loaded {
    dir: tempfile::TempDir,
    router: Process,
    receiver: Receiver,
    gate: watch::Sender<bool>,
    accepted: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    producers: Vec<tokio::task::JoinHandle<()>>,
}

impl Loaded {
    async fn begin() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let router = Process::start(&dir.path().join("data"));
        let receiver = Receiver::start().await;
        let (gate, closed) = watch::channel(false);
        receiver.now_answer(Reply::Once(closed));
        let subscription = json!({ "name": "all", "url": receiver.url(), "events": ["*"] });
        router.subscribe(&subscription).await;
        let mut loaded = Self {
            dir,
            router,
            receiver,
            gate,
            accepted: Arc::default(),
            stop: Arc::default(),
            producers: Vec::new(),
        };
        for _ in 0..PRODUCERS {
            let client = Client::clone(&loaded.router);
            let (accepted, stop) = (loaded.accepted.clone(), loaded.stop.clone());
            loaded.producers.push(tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    let filler = format!("{:0900x}", rand::random::<u128>());
                    let event = json!({ "type": "backup.test", "data": { "filler": filler } });
                    match client.try_post("/api/v1/events", &event).await {
                        Ok(answer) if answer.status == 202 => {
                            accepted.lock().unwrap().push(answer.str("/id"));
                        }
                        _ => {}
                    }
                }
            }));
        }
        loaded
    }

    /// Waits until so many more are accepted, and gives the ids of all.
    async fn accepted(&self, more: usize) -> Vec<String> {
        let until = self.accepted.lock().unwrap().len() + more;
        let reached = async {
            while self.accepted.lock().unwrap().len() < until {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached)
            .await
            .expect("events are accepted");
        self.accepted.lock().unwrap().clone()
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The command line beside it: it finds the lock taken and asks the router.
    async fn hookway(&self, args: &[&str]) -> String {
        let listen = self.router.url.trim_start_matches("http://").to_owned();
        let mut command = program();
        command
            .args(args)
            .env("HOOKWAY_ADMIN_KEY", ADMIN_KEY)
            .env("HOOKWAY_LISTEN", listen);
        let output = tokio::task::spawn_blocking(move || command.output())
            .await
            .unwrap()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {told}{errors}");
        told
    }

    /// The end of the load, and of this router, without a word.
    async fn end(self) -> (Vec<String>, Receiver, watch::Sender<bool>, tempfile::TempDir) {
        self.stop.store(true, Ordering::SeqCst);
        for producer in self.producers {
            producer.await.unwrap();
        }
        self.router.kill();
        // What the kernel still holds of it came before whatever the next one sends.
        self.receiver.rest().await;
        let accepted = self.accepted.lock().unwrap().clone();
        (accepted, self.receiver, self.gate, self.dir)
    }
}

/// The check: how many of these events a router on this data directory does not know.
async fn missing(router: &Process, events: &[String]) -> usize {
    let mut missing = 0;
    for id in events {
        let answer = router.get(&format!("/api/v1/events/{id}")).await;
        missing += usize::from(answer.status != 200);
    }
    missing
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_holds_everything_that_was_accepted_before() {
    let rounds = Extent::wanted().of(3, 20);
    let (mut events, mut lost, mut delivered, mut again) = (0, 0, 0, 0);
    for round in 0..rounds {
        let loaded = Loaded::begin().await;
        let before = loaded.accepted(BEFORE).await;
        let (archive, new) = (loaded.dir.path().join("b.tar"), loaded.dir.path().join("new"));
        // With the key in it, and with the key from elsewhere.
        let (with_key, key) = match round % 2 {
            0 => ("--with-key", None),
            _ => ("--without-key", Some(loaded.data().join("secrets.key"))),
        };
        let data = loaded.data();
        loaded
            .hookway(&["backup", text(&archive), with_key, "--data-dir", text(&data)])
            .await;
        loaded.accepted(50).await;
        let mut restore = vec!["restore", text(&archive), "--data-dir", text(&new)];
        if let Some(key) = &key {
            restore.extend(["--key", text(key)]);
        }
        loaded.hookway(&restore).await;
        let (all, receiver, gate, dir) = loaded.end().await;
        let old: usize = receiver.received().len();

        let restored = Process::start(&new);
        lost += missing(&restored, &before).await;
        // The URL of the subscription is sealed: what arrives shows that the key is right.
        gate.send_replace(true);
        receiver.now_answer(Reply::Status(200));
        let expected = before.len();
        receiver
            .wait_until(PATIENCE, |received| received.len() >= old + expected)
            .await;
        let after = restored.send(&json!({ "type": "a", "data": 1 })).await;
        assert!(!all.contains(&after), "an id was used twice: {after}");
        // Looked at once: more may come while it is counted.
        let received = receiver.received();
        let mut ids: Vec<&str> = received[old..]
            .iter()
            .map(|received| received.header("webhook-id"))
            .collect();
        let came = ids.len();
        ids.sort_unstable();
        ids.dedup();
        delivered += came;
        again += came - ids.len();
        events += before.len();
        restored.kill();
        drop(dir);
    }
    println!(
        "backup under load: {rounds} rounds, {events} events accepted before, {lost} missing after the restore, \
         {delivered} deliveries went on, {again} of them twice"
    );
    assert_eq!((lost, again), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn control_the_file_of_the_database_alone_lacks_events() {
    let loaded = Loaded::begin().await;
    let before = loaded.accepted(BEFORE).await;
    let new = loaded.dir.path().join("new");
    std::fs::create_dir(&new).unwrap();
    for name in ["hookway.db", "secrets.key"] {
        std::fs::copy(loaded.data().join(name), new.join(name)).unwrap();
    }
    let (_, _receiver, _gate, _dir) = loaded.end().await;
    let restored = Process::start(&new);
    let missing = missing(&restored, &before).await;
    println!(
        "backup, control with the file alone: {} events accepted before, {missing} missing (must not be 0)",
        before.len()
    );
    assert!(missing > 0, "the check does not notice that the log is not there");
}
