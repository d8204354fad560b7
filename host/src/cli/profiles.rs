//! `hookway profiles`: how deliveries look and behave, as versioned data.

mod editable;

use std::path::{Path, PathBuf};

use http::Method;
use serde_json::{Value, json};

use super::client::Body;
use super::output::Column;
use super::{Context, Failure, input};
use editable::{Owner, written};

const COLUMNS: [Column; 5] = [
    ("NAME", "/name"),
    ("VERSION", "/version"),
    ("BUILT IN", "/built_in"),
    ("USED BY", "/used_by"),
    ("MADE", "/created_at"),
];

/// What to do with profiles.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List the profiles, those of the router and your own
    #[command(after_help = "Example:\n  hookway profiles list")]
    List,
    /// Show what a profile says, as TOML that can be changed and put under a name of your own
    #[command(after_help = "Examples:
  hookway profiles show workflows
  hookway profiles show acme@1
  hookway profiles show generic > acme.toml    # change it, then: hookway profiles put acme.toml --name acme")]
    Show {
        /// Its name, or name@version
        name: String,
    },
    /// Make a profile, or its next version, from a TOML or JSON file
    #[command(after_help = "Examples:
  hookway profiles put generic.toml --name acme
  hookway profiles put acme.toml        # where the file says name = \"acme\"")]
    Put {
        /// The file; `-` is standard input, read as TOML
        file: PathBuf,
        /// Its name; the file's own where none is given
        #[arg(long)]
        name: Option<String>,
    },
    /// Remove a profile with all its versions
    #[command(after_help = "Example:\n  hookway profiles delete acme --yes")]
    Delete {
        /// Its name
        name: String,
        /// Yes, remove it
        #[arg(long)]
        yes: bool,
    },
}

/// Does it.
pub(super) async fn run(verb: Verb, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let output = &context.output;
    match verb {
        Verb::List => output.page(&client.get(&["profiles"], &[]).await?, &COLUMNS, "no profiles"),
        Verb::Show { name } => {
            let shown = client.get(&["profiles", &name], &[]).await?;
            if output.json {
                return output.answer(&shown);
            }
            let document = shown.get("profile").cloned().unwrap_or_default();
            let own = match shown["built_in"].as_bool() {
                Some(true) => Owner::Router,
                _ => Owner::Tenant,
            };
            output.line(written(&document, own)?.trim_end())
        }
        Verb::Put { file, name } => {
            let mut document = document(&file)?;
            let own = document.get("name").and_then(Value::as_str).map(str::to_owned);
            let Some(name) = name.or(own) else {
                return Err(Failure::usage(
                    "the file has no `name`; give one with --name, such as --name acme",
                ));
            };
            if let Some(fields) = document.as_object_mut() {
                fields.remove("name");
                fields.remove("version");
            }
            let body = Body::Json(document.to_string());
            let put = client.call(Method::PUT, &["profiles", &name], &[], body).await?;
            if output.json {
                return output.answer(&put);
            }
            output.fields(&put, &COLUMNS)
        }
        Verb::Delete { name, yes } => {
            if !yes {
                return Err(Failure::usage(format!(
                    "deleting {name} cannot be undone: say --yes"
                )));
            }
            client
                .call(Method::DELETE, &["profiles", &name], &[], Body::Nothing)
                .await?;
            if output.json {
                output.json(&json!({ "name": name, "deleted": true }))
            } else {
                output.line("deleted")
            }
        }
    }
}

/// A profile in TOML or, by its ending, JSON.
fn document(file: &Path) -> Result<Value, Failure> {
    let shown = file.display().to_string();
    let bytes = input::file(&shown)?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{shown} is not UTF-8")))?;
    let json = file.extension().is_some_and(|ending| ending == "json");
    let read = match json {
        true => serde_json::from_str(&text).map_err(|error| format!("is not JSON: {error}")),
        false => toml::from_str(&text).map_err(|error| format!("is not TOML: {error}")),
    };
    read.map_err(|error| Failure::usage(format!("{shown} {error}")))
}
