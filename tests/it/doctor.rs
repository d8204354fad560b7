//! `hookway doctor`: what is well is said to be, and everything that somebody broke is named.
//!
//! Each fault is made by hand in a copy of a data directory of which the doctor found nothing wrong: the
//! healthy copy is the control of all of them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::router::ADMIN_KEY;
use crate::support::{Receiver, Reply, TestRouter};
use crate::terminal::{call, text};

/// A port on which nobody listens: it takes privileges to.
const NOBODY: &str = "127.0.0.1:1";

/// What the doctor said, and the exit code.
struct Said {
    code: i32,
    report: Value,
    notes: String,
}

impl Said {
    /// The outcome and the text of a check.
    #[track_caller]
    fn check(&self, name: &str) -> (String, String) {
        let checks = self.report["checks"].as_array().expect("checks");
        let check = checks.iter().find(|check| check["name"] == name);
        let check = check.unwrap_or_else(|| panic!("no check {name}: {}", self.report));
        let word = |field: &str| check[field].as_str().unwrap_or_default().to_owned();
        (word("outcome"), word("what"))
    }

    /// The names of the checks with this outcome.
    fn names(&self, outcome: &str) -> Vec<String> {
        let checks = self.report["checks"].as_array().expect("checks").iter();
        let found = checks.filter(|check| check["outcome"] == outcome);
        found
            .map(|check| check["name"].as_str().expect("a name").to_owned())
            .collect()
    }
}

fn said(output: &std::process::Output) -> Said {
    Said {
        code: output.status.code().expect("an exit code"),
        report: serde_json::from_slice(&output.stdout).unwrap_or_default(),
        notes: text(&output.stderr),
    }
}

/// Asks the router.
async fn ask(router: &TestRouter, arguments: &[&str]) -> Said {
    said(&call(router, &[&["doctor", "--json"], arguments].concat()).await)
}

/// Looks at a data directory that nobody serves.
fn look(data: &Path, arguments: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_hookway"))
        .args(["doctor", "--json", "--data-dir"])
        .arg(data)
        .args(arguments)
        .env("HOOKWAY_LISTEN", NOBODY)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output();
    said(&output.expect("it runs"))
}

/// A router with deliveries that ended in every way and some that wait, rendered by a plugin and plain.
async fn lived_in() -> (TestRouter, Receiver) {
    let receiver = Receiver::scripted([], Reply::Status(200)).await;
    // Wall time on a busy machine; how long compiling takes is not what these tests are about.
    let router = TestRouter::with(|config| config.plugins.compile_wall_ms = 300_000).await;
    let plugins = json!([{"name": "jq", "config": {"program": "if .skip then empty else {n} end"}}]);
    let shaped = json!({
        "name": "shaped", "key": "shaped", "url": receiver.url(), "events": ["a.*"], "plugins": plugins,
    });
    router.subscribe(&shaped).await;
    let plain = json!({"name": "plain", "key": "plain", "url": receiver.url(), "events": ["a.*"]});
    router.subscribe(&plain).await;
    for n in 0..5 {
        router
            .send(&json!({"type": "a.b", "data": {"n": n, "skip": n == 0}}))
            .await;
    }
    receiver.wait_for(9).await;
    receiver.now_answer(Reply::Status(500));
    for n in 5..8 {
        router.send(&json!({"type": "a.b", "data": {"n": n}})).await;
    }
    receiver.wait_for(15).await;
    router.settle().await;
    (router, receiver)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o700)).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn sql(data: &Path, statements: &str) {
    let database = rusqlite::Connection::open(data.join("hookway.db")).unwrap();
    database.execute_batch(statements).unwrap();
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "figures for the documents")]
async fn a_router_that_is_well_says_so_check_by_check() {
    let (router, _receiver) = lived_in().await;
    let short = ask(&router, &[]).await;
    assert_eq!(short.code, 0, "{}", short.report);
    assert_eq!(short.names("fail"), Vec::<String>::new(), "{}", short.report);
    assert_eq!(short.names("warn"), ["egress"], "{}", short.report);
    assert_eq!(short.report["seen"], "serving");
    let all: Vec<&str> = (short.report["checks"].as_array().unwrap().iter())
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    let expected = [
        "sqlite",
        "database",
        "structure",
        "secrets-key",
        "wal",
        "clock",
        "permissions",
        "disk",
        "open-files",
        "plugins",
        "subscriptions",
        "lag",
        "egress",
        "listen",
        "dns",
    ];
    assert_eq!(all, expected);
    assert_eq!(
        short.check("dns").0,
        "skipped",
        "nothing leaves unless somebody asks"
    );
    let full = ask(&router, &["--full"]).await;
    assert_eq!(full.code, 0, "{}", full.report);
    for area in ["structure", "ledger", "counters", "payloads"] {
        assert_eq!(full.check(area).0, "ok", "{}", full.report);
    }
    assert!(full.check("ledger").1.starts_with("6 "), "{}", full.report);
    assert!(full.check("counters").1.contains("exactly"), "{}", full.report);
    println!(
        "doctor --full: {}; {}; {}",
        full.check("ledger").1,
        full.check("counters").1,
        full.check("payloads").1
    );
    // For people: every check is a line.
    let people = call(&router, &["doctor"]).await;
    let people = text(&people.stdout);
    assert!(people.contains("\nwarn  egress"), "{people}");
    assert!(people.contains("→ outside of development"), "{people}");
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "figures for the documents")]
async fn everything_that_was_broken_is_named() {
    let (mut router, _receiver) = lived_in().await;
    router.stop().await;
    let dir = tempfile::tempdir().unwrap();
    let mut copies = 0;
    let mut broken = |breaks: &dyn Fn(&PathBuf), name: &str, expected: &str| {
        copies += 1;
        let data = dir.path().join(format!("copy-{copies}"));
        copy(&router.data_dir(), &data);
        breaks(&data);
        let said = look(&data, &["--full"]);
        assert_eq!(said.code, 1, "{name}: {} {}", said.report, said.notes);
        let (outcome, what) = said.check(name);
        assert_eq!(outcome, "fail", "{name}: {}", said.report);
        assert!(what.contains(expected), "{name}: {what}");
        let todo = (said.report["checks"].as_array().unwrap().iter())
            .filter(|check| check["outcome"] == "fail")
            .all(|check| check["todo"].is_string());
        assert!(todo, "each says what to do: {}", said.report);
        said
    };
    let run = |statements: &'static str| move |data: &PathBuf| sql(data, statements);

    // The counters: what waits, what has ended, and one that is missing whole.
    let more = "UPDATE counter SET created = created + 1, pending = pending + 1";
    broken(
        &run(more),
        "counters",
        "pending is counted as 4, but 3 are in the ledger",
    );
    let more = "UPDATE counter SET created = created + 1, delivered = delivered + 1";
    let said = broken(&run(more), "counters", "delivered is counted as");
    assert_eq!(
        said.names("fail"),
        ["counters"],
        "and nothing else: {}",
        said.report
    );
    broken(
        &run("DELETE FROM counter"),
        "counters",
        "pending is counted as 0, but 3",
    );
    broken(
        &run("DELETE FROM delivery_1 WHERE state = 2"),
        "counters",
        "filtered is counted as 1, but",
    );

    // What waits has lost what it needs.
    let lost = "DELETE FROM event_1 WHERE id = (SELECT max(event) FROM pending)";
    broken(&run(lost), "ledger", "waits, but its event evt_");
    let lost = "DELETE FROM request_1 WHERE id = (SELECT max(request) FROM pending WHERE stage = 1)";
    broken(&run(lost), "ledger", "waits, but its request req_");
    let orphan = "UPDATE pending SET delivery = 7 WHERE request = (SELECT max(request) FROM pending)";
    broken(&run(orphan), "ledger", "is damaged");
    let due = "UPDATE pending SET due_at = due_at + 1 WHERE request = (SELECT min(request) FROM pending)";
    let said = broken(&run(due), "ledger", "the ledger's row of dlv_");
    assert_eq!(said.names("fail"), ["ledger"], "{}", said.report);

    // Bytes are not what they were, waiting or delivered.
    let flipped =
        "UPDATE event_1 SET data = CAST('{\"n\":9}' AS BLOB) WHERE id = (SELECT max(event) FROM pending)";
    broken(&run(flipped), "ledger", "is damaged");
    let flipped =
        "UPDATE event_1 SET data = CAST('{\"n\":9}' AS BLOB) WHERE id = (SELECT min(id) FROM event_1)";
    let said = broken(&run(flipped), "payloads", "evt_");
    assert_eq!(said.names("fail"), ["payloads"], "{}", said.report);
    let flipped = "UPDATE request_1 SET body = CAST('{}' AS BLOB) WHERE id = (SELECT min(id) FROM request_1)";
    broken(&run(flipped), "payloads", "req_");

    // And what is said of deliveries, and configured.
    let slower = "UPDATE attempt_1 SET duration_ms = duration_ms + 1
                  WHERE delivery = (SELECT min(delivery) FROM attempt_1)";
    let said = broken(&run(slower), "payloads", "an attempt of dlv_");
    assert_eq!(said.names("fail"), ["payloads"], "{}", said.report);
    let other = "UPDATE delivery_1 SET at = at + 1 WHERE id = (SELECT min(id) FROM delivery_1)";
    broken(&run(other), "payloads", "what became of dlv_");
    let renamed = "UPDATE tenant SET name = 'defaulu'";
    broken(
        &run(renamed),
        "payloads",
        "a row of the table tenant (1) is damaged",
    );

    // Files that others can read.
    let mode = |file: &'static str, mode| {
        move |data: &PathBuf| {
            let path = data.join(file);
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    broken(&mode("secrets.key", 0o644), "permissions", "secrets.key is 0644");
    broken(&mode("", 0o755), "permissions", " is 0755");
    let admin_key = |data: &PathBuf| {
        std::fs::write(data.join("admin.key"), "hw_x").unwrap();
        mode("admin.key", 0o640)(data);
    };
    broken(&admin_key, "permissions", "admin.key is 0640");

    // A database of another version, of another program, under another key, or cut.
    let said = broken(&run("PRAGMA user_version = 99"), "database", "schema 99");
    assert!(
        !said.report.to_string().contains("ledger"),
        "nothing is read of it: {}",
        said.report
    );
    broken(
        &run("PRAGMA application_id = 1"),
        "database",
        "not a database of hookway",
    );
    let key = |data: &PathBuf| std::fs::write(data.join("secrets.key"), "ab".repeat(32)).unwrap();
    broken(&key, "secrets-key", "does not belong to this database");
    let key = |data: &PathBuf| std::fs::remove_file(data.join("secrets.key")).unwrap();
    broken(&key, "secrets-key", "missing");
    let noise = |data: &PathBuf| {
        let path = data.join("hookway.db");
        let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'event_1'";
        let database = rusqlite::Connection::open(&path).unwrap();
        let page: i64 = database.query_row(root, [], |row| row.get(0)).unwrap();
        drop(database);
        let mut bytes = std::fs::read(&path).unwrap();
        let begin = usize::try_from(page - 1).unwrap() * 8_192;
        bytes[begin..begin + 8].fill(0xff);
        std::fs::write(path, bytes).unwrap();
    };
    broken(&noise, "structure", "");
    let foreign = |data: &PathBuf| std::fs::write(data.join("hookway.db"), "hello ".repeat(9_999)).unwrap();
    broken(&foreign, "database", "");

    // The control: the same directory as it was.
    let data = dir.path().join("healthy");
    copy(&router.data_dir(), &data);
    let said = look(&data, &["--full"]);
    assert_eq!(said.code, 0, "{} {}", said.report, said.notes);
    assert_eq!(said.report["seen"], "stopped");
    assert!(said.notes.contains("no router serves"), "{}", said.notes);
    println!("doctor: {copies} directories broken by hand, each named; the healthy one: 0 failed");
    // And a router still starts on what was looked at.
    router.start_again().await;
}

#[tokio::test]
async fn a_router_that_serves_is_looked_at_by_itself() {
    let (mut router, _receiver) = lived_in().await;
    // The file decides about the next start, so it is the file that is looked at.
    let key = router.data_dir().join("secrets.key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let said = ask(&router, &[]).await;
    assert_eq!((said.code, said.check("secrets-key").0.as_str()), (1, "fail"));
    std::fs::write(&key, kept).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();

    let off = json!({"reason": "on holiday"});
    router
        .post("/api/v1/subscriptions/plain/disable", &off)
        .await
        .expect(200);
    let said = ask(&router, &[]).await;
    let (outcome, what) = said.check("subscriptions");
    assert_eq!((said.code, outcome.as_str()), (0, "warn"), "{}", said.report);
    assert!(what.contains("plain") && what.contains("on holiday"), "{what}");

    sql(
        &router.data_dir(),
        "UPDATE counter SET created = created + 1, failed = failed + 1",
    );
    let said = ask(&router, &["--full"]).await;
    assert_eq!((said.code, said.check("counters").0.as_str()), (1, "fail"));

    // Beside it nobody opens the database, and nobody else may ask.
    let beside = look(&router.data_dir(), &[]);
    let (outcome, what) = beside.check("data-dir");
    assert_eq!((beside.code, outcome.as_str()), (1, "fail"));
    assert!(what.contains("in use"), "{what}");
    let wish = json!({"name": "k", "scopes": ["manage"]});
    let manager = router.post("/api/v1/keys", &wish).await.expect(201).str("/key");
    router.use_key(&manager);
    router.get("/api/v1/doctor").await.expect(403);
    router.get("/api/v1/doctor/recount").await.expect(403);
}

/// Somebody who tries a restore beside the router wants to hear about what was restored.
#[tokio::test]
async fn the_data_directory_decides_who_looks_and_not_who_listens() {
    let router = TestRouter::start().await;
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("other");
    copy(&router.data_dir(), &other);
    let listen = router.router().address().to_string();
    let seen = async |data: PathBuf| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookway"));
        command.args(["doctor", "--json", "--data-dir"]).arg(data);
        command.env("HOOKWAY_LISTEN", &listen);
        command.env("HOOKWAY_KEY", ADMIN_KEY);
        let output = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output()).await;
        let said = said(&output.expect("no panic").expect("it runs"));
        (said.report["seen"].clone(), said.report["data_dir"].clone())
    };
    assert_eq!(seen(other.clone()).await, (json!("stopped"), json!(other)));
    let served = router.data_dir();
    assert_eq!(seen(served.clone()).await, (json!("serving"), json!(served)));
}

#[tokio::test]
async fn places_and_parameters_that_nobody_gave_are_refused() {
    let router = TestRouter::start().await;
    for query in ["cursor=x", "cursor=ledger:x", "from=1", "cursor=payloads:1:event"] {
        let path = format!("/api/v1/doctor/recount?{query}");
        router.get(&path).await.expect(400);
    }
    router.get("/api/v1/doctor?dns=perhaps").await.expect(400);
    // Places that nothing is behind are the end of their area.
    for cursor in [
        "structure:zzz",
        "ledger:9223372036854775807",
        "payloads:9223372036854775807:request:0",
    ] {
        let path = format!("/api/v1/doctor/recount?cursor={cursor}");
        assert_eq!(
            router.get(&path).await.expect(200).body["looked_at"],
            0,
            "{cursor}"
        );
    }
}

#[test]
fn where_nothing_is_it_says_so_and_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("none");
    let said = look(&data, &[]);
    assert_eq!((said.code, said.check("data-dir").0.as_str()), (1, "fail"));
    assert!(!data.exists(), "looking makes no directory");
    // What cannot be looked into is not said to be empty (root may read everything: a file stands for it).
    std::fs::write(&data, "x").unwrap();
    let (_, what) = look(&data, &[]).check("data-dir");
    assert!(what.contains("cannot be looked into"), "{what}");
    let nobody = look(&data, &["--server", "http://127.0.0.1:1"]);
    assert_eq!(nobody.code, 3, "{}", nobody.notes);
}

/// Events come, fail, are sent again and end while everything is read: none of it is a fault.
#[tokio::test]
#[expect(clippy::print_stdout, reason = "figures for the documents")]
async fn nothing_is_at_fault_while_rows_move() {
    let receiver = Receiver::scripted([], Reply::Status(500)).await;
    let router = TestRouter::with(|config| {
        config.store.segment_bytes = 1 << 20;
        config.plugins.compile_wall_ms = 300_000;
        config.dispatch.retry_waits = Some(vec![]);
    })
    .await;
    let all =
        json!({"name": "all", "key": "all", "url": receiver.url(), "events": ["a"], "max_in_flight": 64});
    router.subscribe(&all).await;
    let noise = "x".repeat(2_000);
    let (mut sent, mut looks) = (0, 0);
    for round in 0..4 {
        receiver.now_answer(Reply::Status(if round % 2 == 0 { 500 } else { 200 }));
        let events: Vec<Value> = (0..200)
            .map(|n| json!({"type": "a", "data": {"n": n, "noise": noise}}))
            .collect();
        sent += events.len();
        router.post("/api/v1/events", &json!(events)).await.expect(202);
        router
            .post("/api/v1/subscriptions/all/recover", &json!({"rate": 10_000}))
            .await
            .expect(202);
        let said = ask(&router, &["--full"]).await;
        looks += 1;
        assert_eq!(said.code, 0, "{}", said.report);
        assert!(said.check("counters").1.contains("exactly"), "{}", said.report);
    }
    receiver.wait_for(sent).await;
    router.settle().await;
    let said = ask(&router, &["--full"]).await;
    assert_eq!(said.code, 0, "{}", said.report);
    println!("doctor --full beside traffic: {sent} events, {looks} looks while rows moved, 0 faults");
}

/// Once history has left, the rows of what has ended may only not be more than were counted.
#[tokio::test]
async fn history_that_has_expired_is_no_fault() {
    let receiver = Receiver::start().await;
    let mut router = TestRouter::with(|config| {
        config.store.retention = Duration::from_secs(60 * 60);
    })
    .await;
    router
        .subscribe(&json!({"name": "n", "key": "n", "url": receiver.url(), "events": ["a"]}))
        .await;
    for n in 0..5 {
        router.send(&json!({"type": "a", "data": n})).await;
    }
    receiver.wait_for(5).await;
    router.settle().await;
    let mut rounds = 0;
    let what = loop {
        router.advance(Duration::from_secs(20 * 60)).await;
        router.send(&json!({"type": "a", "data": "later"})).await;
        router.settle().await;
        let said = ask(&router, &["--full"]).await;
        assert_eq!(said.code, 0, "{}", said.report);
        let (_, what) = said.check("counters");
        rounds += 1;
        assert!(rounds < 60, "history does not expire: {what}");
        if what.contains("has expired") {
            break what;
        }
    };
    assert!(what.contains("what waits was compared exactly"), "{what}");
    router.stop().await;
    // More rows than were ever counted is a fault all the same.
    let less = "UPDATE counter SET created = created - delivered, delivered = 0";
    sql(&router.data_dir(), less);
    let said = look(&router.data_dir(), &["--full"]);
    assert_eq!((said.code, said.check("counters").0.as_str()), (1, "fail"));
}
