//! `docs/limits.md`: the limits that are no settings, as the code has them.
//!
//! They are read from the sources of the rooms that people's input meets: every public constant whose name
//! says that it bounds something. `WRITE_DOCUMENTS=1` writes the page anew instead of comparing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The rooms whose limits people meet, and what is limited there.
const ROOMS: &[(&str, &str)] = &[
    ("event", "Events"),
    ("ingest", "Calls that bring events"),
    ("json", "JSON"),
    ("auth", "API keys"),
    ("control", "What is configured"),
    ("subscription", "Subscriptions"),
    ("routing", "Patterns and filters"),
    ("event_type", "Event types"),
    ("profile", "Profiles"),
    ("signature", "Signatures"),
    ("source", "Sources"),
    ("verdict", "What answers mean"),
    ("retry", "Retries"),
    ("operation", "Operations"),
    ("egress", "The way out"),
    ("store", "The store"),
    ("trial", "Tests of endpoints"),
    ("api", "The HTTP API"),
];

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
    found.retain(|path| path.exists());
    found.sort();
    found
}

/// A limit: its name, its value as the code has it, what it is for.
struct Limit {
    name: String,
    value: String,
    doc: String,
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
        if let Some(rest) = line.strip_prefix("pub const ") {
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
        doc.clear();
    }
    found
}

/// Values as people read them, where the code says them so that machines do.
fn shown(value: &str) -> String {
    let value = value
        .replace("1_024 * 1_024", "MiB")
        .replace("1024 * 1024", "MiB");
    let value = value.replace("* 1_024", "* KiB").replace("Duration::from_", "");
    match value.starts_with(|c: char| c.is_ascii_digit()) && !value.contains("::") {
        true => value.replace('_', ""),
        false => value,
    }
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
