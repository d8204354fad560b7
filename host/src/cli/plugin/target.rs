//! Which plugin a command means: a component's file, a crate's folder, or a name.
//!
//! What has a slash in it, is `.` or ends in `.wasm` is a path; anything else is a name. The names of
//! the plugins in this program need no router, unless `--server` names one; a router knows the others,
//! and `NAME@DIGEST` (or the first digits of it) is one version there.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::Value;

use super::build::{BuildFlags, build};
use super::crate_dir::CrateDir;
use crate::cli::client::Client;
use crate::cli::output::Output;
use crate::cli::{Context, Failure, input};
use crate::first_party::FIRST_PARTY;

/// A plugin that a command is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A component's file.
    File(PathBuf),
    /// A crate's folder; it is built first.
    Crate(PathBuf),
    /// A plugin of this program.
    FirstParty(&'static str),
    /// A plugin that a router knows.
    Known {
        /// Its name.
        name: String,
        /// The version, by the first digits of its digest.
        digest: Option<String>,
    },
}

/// A component on this machine, and what the caller called it.
pub(super) struct Local {
    /// What it is called.
    pub(super) what: String,
    /// It.
    pub(super) component: Bytes,
}

impl Target {
    /// Reads what somebody typed.
    pub(super) fn of(text: &str) -> Result<Self, Failure> {
        let wasm = Path::new(text).extension().is_some_and(|kind| kind == "wasm");
        if text.contains('/') || text == "." || text == ".." || wasm {
            return Self::at(Path::new(text));
        }
        if text.is_empty() {
            return Err(Failure::usage(
                "name a plugin: a .wasm file, a crate's folder or a name",
            ));
        }
        if let Some((name, digest)) = text.split_once('@') {
            return Ok(Self::Known {
                name: name.to_owned(),
                digest: Some(digest.to_owned()),
            });
        }
        let first_party = FIRST_PARTY.iter().find(|(name, _)| *name == text);
        Ok(first_party.map_or_else(
            || Self::Known {
                name: text.to_owned(),
                digest: None,
            },
            |(name, _)| Self::FirstParty(name),
        ))
    }

    /// The same on a router, where the caller named one: it may have another version of a plugin of this
    /// program.
    pub(super) fn where_named(self, context: &Context) -> Self {
        match self {
            Self::FirstParty(name) if context.global.server.is_some() => Self::Known {
                name: name.to_owned(),
                digest: None,
            },
            other => other,
        }
    }

    /// A path, whatever it looks like.
    pub(super) fn at(path: &Path) -> Result<Self, Failure> {
        if path.is_dir() {
            Ok(Self::Crate(path.to_owned()))
        } else if path.is_file() {
            Ok(Self::File(path.to_owned()))
        } else {
            Err(Failure::usage(format!(
                "there is no {}; a plugin is a .wasm file, a crate's folder, or a name without a slash",
                path.display()
            )))
        }
    }

    /// What to call it in lines for people.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            // `.` alone says little; a crate's name alone is also that of the plugin on a router.
            Self::Crate(path) => match CrateDir::open(path) {
                Ok(source) => format!("{} ({})", source.name, path.display()),
                Err(_) => path.display().to_string(),
            },
            Self::FirstParty(name) => (*name).to_owned(),
            Self::Known { name, digest: None } => name.clone(),
            Self::Known {
                name,
                digest: Some(digest),
            } => format!("{name}@{digest}"),
        }
    }

    /// The component, where it is to be had on this machine; a crate is built.
    pub(super) async fn local(&self, flags: &BuildFlags, output: &Output) -> Result<Option<Local>, Failure> {
        Ok(match self {
            Self::File(path) => Some(Local {
                what: self.name(),
                component: input::file(&path.to_string_lossy())?.into(),
            }),
            Self::Crate(path) => {
                let source = CrateDir::open(path)?;
                let component = build(&source, flags, output).await?.component;
                Some(Local {
                    what: source.name,
                    component,
                })
            }
            Self::FirstParty(wanted) => {
                let found = FIRST_PARTY.iter().find(|(name, _)| name == wanted);
                found.map(|(name, component)| Local {
                    what: (*name).to_owned(),
                    component: Bytes::from_static(component),
                })
            }
            Self::Known { .. } => None,
        })
    }
}

/// The whole digest of a version that a router has, from its first digits.
pub(super) async fn whole_digest(client: &Client, name: &str, digits: &str) -> Result<String, Failure> {
    let plugin = client.get(&["plugins", name], &[]).await?;
    let versions = plugin["versions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    pick(&plugin["digest"], versions, digits).map_err(|count| {
        Failure::usage(format!(
            "{count} versions of `{name}` have a digest that begins with {digits}; `hookway plugin inspect \
             {name}` lists them"
        ))
    })
}

/// The one digest that begins so, or how many do.
fn pick(current: &Value, versions: &[Value], digits: &str) -> Result<String, usize> {
    let all = versions.iter().map(|version| &version["digest"]).chain([current]);
    let mut found: Vec<&str> = all
        .filter_map(Value::as_str)
        .filter(|digest| !digits.is_empty() && digest.starts_with(digits))
        .collect();
    found.sort_unstable();
    found.dedup();
    match found.as_slice() {
        [one] => Ok((*one).to_owned()),
        several => Err(several.len()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_and_names_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.wasm");
        std::fs::write(&file, b"").unwrap();
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        assert_eq!(Target::of(&path(&file)).unwrap(), Target::File(file));
        let folder = path(directory.path());
        assert_eq!(
            Target::of(&folder).unwrap(),
            Target::Crate(directory.path().to_owned())
        );
        assert!(matches!(Target::of("."), Ok(Target::Crate(_))));
        for nothing in ["./nothing", "nothing.wasm", ""] {
            assert!(matches!(Target::of(nothing), Err(Failure::Usage(_))), "{nothing}");
        }
        for (text, digest) in [("leads", None), ("leads@01ab", Some("01ab".to_owned()))] {
            let name = "leads".to_owned();
            assert_eq!(Target::of(text).unwrap(), Target::Known { name, digest });
        }
        for (name, _) in FIRST_PARTY {
            assert_eq!(Target::of(name).unwrap(), Target::FirstParty(name));
        }
    }

    #[test]
    fn only_plugins_of_this_program_can_be_meant_elsewhere() {
        let known = |name: &str| Target::Known {
            name: name.to_owned(),
            digest: None,
        };
        let cli =
            <crate::cli::Cli as clap::Parser>::parse_from(["hookway", "--server", "http://a", "openapi"]);
        let mut context = Context {
            global: cli.global,
            environment: crate::config::environment::Environment::default(),
            output: Output::new(false, crate::cli::ColourWhen::Never, true),
        };
        assert_eq!(Target::FirstParty("jq").where_named(&context), known("jq"));
        let file = Target::File("a.wasm".into());
        assert_eq!(file.clone().where_named(&context), file);
        context.global.server = None;
        assert_eq!(
            Target::FirstParty("jq").where_named(&context),
            Target::FirstParty("jq")
        );
    }

    #[test]
    fn the_first_digits_of_a_digest_are_enough_where_they_say_which() {
        let versions = [json!({"digest": "ab01"}), json!({"digest": "ab02"})];
        assert_eq!(pick(&json!("ab02"), &versions, "ab02"), Ok("ab02".to_owned()));
        assert_eq!(pick(&json!("ab02"), &versions, "ab"), Err(2));
        assert_eq!(pick(&json!("ab02"), &versions, "c"), Err(0));
        assert_eq!(pick(&json!("ab02"), &versions, ""), Err(0));
    }
}
