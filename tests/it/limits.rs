//! `docs/limits.md`: the limits that are no settings, as the code has them.
//!
//! They are read from the sources of all rooms: every constant whose name says that it bounds something.
//! The command line's own are left out: they bound what it shows, and a router knows nothing of them.
//! `WRITE_DOCUMENTS=1` writes the page anew instead of comparing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The rooms that have limits, and what is limited there.
const ROOMS: &[(&str, &str)] = &[
    ("event", "Events"),
    ("ingest", "Calls that bring events"),
    ("json", "JSON"),
    ("auth", "API keys"),
    ("id", "Ids"),
    ("control", "What is configured"),
    ("config", "The configuration"),
    ("subscription", "Subscriptions"),
    ("routing", "Patterns and filters"),
    ("event_type", "Event types"),
    ("profile", "Profiles"),
    ("signature", "Signatures"),
    ("source", "Sources"),
    ("intake", "Webhooks that come in"),
    ("reception", "What is kept of them"),
    ("plugin", "Plugins"),
    ("catalogue", "Compiled plugins in memory"),
    ("render", "What plugins bring about"),
    ("dispatcher", "Lanes and timers"),
    ("egress", "The way out"),
    ("verdict", "What answers mean"),
    ("retry", "Retries"),
    ("diagnosis", "Diagnoses"),
    ("trial", "Tests of endpoints"),
    ("operation", "Operations"),
    ("recovery", "How operations are carried out"),
    ("activity", "What `tail` shows"),
    ("sentinel", "Alerts"),
    ("store", "The store"),
    ("space", "Room on the disk"),
    ("backup", "Backups"),
    ("checkup", "Looking at everything stored"),
    ("doctor", "The doctor"),
    ("clock", "The clock"),
    ("router", "The process"),
    ("api", "The HTTP API"),
];

/// The room whose limits are left out.
const LEFT_OUT: &str = "cli";

const HEAD: &str = "\
# Limits that are no settings

<!-- Made from the sources. Do not edit: change the constant, and run
     `WRITE_DOCUMENTS=1 cargo nextest run -p hookway --test it limits`. -->

What can be configured is in [Configuration](configuration.md), with its limits. These are fixed: whoever needs
another one changes a constant, whose documentation says why it is what it is. Sizes are in bytes, and durations
as the code has them.
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files of a room, in an order that stays.
fn files(room: &str) -> Vec<PathBuf> {
    let mut found = vec![root().join(format!("host/src/{room}.rs"))];
    let mut open = vec![root().join(format!("host/src/{room}"))];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.retain(|path| path.exists() && !is_of_tests(path));
    found.sort();
    found
}

fn is_of_tests(path: &Path) -> bool {
    path.components()
        .any(|part| matches!(part.as_os_str().to_str(), Some(name) if name.contains("tests")))
}

/// A limit: its name, its value as the code has it, what it is for.
struct Limit {
    name: String,
    value: String,
    doc: String,
}

/// What follows `const` where a line begins one, whoever may see it.
fn constant(line: &str) -> Option<&str> {
    let (seen_by, rest) = line.split_once("const ")?;
    let anyone = seen_by.is_empty() || seen_by == "pub ";
    (anyone || seen_by.starts_with("pub(") && seen_by.ends_with(") ")).then_some(rest)
}

fn limits_of(path: &Path) -> Vec<Limit> {
    let text = std::fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let (mut doc, mut found) = (Vec::new(), Vec::new());
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        if let Some(said) = line.strip_prefix("/// ") {
            doc.push(said.to_owned());
            continue;
        }
        let mut whole = line.to_owned();
        if let Some(rest) = constant(line) {
            while !whole.contains(';') {
                whole.push_str(lines.next().unwrap_or(";").trim());
            }
            let name = rest.split(':').next().unwrap_or_default();
            let bounds = ["_MAX", "_MIN", "_DEFAULT", "_OVERLAP"];
            let value = whole
                .split_once(" = ")
                .map(|(_, value)| value.trim_end_matches(';'));
            if let (true, Some(value)) = (bounds.iter().any(|end| name.ends_with(end)), value) {
                found.push(Limit {
                    name: name.to_owned(),
                    value: value.to_owned(),
                    doc: doc.join(" "),
                });
            }
        }
        if !line.starts_with("#[") {
            doc.clear();
        }
    }
    found
}

/// Values as people read them, where the code says them so that machines do.
fn shown(value: &str) -> String {
    let value = value
        .replace("1_024 * 1_024", "MiB")
        .replace("1024 * 1024", "MiB");
    let value = value.replace("* 1_024", "* KiB").replace("Duration::from_", "");
    let value = match value
        .strip_prefix("NonZeroUsize::new(")
        .and_then(|rest| rest.split_once(')'))
    {
        Some((number, _)) => number.to_owned(),
        None => value,
    };
    // Of a path into the code, its last part says what is meant.
    let words = value.split(' ').map(|word| match word.rsplit_once("::") {
        Some((_, name)) if !word.contains('(') => name,
        _ => word,
    });
    let words = words.map(|word| match word.starts_with(|c: char| c.is_ascii_digit()) {
        true => word.replace('_', ""),
        false => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// A documentation without its links: they lead into the code.
fn plain(doc: &str) -> String {
    let mut text = String::new();
    let mut parts = doc.split("](");
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        text.push_str(part.split_once(')').map_or(part, |(_, behind)| behind));
    }
    text.replace(['[', ']'], "").replace('|', "\\|")
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (room, title) in ROOMS {
        let all: Vec<Limit> = files(room).iter().flat_map(|path| limits_of(path)).collect();
        if all.is_empty() {
            continue;
        }
        write!(
            page,
            "\n## {title}\n\n| limit | value | what it bounds |\n|---|---|---|\n"
        )
        .unwrap();
        for Limit { name, value, doc } in all {
            let doc = plain(&doc);
            writeln!(page, "| `{name}` | {} | {doc} |", shown(&value)).unwrap();
        }
    }
    page
}

#[test]
fn no_room_with_limits_is_left_out() {
    let rooms = std::fs::read_dir(root().join("host/src")).unwrap();
    let rooms = rooms.map(|entry| {
        entry
            .unwrap()
            .path()
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    });
    let mut silent: Vec<String> = rooms
        .filter(|room| room != LEFT_OUT && !ROOMS.iter().any(|(known, _)| known == room))
        .filter(|room| files(room).iter().any(|path| !limits_of(path).is_empty()))
        .collect();
    silent.sort();
    silent.dedup();
    assert_eq!(
        silent,
        Vec::<String>::new(),
        "these rooms have limits that no page shows"
    );
}

#[test]
fn every_limit_says_what_it_bounds() {
    let all = ROOMS.iter().flat_map(|(room, _)| files(room));
    let silent: Vec<String> = all
        .flat_map(|path| {
            limits_of(&path)
                .into_iter()
                .map(move |limit| (path.clone(), limit))
        })
        .filter(|(_, limit)| limit.doc.is_empty())
        .map(|(path, limit)| format!("{}: {}", path.display(), limit.name))
        .collect();
    assert_eq!(silent, Vec::<String>::new());
}

#[test]
fn every_limit_that_people_meet_is_on_its_page() {
    let path = root().join("docs/limits.md");
    let page = page();
    assert!(page.lines().count() > 60, "the sources are read:\n{page}");
    if std::env::var_os("WRITE_DOCUMENTS").is_some() {
        std::fs::write(path, page).unwrap();
        return;
    }
    assert!(
        std::fs::read_to_string(path).unwrap_or_default() == page,
        "docs/limits.md is not what the code says; write it anew with\n  \
         WRITE_DOCUMENTS=1 cargo nextest run -p hookway --test it limits"
    );
}
