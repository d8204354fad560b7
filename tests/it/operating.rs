//! What is written for operators is true: every command in the documents is one that the program takes, every
//! reason for which a router does not start is in the runbook, image and unit say what the code needs.

use std::path::{Path, PathBuf};

use clap::Parser as _;
use hookway::cli::Cli;
use hookway::config::{Config, SETTINGS};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The code blocks of a document that show a terminal, their lines joined where one ends with a backslash.
fn shown_commands(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut fence: Option<String> = None;
    for line in text.lines() {
        let bare = line.trim_start();
        if let Some(kind) = bare.strip_prefix("```") {
            fence = match fence {
                Some(_) => None,
                None => Some(kind.trim().to_owned()),
            };
            continue;
        }
        match fence.as_deref() {
            Some("sh") => lines.push(bare.to_owned()),
            // Of a session, only what was typed: the prompt, and what goes on behind a backslash.
            Some("console") => match bare.strip_prefix("$ ") {
                Some(typed) => lines.push(typed.to_owned()),
                None => {
                    let goes_on = lines.last().is_some_and(|last: &String| last.ends_with('\\'));
                    if goes_on {
                        lines.push(bare.to_owned());
                    }
                }
            },
            _ => {}
        }
    }
    let mut commands: Vec<String> = Vec::new();
    for line in lines {
        match commands.last_mut().filter(|last| last.ends_with('\\')) {
            Some(last) => {
                last.pop();
                last.push_str(&line);
            }
            None => commands.push(line),
        }
    }
    commands
}

/// The words of a line of shell, up to where the command ends.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut open, mut quoted) = (Vec::new(), String::new(), None, false);
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        match (open, c) {
            (Some('\''), '\'') | (Some('"'), '"') => open = None,
            (Some('"') | None, '\\') => word.extend(characters.next()),
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => (open, quoted) = (Some(c), true),
            (None, ' ') => {
                if !word.is_empty() || quoted {
                    words.push(std::mem::take(&mut word));
                }
                quoted = false;
            }
            (None, '#') if word.is_empty() => break,
            (None, '|' | '>' | '&' | ';' | '<') => break,
            (None, c) => word.push(c),
        }
    }
    if !word.is_empty() || quoted {
        words.push(word);
    }
    words
}

/// The call of `hookway` in a line, if it is one, without what stands before it.
fn call(line: &str) -> Option<Vec<String>> {
    let line = line.trim();
    let line = line.strip_prefix("sudo -u hookway ").unwrap_or(line);
    let line = line.strip_prefix("docker exec hookway ").unwrap_or(line);
    let mut words = words(line);
    // Variables for this call alone.
    let is_variable = |word: &String| word.starts_with("HOOKWAY_") && word.contains('=');
    words.drain(..words.iter().take_while(|word| is_variable(word)).count());
    // "and so on"
    words.retain(|word| word != "…");
    (words.first()? == "hookway").then_some(words)
}

/// Why the program would not take this call, if it would not.
fn refused(words: &[String]) -> Option<String> {
    let error = Cli::try_parse_from(words).err()?;
    // Asking for help or the version is fine.
    (error.exit_code() != 0).then(|| format!("{}\n{error}", words.join(" ")))
}

fn documents() -> Vec<PathBuf> {
    let mut all = vec![root().join("README.md")];
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        all.push(entry.unwrap().path());
    }
    all.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    all.sort();
    all
}

#[test]
#[expect(clippy::print_stdout, reason = "figures for the documents")]
fn every_command_in_the_documents_is_one() {
    let (mut faults, mut count) = (Vec::new(), 0);
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        for line in shown_commands(&text) {
            // Several in one line are several.
            for part in line.split(" && ") {
                let Some(words) = call(part) else { continue };
                count += 1;
                if let Some(why) = refused(&words) {
                    faults.push(format!("{}: {why}", path.file_name().unwrap().display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count > 90, "only {count} commands were found");
    println!("documents: {count} commands, all taken by the program");
}

#[test]
fn a_command_that_is_none_is_noticed() {
    for (line, good) in [
        ("hookway doctor --full", true),
        (
            "sudo -u hookway hookway doctor --data-dir /var/lib/hookway   # as the service",
            true,
        ),
        ("docker exec hookway hookway health --ready", true),
        ("hookway doctor --deep", false),
        ("hookway subscriptions mend leads", false),
        ("hookway keys create --name x --scope everything", false),
        ("hookway recover leads --rate fast", false),
    ] {
        let words = call(line).unwrap_or_else(|| panic!("{line} is a call"));
        assert_eq!(refused(&words).is_none(), good, "{line}: {words:?}");
    }
    for line in [
        "docker build -t hookway .",
        "install -m 0755 x /usr/local/bin/hookway",
        "systemctl stop hookway",
    ] {
        assert_eq!(call(line), None, "{line}");
    }
    assert_eq!(
        words(r#"a 'b c' "d \"e\"" f\ g '' | h"#),
        ["a", "b c", "d \"e\"", "f g", ""]
    );
}

/// The longest piece of an error's text that has nothing put in.
fn fixed_part(text: &str) -> String {
    let mut pieces = vec![String::new()];
    let mut depth = 0_u32;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                pieces.push(String::new());
            }
            c if depth == 0 => pieces.last_mut().expect("never empty").push(c),
            _ => {}
        }
    }
    let longest = pieces.into_iter().max_by_key(String::len).unwrap_or_default();
    let longest = longest
        .trim()
        .trim_start_matches(':')
        .trim_end_matches(':')
        .trim();
    longest.to_owned()
}

/// The texts of the errors of an enum.
fn texts_of(path: &str, name: &str) -> Vec<String> {
    let code = read(path);
    let (_, rest) = code.split_once(&format!("pub enum {name} {{")).expect("the enum");
    let (body, _) = rest.split_once("\n}\n").expect("its end");
    let mut texts = Vec::new();
    for (at, _) in body.match_indices("#[error(") {
        let after = body[at + "#[error(".len()..].trim_start();
        // `transparent` has the text of another.
        if let Some(text) = after.strip_prefix('"') {
            let text = text.split_once('"').expect("its end").0;
            texts.push(
                text.replace("\\\n", "")
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" "),
            );
        }
    }
    assert!(!texts.is_empty(), "{path} {name}");
    texts
}

#[test]
fn every_reason_not_to_start_is_in_the_runbook() {
    let runbook = read("docs/runbook.md");
    let (_, section) = runbook
        .split_once("\n## It does not start\n")
        .expect("the section");
    let (section, _) = section.split_once("\n## ").expect("the next");
    let section = section.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut missing = Vec::new();
    for (path, name) in [
        ("host/src/router.rs", "StartError"),
        ("host/src/store/sqlite/opening.rs", "OpenError"),
        ("host/src/store/files.rs", "Error"),
        ("host/src/plugin.rs", "StartError"),
        ("host/src/config/layers.rs", "Error"),
    ] {
        for text in texts_of(path, name) {
            // What only says where, in front of a cause that has its own line.
            if text == "the data directory cannot be used" {
                continue;
            }
            let part = fixed_part(&text);
            if !section.contains(&part) {
                missing.push(format!("{path}: {part}"));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "docs/runbook.md does not have:\n{}",
        missing.join("\n")
    );
    assert_eq!(fixed_part("cannot {action} on {}; look there"), "; look there");
}

/// The value of a setting of a unit, all of them joined.
fn unit(text: &str, name: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    values.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_unit_has_what_the_router_needs() {
    let text = read("deploy/systemd/hookway.service");
    let config = Config::default();
    let seconds = |name: &str| {
        unit(&text, name)
            .trim_end_matches('s')
            .parse::<u64>()
            .expect("seconds")
    };
    assert!(seconds("TimeoutStopSec") > 2 * config.dispatch.drain.as_secs());
    let files: usize = unit(&text, "LimitNOFILE").parse().unwrap();
    assert!(files > config.server.connections_max + config.dispatch.in_flight_max + 256);
    assert_eq!(unit(&text, "MemoryDenyWriteExecute"), "no");
    assert_eq!(unit(&text, "OOMPolicy"), "continue");
    assert_eq!(unit(&text, "NoNewPrivileges"), "yes");
    assert_eq!(unit(&text, "ProtectSystem"), "strict");
    assert_eq!(unit(&text, "StateDirectoryMode"), "0700");
    for name in ["ExecStart", "ExecStartPost"] {
        let words = words(&unit(&text, name));
        assert_eq!(refused(&words), None, "{name}");
    }
    assert_variables_are_known(&unit(&text, "Environment"));
}

#[test]
fn the_image_has_what_the_router_needs() {
    let text = read("Dockerfile");
    let joined = text.replace("\\\n", " ");
    let line = |instruction: &str| {
        let found = joined.lines().filter(|line| line.starts_with(instruction));
        found.collect::<Vec<_>>().join("\n")
    };
    assert!(line("USER").contains("65532") && line("FROM").ends_with(":nonroot"));
    assert_eq!(line("STOPSIGNAL"), "STOPSIGNAL SIGTERM");
    assert_eq!(line("VOLUME"), "VOLUME [\"/data\"]");
    let list = |text: &str| -> Vec<String> {
        serde_json::from_str(&text[text.find('[').expect("a list")..]).expect("JSON, not a shell")
    };
    assert_eq!(refused(&list(&line("HEALTHCHECK"))), None);
    let start = [list(&line("ENTRYPOINT")), list(&line("CMD"))].concat();
    assert_eq!(refused(&start), None);
    assert_variables_are_known(&line("ENV"));
    let builder = line("FROM rust");
    let toolchain = read("rust-toolchain.toml");
    let version = toolchain
        .split("channel = \"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let minor = version.rsplit_once('.').unwrap().0;
    assert!(
        builder.contains(&format!("rust:{minor}-")),
        "{builder} has Rust {minor}"
    );
}

fn assert_variables_are_known(text: &str) {
    let names = text.split_whitespace().filter_map(|word| word.split_once('='));
    let mut count = 0;
    for (name, _) in names.filter(|(name, _)| name.starts_with("HOOKWAY_")) {
        let known = SETTINGS
            .iter()
            .any(|setting| setting.variables().contains(&name.to_owned()));
        assert!(known, "{name} is no setting");
        count += 1;
    }
    assert!(count >= 2, "{text}");
}
