//! `hookway restore`: a data directory made of a backup. No router is needed or asked.

use std::path::PathBuf;

use serde_json::json;

use super::output::Tone;
use super::{Context, Failure};
use crate::backup::{self, Restored, Wish};
use crate::clock::Clock;

/// Flags of `restore`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookway restore nightly.tar --data-dir /var/lib/hookway-new
  hookway restore nightly.tar --data-dir ./new --key /safe/secrets.key
  hookway serve --data-dir ./new

The directory must be new or empty. Everything is checked before it is used: the hashes in the backup, every
page of the database, and whether the key opens it. Stop the old router first, if there still is one: both
would deliver what is pending in the backup.")]
pub(super) struct Args {
    /// The backup
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// The key file, for a backup without the key
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// What is said of a restore without the key.
const WITHOUT_KEY: &str = "\
The key is missing: it was not in the backup. Put `secrets.key` of the old data directory into this one (mode \
0600), or remove this one and restore again with --key FILE. Until then no router starts here.
If the key is lost, so is what it sealed: the URLs, headers and signing secrets of all subscriptions, and the \
secrets of all sources. They cannot be read from this backup by anybody. Events and deliveries are not sealed: \
they are in hookway.db, a SQLite database. To go on, start with a new data directory and set subscriptions and \
sources up again.";

/// Restores a backup.
pub(super) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let dir = context.load(Vec::new())?.config.data_dir;
    let wish = Wish {
        backup: &args.backup,
        dir: &dir,
        key: args.key.as_deref(),
        now: Clock::system().now(),
    };
    let Restored { manifest, has_key } = backup::restore(wish)
        .map_err(|error| Failure::because(format!("{} was not restored", args.backup.display()), error))?;
    let output = &context.output;
    if output.json {
        return output.json(&json!({
            "data_dir": dir, "has_key": has_key, "created_at": manifest.created_at, "schema": manifest.schema,
            "hookway": manifest.hookway,
        }));
    }
    output.line(&format!(
        "{}  {}: everything that was accepted before {}",
        output.tone(Tone::Good, "restored"),
        dir.display(),
        manifest.created_at
    ))?;
    if !has_key {
        return output.line(WITHOUT_KEY);
    }
    output.line(&format!(
        "Start it with `hookway serve --data-dir {}`. It makes a new admin key; API keys are those of the backup.\n\
         What came after the backup is not in it: producers that repeat it are taken at their word. What was \
         pending then is sent again, under the same webhook-id.",
        dir.display()
    ))
}
