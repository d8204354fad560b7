//! The structure, kept by a test: which room may know which, what is banned where, how large a room
//! may get. ARCHITECTURE.md describes it; this holds it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Longest source file. One that grows beyond holds more than one idea.
const LINES_MAX: usize = 500;

/// Rooms without I/O, clock or async.
const PURE: &[&str] = &[
    "alert",
    "auth",
    "bucket",
    "checkup",
    "cloudevents",
    "delivery",
    "diagnosis",
    "digest",
    "event",
    "event_type",
    "first_party",
    "id",
    "json",
    "meter",
    "metrics",
    "network",
    "operation",
    "outbound",
    "own_event",
    "profile",
    "reception",
    "retry",
    "routing",
    "secret",
    "signature",
    "source",
    "subscription",
    "time",
    "vault",
    "verdict",
];
/// One outside thing each.
const EDGES: &[&str] = &[
    "clock",
    "config",
    "disk",
    "egress",
    "plugin",
    "process",
    "store",
    "telemetry",
];
/// Rooms that bring edges together.
const WIRING: &[&str] = &[
    "activity",
    "backup",
    "catalogue",
    "control",
    "dispatcher",
    "doctor",
    "housekeeping",
    "ingest",
    "intake",
    "recovery",
    "registry",
    "render",
    "router",
    "scrape",
    "sentinel",
    "space",
    "trial",
    "workbench",
];
/// Where people and programs come in.
const DOORS: &[&str] = &["api", "cli", "main", "lib"];

/// What an edge may know besides pure rooms and itself.
const EDGE_EXCEPTIONS: &[(&str, &str)] = &[
    // Limits of the plugin runtime are settings, written once.
    ("plugin", "config"),
    ("telemetry", "config"),
];

/// Text that may only stand in certain rooms, and what to use elsewhere.
const BANS: &[(&str, &[&str], &str)] = &[
    ("SystemTime::now", &["clock"], "take `now` from the clock"),
    (
        "env::var",
        &["config"],
        "the configuration is the only reader of the environment",
    ),
    ("unbounded_channel", &[], "every queue has a bound"),
    (
        "mpsc::channel()",
        &[],
        "every queue has a bound; use sync_channel or tokio's",
    ),
    (
        "axum::serve(",
        &["cli"],
        "it has no header time-out; use api::server",
    ),
    (
        "body::to_bytes",
        &["api"],
        "a body is read with a limit, where the API reads bodies",
    ),
    ("rusqlite", &["store"], "nothing outside the store knows SQL"),
    (
        "wasmtime",
        &["plugin"],
        "nothing outside the plugin room knows the engine",
    ),
    ("reqwest", &["cli"], "what leaves goes through egress"),
    ("hyper_rustls", &["egress"], "what leaves goes through egress"),
    ("hyper::client", &["egress"], "what leaves goes through egress"),
    ("client::legacy", &["egress"], "what leaves goes through egress"),
    ("use axum", &["api", "cli"], "only the doors know HTTP frameworks"),
    (
        "println!",
        &["cli", "main"],
        "rooms log; only the command line prints",
    ),
    (
        ".unwrap()",
        &[],
        "say with `expect` why it cannot be, or return an error",
    ),
    (
        "unsafe {",
        &["plugin"],
        "only artefacts that this host wrote are loaded unchecked",
    ),
];

struct Source {
    /// Path below `host/src`.
    path: PathBuf,
    /// The room: the first part of the path.
    room: String,
    /// The text without tests.
    code: String,
    whole: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn rust_files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                rust_files(&path, into);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

fn host_sources() -> Vec<Source> {
    let src = root().join("host/src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    files
        .into_iter()
        .map(|file| {
            let whole = std::fs::read_to_string(&file).unwrap();
            let path = file.strip_prefix(&src).unwrap().to_owned();
            let room = path
                .iter()
                .next()
                .unwrap()
                .to_str()
                .unwrap()
                .trim_end_matches(".rs")
                .to_owned();
            let tests = is_test_file(&path);
            let code = if tests {
                String::new()
            } else {
                without_tests(&whole)
            };
            Source {
                path,
                room,
                code,
                whole,
            }
        })
        .collect()
}

fn is_test_file(path: &Path) -> bool {
    let name = path.file_stem().unwrap().to_str().unwrap();
    name.ends_with("_tests")
        || ["tests", "contract", "testing", "vectors"].contains(&name)
        || path.iter().any(|part| part == "tests" || part == "contract")
}

/// Everything before the test module, without comments.
fn without_tests(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Rooms that the code names by `crate::room`.
fn known_rooms(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default().split(',').collect(),
            None => vec![rest],
        };
        for name in names {
            let name: String = name
                .trim()
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                .collect();
            if !name.is_empty() {
                rooms.insert(name);
            }
        }
    }
    rooms
}

fn may_know(room: &str, other: &str) -> bool {
    let is = |list: &[&str], name| list.contains(&name);
    room == other
        || match room {
            _ if is(PURE, room) => is(PURE, other),
            _ if is(EDGES, room) => is(PURE, other) || EDGE_EXCEPTIONS.contains(&(room, other)),
            // The one room that builds everything.
            "router" => true,
            _ if is(WIRING, room) => is(PURE, other) || is(EDGES, other) || is(WIRING, other),
            // The API shows what the store has and what a plugin said; it asks neither to do anything.
            "api" => is(PURE, other) || is(WIRING, other) || ["clock", "plugin", "store"].contains(&other),
            "cli" => {
                is(PURE, other)
                    || [
                        "api",
                        "config",
                        "router",
                        "telemetry",
                        "clock",
                        "plugin",
                        "egress",
                        // Plugins are tried, and data directories looked at and backed up, without a router.
                        "doctor",
                        "workbench",
                        "backup",
                    ]
                    .contains(&other)
            }
            "lib" | "main" => true,
            _ => false,
        }
}

#[test]
fn every_room_has_its_place_and_knows_only_what_it_may() {
    let mut faults = Vec::new();
    for source in host_sources() {
        let placed = [PURE, EDGES, WIRING, DOORS]
            .iter()
            .any(|list| list.contains(&source.room.as_str()));
        if !placed {
            faults.push(format!(
                "{}: the room is in no layer of tidy.rs",
                source.path.display()
            ));
        }
        for other in known_rooms(&source.code) {
            let exists = [PURE, EDGES, WIRING, DOORS]
                .iter()
                .any(|list| list.contains(&other.as_str()));
            if exists && !may_know(&source.room, &other) {
                faults.push(format!(
                    "{}: {} must not know {other}",
                    source.path.display(),
                    source.room
                ));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn bans_hold() {
    let mut faults = Vec::new();
    for source in host_sources() {
        for (text, allowed, instead) in BANS {
            if source.code.contains(text) && !allowed.contains(&source.room.as_str()) {
                faults.push(format!(
                    "{}: `{text}` is banned here: {instead}",
                    source.path.display()
                ));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_checks_themselves_can_fail() {
    assert!(!may_know("routing", "store"), "a pure room must not know an edge");
    assert!(!may_know("store", "egress"), "an edge must not know another");
    assert!(!may_know("dispatcher", "api"), "wiring must not know a door");
    let rooms = known_rooms("use crate::{store, id::EventId};\nfn f() { crate::clock::now() }");
    assert_eq!(rooms.into_iter().collect::<Vec<_>>(), ["clock", "id", "store"]);
}

#[test]
fn files_are_small_explained_and_well_named() {
    let mut files = Vec::new();
    for part in ["host/src", "guest-sdk", "plugins", "xtask", "tests"] {
        rust_files(&root().join(part), &mut files);
    }
    let mut faults = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let shown = file.strip_prefix(root()).unwrap().display().to_string();
        if text.lines().count() > LINES_MAX {
            faults.push(format!(
                "{shown}: {} lines, more than {LINES_MAX}",
                text.lines().count()
            ));
        }
        if !text.starts_with("//!") && !name.ends_with("_tests.rs") {
            faults.push(format!(
                "{shown}: does not open with a paragraph that says why it exists"
            ));
        }
        if [
            "mod.rs",
            "utils.rs",
            "util.rs",
            "common.rs",
            "helpers.rs",
            "misc.rs",
        ]
        .contains(&name)
        {
            faults.push(format!("{shown}: a file is named for its one idea"));
        }
        let mark = ["#[", "ignore"].concat();
        if text.contains(&mark) {
            faults.push(format!("{shown}: an ignored test shows nothing"));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn no_source_is_forgotten() {
    let sources = host_sources();
    assert!(sources.len() > 40, "only {} files found", sources.len());
    assert!(sources.iter().all(|source| !source.whole.is_empty()));
}
