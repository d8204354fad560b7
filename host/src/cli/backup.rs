//! `hookway backup`: everything in one file, from the running router or, where none runs, by itself.
//!
//! A router that runs is asked over its API, as by every other verb, on this machine or on another. Only
//! where the lock of the data directory is free is the database opened here. The file is written under
//! another name, synced, read back and compared with its own hashes before it gets the name that was asked
//! for; a file that is there already is never overwritten.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::output::Tone;
use super::{Context, Failure};
use crate::backup::{self, Key, Manifest};
use crate::clock::Clock;

/// Flags of `backup`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookway backup /backups                        # /backups/hookway-<time>.tar
  hookway backup nightly.tar --without-key
  hookway backup nightly.tar --server https://hookway.example.com
  tar -tf nightly.tar

The router goes on working meanwhile. What was accepted before is in the backup, whole and checked.
With the key (--with-key, the default) whoever has the file can read every secret in it: keep it as safe
as the data directory. Without it, keep secrets.key of the data directory somewhere else.")]
pub(super) struct Args {
    /// The file, which must not be there yet, or the directory that gets one named by the time
    #[arg(value_name = "FILE|DIR")]
    destination: PathBuf,
    /// Put the key in that opens the secrets in the database (the default)
    #[arg(long, conflicts_with = "without_key")]
    with_key: bool,
    /// Leave the key out
    #[arg(long)]
    without_key: bool,
}

/// A file that is not whole yet. It goes with the value.
struct Unfinished(PathBuf);

impl Unfinished {
    /// A new one beside where it is to be.
    fn beside(path: &Path) -> Result<(Self, File), Failure> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let unfinished = path.with_file_name(format!(".{name}.unfinished"));
        let _left_by_one_that_broke_off = std::fs::remove_file(&unfinished);
        let mut options = OpenOptions::new();
        let made = options.write(true).create_new(true).mode(0o600).open(&unfinished);
        let file =
            made.map_err(|error| Failure::io(format!("cannot make {}", unfinished.display()), error))?;
        Ok((Self(unfinished), file))
    }

    /// Gives it its name, durably.
    fn finish(self, path: &Path) -> Result<(), Failure> {
        let named = std::fs::rename(&self.0, path).and_then(|()| File::open(parent(path))?.sync_all());
        named.map_err(|error| Failure::io(format!("cannot name {}", path.display()), error))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _it_has_its_name = std::fs::remove_file(&self.0);
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes a backup.
pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let key = match args.without_key {
        true => Key::LeftOut,
        false => Key::Included,
    };
    let path = place(args.destination, &Clock::system())?;
    let (unfinished, file) = Unfinished::beside(&path)?;
    let made_by = made(context, key, &path, file).await?;
    let manifest = backup::verify(&unfinished.0)
        .map_err(|error| Failure::because("what was written is not whole; nothing was kept", error))?;
    unfinished.finish(&path)?;
    show(context, &path, key, &manifest, made_by)
}

/// The file that is to be written.
fn place(destination: PathBuf, clock: &Clock) -> Result<PathBuf, Failure> {
    let path = match destination.is_dir() {
        true => {
            let time = clock.now().to_string().replace(':', "-");
            let to_the_second = time.split('.').next().unwrap_or_default();
            destination.join(format!("hookway-{to_the_second}Z.tar"))
        }
        false => destination,
    };
    if path.exists() {
        return Err(Failure::usage(format!(
            "{} is there already; a backup never overwrites anything",
            path.display()
        )));
    }
    Ok(path)
}

/// Who made a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Router,
    CommandLine,
}

async fn made(context: &Context, key: Key, path: &Path, file: File) -> Result<By, Failure> {
    let named = context.global.server.is_some() || context.environment.url.is_some();
    let data_dir = context.load(Vec::new())?.config.data_dir;
    if !named && backup::is_there(&data_dir) {
        let again = file
            .try_clone()
            .map_err(|error| Failure::io("cannot write the backup", error))?;
        let now = Clock::system().now();
        match backup::write(&data_dir, parent(path), key, now, again) {
            Ok(_) => return Ok(By::CommandLine),
            Err(error) if error.is_in_use() => {}
            Err(error) => return Err(Failure::because("the backup cannot be made", error)),
        }
    }
    let query = [("key", (key == Key::Included).to_string())];
    context.client()?.download(&["backup"], &query, file).await?;
    Ok(By::Router)
}

fn show(context: &Context, path: &Path, key: Key, manifest: &Manifest, by: By) -> Result<(), Failure> {
    let output = &context.output;
    let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    let with_key = key == Key::Included;
    if output.json {
        return output.json(&json!({
            "path": path, "bytes": bytes, "with_key": with_key, "created_at": manifest.created_at,
            "schema": manifest.schema, "files": manifest.files, "running": by == By::Router,
        }));
    }
    let of = match by {
        By::Router => "of the running router",
        By::CommandLine => "of the data directory; no router runs on it",
    };
    output.line(&format!(
        "{}  {} ({} KiB), {of}, checked",
        output.tone(Tone::Good, "done"),
        path.display(),
        bytes >> 10
    ))?;
    output.line(match key {
        Key::Included => "The key is in it: whoever has this file can read every secret in it. Keep it safe.",
        Key::LeftOut => {
            "The key is not in it: keep `secrets.key` of the data directory elsewhere. Without it no URL, header \
             or secret in this backup can ever be read, and no router starts on it."
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    #[test]
    fn a_directory_gets_a_file_named_by_the_time_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Timestamp::from_millis(1_779_208_200_000));
        let path = place(dir.path().to_owned(), &clock).unwrap();
        assert_eq!(path, dir.path().join("hookway-2026-05-19T16-30-00Z.tar"));
        std::fs::write(&path, b"x").unwrap();
        for there in [path.clone(), dir.path().to_owned()] {
            assert!(matches!(place(there, &clock), Err(Failure::Usage(_))));
        }
        let new = dir.path().join("b.tar");
        assert_eq!(place(new.clone(), &clock).unwrap(), new);
    }

    #[test]
    fn what_is_not_finished_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.tar");
        let (unfinished, _file) = Unfinished::beside(&path).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        drop(unfinished);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let (unfinished, _file) = Unfinished::beside(&path).unwrap();
        unfinished.finish(&path).unwrap();
        assert!(path.exists());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
