//! `hookway plugin new`: a crate that builds at once and passes its own tests.
//!
//! The files come from `templates/`, where they are tested like any other code; only `Cargo.toml` and the
//! README have places to fill. Nothing that is there is ever overwritten.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::cli::output::{Tone, clean};
use crate::cli::{Context, Failure};

/// Longest name, in bytes: what the contract allows (`plugin/manifest.rs`).
const NAME_BYTES_MAX: usize = 64;
/// Names that cargo or Rust take for something else.
const NAMES_TAKEN: [&str; 10] = [
    "alloc",
    "core",
    "deps",
    "build",
    "examples",
    "hookway-plugin",
    "hookway_plugin",
    "incremental",
    "std",
    "test",
];
/// Words of Rust, which no crate can be called.
const WORDS: &str = "abstract as async await become box break const continue crate do dyn else enum extern \
    false final fn for gen if impl in let loop macro match mod move mut override priv pub ref return self \
    static struct super trait true try type typeof unsafe unsized use virtual where while yield";

/// Flags of `plugin new`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The plugin's name: lower-case letters, digits, `-` and `_`
    name: String,
    /// The folder to make [default: the name]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The SDK's folder, in place of the published version
    #[arg(long, value_name = "DIR")]
    sdk_path: Option<PathBuf>,
    /// What it starts as
    #[arg(long, value_enum, default_value_t)]
    template: Template,
}

/// What a new plugin does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Template {
    /// Gives an event another shape.
    #[default]
    Transform,
    /// Lets some events through and others not.
    Filter,
    /// Raises a new event beside the one it is given.
    Emit,
}

/// A path below the new folder, and what is in the file.
type File = (&'static str, &'static str);

macro_rules! template {
    ($name:literal: $($fixture:literal),+) => {
        &[
            ("src/lib.rs", include_str!(concat!("templates/", $name, ".rs"))),
            $((
                concat!("fixtures/", $fixture, ".json"),
                include_str!(concat!("templates/", $name, "/", $fixture, ".json")),
            ),)+
        ]
    };
}

impl Template {
    fn description(self) -> &'static str {
        match self {
            Self::Transform => "Turns a lead into a short message",
            Self::Filter => "Lets through what is worth at least so much",
            Self::Emit => "Raises alert.critical for alerts that cannot wait",
        }
    }

    fn files(self) -> &'static [File] {
        match self {
            Self::Transform => {
                template!("transform": "config", "lead", "lead.expected", "no-name", "no-name.expected")
            }
            Self::Filter => {
                template!("filter": "config", "large", "large.expected", "small", "small.expected")
            }
            Self::Emit => template!("emit": "config", "critical", "critical.expected", "low", "low.expected"),
        }
    }
}

/// Where the new crate gets the SDK from.
#[derive(Debug, PartialEq, Eq)]
enum Sdk {
    /// The registry.
    Published,
    /// This folder, absolute.
    Path(PathBuf),
}

/// Makes the crate.
pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    check_name(&args.name)?;
    let output = &context.output;
    let (sdk, found) = match &args.sdk_path {
        Some(path) => (Sdk::Path(sdk_at(path)?), false),
        None => match checkout_sdk() {
            Some(path) => (Sdk::Path(path), true),
            None => (Sdk::Published, false),
        },
    };
    let directory = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let files = rendered(&args.name, args.template, &sdk);
    write(&directory, &files)?;
    let shown = clean(&directory.display().to_string());
    if output.json {
        let paths: Vec<_> = files.iter().map(|(path, _)| *path).collect();
        return output.json(&serde_json::json!({ "name": args.name, "dir": shown, "files": paths }));
    }
    output.line(&output.tone(Tone::Title, &format!("{shown}/")))?;
    for (path, _) in &files {
        output.line(&format!("  {path}"))?;
    }
    match (&sdk, found) {
        (Sdk::Path(path), true) => output.line(&format!(
            "the SDK is that of the checkout this program lies in: {}",
            clean(&path.display().to_string())
        ))?,
        (Sdk::Path(_), false) => {}
        (Sdk::Published, _) => output.line(&format!(
            "Cargo.toml names hookway-plugin {}, which is not on crates.io yet: write its path there, or make the \
             crate with --sdk-path FOLDER (guest-sdk in a checkout of Hookway)",
            env!("CARGO_PKG_VERSION")
        ))?,
    }
    output.line(&format!(
        "\nnext:\n  cd {shown}\n  cargo test\n  hookway plugin test\n  hookway dev --plugin ."
    ))
}

/// The files of a new crate, in the order in which people read them.
fn rendered(name: &str, template: Template, sdk: &Sdk) -> Vec<(&'static str, String)> {
    let sdk = match sdk {
        Sdk::Published => toml::Value::from(env!("CARGO_PKG_VERSION")).to_string(),
        Sdk::Path(path) => format!("{{ path = {} }}", toml::Value::from(path.display().to_string())),
    };
    let filled = |text: &str| {
        text.replace("{{name}}", name)
            .replace("{{description}}", template.description())
            .replace("{{sdk}}", &sdk)
    };
    let whole = [
        ("Cargo.toml", filled(include_str!("templates/Cargo.toml.in"))),
        ("README.md", filled(include_str!("templates/README.md.in"))),
        (".gitignore", include_str!("templates/gitignore.in").to_owned()),
    ];
    let own = template
        .files()
        .iter()
        .map(|(path, text)| (*path, (*text).to_owned()));
    whole.into_iter().chain(own).collect()
}

/// Writes files into a folder that is new or empty.
fn write(directory: &Path, files: &[(&str, String)]) -> Result<(), Failure> {
    let used = std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some());
    if used || directory.is_file() {
        return Err(Failure::usage(format!(
            "{} is there already and nothing is overwritten; choose another folder with --dir",
            directory.display()
        )));
    }
    for (path, text) in files {
        let path = directory.join(path);
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let written = made.and_then(|()| {
            use std::io::Write;
            std::fs::File::create_new(&path)?.write_all(text.as_bytes())
        });
        written.map_err(|error| Failure::io(format!("cannot write {}", path.display()), error))?;
    }
    Ok(())
}

/// Refuses names that are no crate's or no plugin's.
fn check_name(name: &str) -> Result<(), Failure> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    let why = if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        "it must begin with a lower-case letter"
    } else if name.len() > NAME_BYTES_MAX || !name.bytes().all(allowed) {
        "it may have up to 64 lower-case letters, digits, `-` and `_`"
    } else if WORDS.split_whitespace().any(|word| word == name) {
        "it is a word of Rust"
    } else if NAMES_TAKEN.contains(&name) {
        "cargo takes it for something else"
    } else {
        return Ok(());
    };
    Err(Failure::usage(format!(
        "`{name}` cannot be the name of a plugin: {why}"
    )))
}

/// The SDK in a folder that somebody named.
fn sdk_at(path: &Path) -> Result<PathBuf, Failure> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // A checkout is as good an answer as the folder in it.
    [path.clone(), path.join("guest-sdk")]
        .into_iter()
        .find(|path| is_sdk(path))
        .ok_or_else(|| {
            Failure::usage(format!(
                "--sdk-path {}: there is no SDK; it is the folder `guest-sdk` of Hookway's repository",
                path.display()
            ))
        })
}

/// The SDK of the checkout that this program lies in, if it lies in one.
fn checkout_sdk() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let program = program.canonicalize().ok()?;
    let candidates = program.ancestors().skip(1).map(|above| above.join("guest-sdk"));
    candidates.into_iter().find(|path| is_sdk(path))
}

fn is_sdk(path: &Path) -> bool {
    let text = std::fs::read_to_string(path.join("Cargo.toml")).unwrap_or_default();
    let manifest: toml::Table = toml::from_str(&text).unwrap_or_default();
    let name = manifest.get("package").and_then(|package| package.get("name"));
    name.and_then(toml::Value::as_str) == Some("hookway-plugin")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_crates_and_of_plugins() {
        for good in ["leads", "my-plugin_2", "a"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        let long = "a".repeat(65);
        for bad in [
            "",
            "Leads",
            "2fa",
            "-a",
            "a b",
            "../x",
            "é",
            "fn",
            "test",
            "hookway-plugin",
            &long,
        ] {
            assert!(matches!(check_name(bad), Err(Failure::Usage(_))), "{bad}");
        }
    }

    #[test]
    fn every_template_is_whole_and_has_no_place_left_open() {
        for template in Template::value_variants() {
            let files = rendered("leads", *template, &Sdk::Path("/a \"b\"/guest-sdk".into()));
            for (path, text) in &files {
                assert!(!text.contains("{{"), "{path}");
                if path.ends_with(".json") {
                    let _parsed: serde_json::Value = serde_json::from_str(text).expect(path);
                }
            }
            // `hookway dev` makes its data directory here, keys and all.
            let ignored = files.iter().find(|(path, _)| *path == ".gitignore");
            assert!(ignored.is_some_and(|(_, text)| text.contains("/hookway-data\n")));
            let manifest: toml::Table = toml::from_str(&files[0].1).expect("a manifest");
            let sdk = &manifest["dependencies"]["hookway-plugin"]["path"];
            assert_eq!(sdk.as_str(), Some("/a \"b\"/guest-sdk"));
            assert!(manifest.contains_key("workspace"));
        }
        let published = rendered("leads", Template::Filter, &Sdk::Published);
        let wanted = format!("hookway-plugin = \"{}\"", env!("CARGO_PKG_VERSION"));
        assert!(published[0].1.contains(&wanted), "{}", published[0].1);
    }

    #[test]
    fn the_guide_shows_what_is_made() {
        let guide = include_str!("../../../../docs/plugin-guide.md");
        let made = rendered("leads", Template::Transform, &Sdk::Published);
        let code = guide
            .split("```rust\n")
            .nth(1)
            .and_then(|rest| rest.split("```").next());
        let code = code.expect("the guide shows code");
        assert!(made.iter().any(|(_, text)| text.contains(code)), "{code}");
        for (path, _) in made {
            assert!(guide.contains(&format!("  {path}\n")), "{path}");
        }
    }

    #[test]
    fn nothing_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("leads");
        let files = [("src/lib.rs", "mine".to_owned())];
        write(&place, &files).unwrap();
        assert!(matches!(write(&place, &files), Err(Failure::Usage(_))));
        std::fs::create_dir(directory.path().join("empty")).unwrap();
        write(&directory.path().join("empty"), &files).unwrap();
    }

    #[test]
    fn the_sdk_is_found_in_a_checkout_and_nowhere_else() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        assert!(sdk_at(&root).is_ok() && sdk_at(&root.join("guest-sdk")).is_ok());
        assert!(matches!(sdk_at(&root.join("host")), Err(Failure::Usage(_))));
        // The program that runs this test lies in the checkout's target directory.
        assert!(checkout_sdk().is_none_or(|path| is_sdk(&path)));
    }
}
