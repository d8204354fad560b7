//! Looking at the data directory of a router that does not serve.

use std::path::{Path, PathBuf};

use super::{machine, report, settings, told, traffic};
use crate::checkup::stride::{Place, Stride};
use crate::checkup::{Check, Checkup, Seen};
use crate::config::Config;
use crate::store;
use crate::store::files::{DATABASE, DataDir};
use crate::store::sqlite::Stopped;
use crate::time::Timestamp;

/// Whether there is a database in this directory that no router serves. Where that cannot be found out, such as
/// by somebody who may not look into it, a router is asked.
pub fn sleeps(data_dir: &Path) -> bool {
    data_dir.join(DATABASE).exists() && DataDir::lock(data_dir).is_ok()
}

/// A patient that sleeps: a data directory under its lock.
pub struct Patient {
    config: Config,
    stopped: Result<Stopped, Check>,
}

impl Patient {
    /// Takes the lock of the configured data directory. Blocks.
    pub fn lock(config: Config) -> Self {
        let stopped = reachable(&config.data_dir).and_then(|()| Stopped::open(&config.data_dir));
        Self { config, stopped }
    }

    /// Where it is.
    pub fn data_dir(&self) -> PathBuf {
        self.config.data_dir.clone()
    }

    /// Looks at everything that can be seen in a moment. Blocks.
    pub fn checkup(&self, now: Timestamp) -> Checkup {
        let stopped = match &self.stopped {
            Ok(stopped) => stopped,
            Err(check) => return report(Seen::Stopped, &self.config, vec![check.clone()]),
        };
        let mut checks = stopped.checks(now);
        checks.extend(machine::checks(&self.config));
        if stopped.is_current() {
            checks.push(plugins(stopped));
            checks.push(match stopped.subscriptions() {
                Ok(all) => {
                    let all: Vec<_> = all.into_iter().map(std::sync::Arc::new).collect();
                    traffic::subscriptions(&all)
                }
                Err(error) => Check::fail(
                    "subscriptions",
                    format!("they cannot be read: {}", told(&error)),
                    "see the check of the key",
                ),
            });
            checks.push(waiting(stopped, now));
        }
        checks.extend(settings::checks(&self.config));
        report(Seen::Stopped, &self.config, checks)
    }

    /// One stride through everything that is stored; none where that cannot be read. Blocks.
    pub fn recount(&self, from: &Place) -> Option<store::Result<Stride>> {
        let stopped = self.stopped.as_ref().ok()?;
        stopped.is_current().then(|| stopped.recount(from))
    }
}

/// Says as a check why a directory cannot be looked into: to somebody else's user its database is not there.
fn reachable(data_dir: &Path) -> Result<(), Check> {
    match data_dir.join(DATABASE).try_exists() {
        Ok(_) => Ok(()),
        Err(error) => Err(Check::fail(
            "data-dir",
            format!("{} cannot be looked into: {error}", data_dir.display()),
            "name the router's own directory with --data-dir, and call this as the user that runs it",
        )),
    }
}

fn plugins(stopped: &Stopped) -> Check {
    match stopped.plugins() {
        Ok(versions) => Check::ok(
            "plugins",
            format!(
                "{} versions were uploaded; whether they load is tried by a router that serves",
                versions.len()
            ),
        ),
        Err(error) => Check::fail("plugins", told(&error), "see the check of the database"),
    }
}

fn waiting(stopped: &Stopped, now: Timestamp) -> Check {
    match stopped.waiting() {
        Ok((0, _)) => Check::ok("lag", "nothing waits to be delivered"),
        Ok((count, due)) => {
            let due = due.map(|due| now.since(due).as_secs()).unwrap_or_default();
            let what = match due {
                0 => format!("{count} requests wait, none is due yet"),
                due => format!("{count} requests wait, the first is due for {due} s"),
            };
            match due {
                0 => Check::ok("lag", what),
                _ => Check::warn("lag", what, "`hookway serve` goes on with them"),
            }
        }
        Err(error) => Check::fail("lag", told(&error), "see the check of the database"),
    }
}
