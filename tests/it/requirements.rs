//! What four products and a note on webhooks ask for, and where it is met: `docs/products.md` has a line for
//! each of their points, and this keeps that page honest. Every point has its line, every test that a line
//! names is one, every file is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The points of each document: `WF-01` to `WF-23` and so on.
const POINTS: [(&str, u32); 5] = [("WF", 23), ("AE", 23), ("IB", 19), ("WX", 15), ("GN", 31)];
/// A name in backticks with fewer words is a field or a value, not a test.
const TEST_WORDS_MIN: usize = 4;
/// What a line says that names neither a test nor a file.
const NOT_MET: &str = "Not met";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The lines of the page: identifier, and where it is met.
fn lines(page: &str) -> Vec<(String, String)> {
    let of_a_table = |line: &str| {
        let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
        let cells: Vec<&str> = inner.split(" | ").map(str::trim).collect();
        let (&[id, _, met], true) = (&cells[..], is_identifier(cells[0])) else {
            return None;
        };
        Some((id.to_owned(), met.to_owned()))
    };
    page.lines().filter_map(of_a_table).collect()
}

fn is_identifier(text: &str) -> bool {
    let mut prefixes = POINTS.iter().map(|(prefix, _)| prefix);
    text.split_once('-')
        .is_some_and(|(prefix, _)| prefixes.any(|one| *one == prefix))
}

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn is_test_name(text: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.chars().all(word) && text.split('_').count() >= TEST_WORDS_MIN
}

fn is_path(text: &str) -> bool {
    let inside = ["docs/", "tests/", "host/", "plugins/", "wit/", "guest-sdk/"];
    inside.iter().any(|folder| text.starts_with(folder))
}

/// The names of all tests of the workspace.
fn tests() -> BTreeSet<String> {
    fn read(dir: &Path, into: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "target") {
                    read(&path, into);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let contract = path.iter().any(|part| part == "contract");
                into.extend(tests_of(&std::fs::read_to_string(&path).unwrap(), contract));
            }
        }
    }
    let mut found = BTreeSet::new();
    for part in ["host", "guest-sdk", "plugins", "xtask", "tests"] {
        read(&root().join(part), &mut found);
    }
    found
}

/// The functions of a source that are tests. In the store's contract every function is one, because each
/// backend makes tests of them.
fn tests_of(source: &str, contract: bool) -> Vec<String> {
    let mut names = Vec::new();
    let mut marked = contract;
    for line in source.lines().map(str::trim) {
        marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let Some((before, rest)) = line.split_once("fn ") else {
            continue;
        };
        if marked
            && before
                .chars()
                .all(|c| c.is_ascii_alphabetic() || " ():_".contains(c))
        {
            names.extend(rest.split(['(', '<']).next().map(str::to_owned));
        }
        marked = contract;
    }
    names
}

#[test]
fn every_requirement_has_a_line_and_every_line_is_true() {
    let page = std::fs::read_to_string(root().join("docs/products.md")).expect("the page");
    let (tests, mut seen, mut faults) = (tests(), BTreeSet::new(), Vec::new());
    for (id, met) in lines(&page) {
        let mut proofs = 0;
        for name in quoted(&met) {
            let path = name.split('#').next().unwrap_or_default();
            let there = if is_path(name) {
                root().join(path).exists()
            } else if is_test_name(name) {
                tests.contains(name)
            } else {
                continue;
            };
            proofs += 1;
            if !there {
                faults.push(format!("{id}: `{name}` is not there"));
            }
        }
        if proofs == 0 && !met.starts_with(NOT_MET) {
            faults.push(format!(
                "{id}: names neither a test nor a file, and does not begin with \"{NOT_MET}\""
            ));
        }
        if !seen.insert(id.clone()) {
            faults.push(format!("{id}: has two lines"));
        }
    }
    for (prefix, count) in POINTS {
        for id in (1..=count).map(|n| format!("{prefix}-{n:02}")) {
            if !seen.remove(&id) {
                faults.push(format!("{id}: has no line"));
            }
        }
    }
    faults.extend(seen.iter().map(|id| format!("{id}: is no requirement")));
    assert!(faults.is_empty(), "docs/products.md\n{}", faults.join("\n"));
}

#[test]
fn the_check_of_the_page_can_fail() {
    let page = "| WF-01 | a | `one_two_three_four` and `docs/x.md#y` |\n| WF-1 | b |\n| id | c | d |";
    assert_eq!(lines(page).len(), 1);
    let (_, met) = lines(page).remove(0);
    let names: Vec<&str> = quoted(&met).collect();
    assert!(is_test_name(names[0]) && is_path(names[1]), "{names:?}");
    assert!(!is_test_name("external_id") && !is_path("/api/v1/webhooks"));
    let source =
        "#[tokio::test]\nasync fn one_two() {}\nfn no_test() {}\n    #[test]\n    fn three(x in 0..1) {}";
    assert_eq!(tests_of(source, false), ["one_two", "three"]);
    assert!(tests().contains("the_check_of_the_page_can_fail"));
}
