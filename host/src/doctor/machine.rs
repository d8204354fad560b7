//! Checks of the machine: who can read the data directory, how much room there is, how many files may be
//! open.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::process::{Resource, getrlimit};

use super::listed;
use crate::checkup::{Check, bytes};
use crate::config::Config;
use crate::store::files::{ADMIN_KEY, DATABASE, SECRETS_KEY};
use crate::{disk, space};

/// So many times the mark is near it.
const NEAR: u64 = 2;
/// Files beside connections: the database, its readers, the log, compiled plugins, timers.
const FILES_BESIDE: u64 = 256;
/// The bits of a mode that let somebody else do something.
const OTHERS: u32 = 0o077;

/// All of them.
pub(super) fn checks(config: &Config) -> Vec<Check> {
    vec![permissions(config), disk_room(config), files(config)]
}

/// What is secret must be its owner's alone.
fn permissions(config: &Config) -> Check {
    let dir = &config.data_dir;
    let mut open = Vec::new();
    let mut commands = Vec::new();
    let mut check = |path: &Path, wanted: &str| {
        let Ok(found) = std::fs::metadata(path) else {
            return;
        };
        let mode = found.permissions().mode() & 0o777;
        if mode & OTHERS != 0 {
            open.push(format!("{} is {mode:04o}", path.display()));
            commands.push(format!("chmod {wanted} {}", path.display()));
        }
    };
    check(dir, "700");
    check(&dir.join(ADMIN_KEY), "600");
    check(&dir.join(SECRETS_KEY), "600");
    if !open.is_empty() {
        let what = format!("others can get at secrets: {}", listed(&open));
        return Check::fail("permissions", what, commands.join(" && "));
    }
    let us = rustix::process::geteuid().as_raw();
    let owner = std::fs::metadata(dir.join(DATABASE)).map_or(us, |found| found.uid());
    if owner != us && us != 0 {
        let what = format!("the database belongs to user {owner}, and this is user {us}");
        return Check::warn(
            "permissions",
            what,
            "run hookway as the user that owns its data directory",
        );
    }
    Check::ok(
        "permissions",
        "the data directory and its keys are their owner's alone",
    )
}

/// Room on the disk, now and for the history that was allowed.
fn disk_room(config: &Config) -> Check {
    let room = match disk::room(&config.data_dir) {
        Ok(room) => room,
        Err(error) => {
            return Check::fail(
                "disk",
                format!("{} cannot be looked at: {error}", config.data_dir.display()),
                "see that the directory is there and readable",
            );
        }
    };
    let free = room.free;
    let used = std::fs::metadata(config.data_dir.join(DATABASE)).map_or(0, |file| file.len());
    let shown = format!("{} free", bytes(free));
    let advice = "free some, or let history take less: store.retention_bytes, store.retention";
    let mark = space::marks(config).mark(room);
    if free < mark {
        let what = format!(
            "only {shown}; below {} events are refused (store.disk_free_min)",
            bytes(mark)
        );
        return Check::fail("disk", what, advice);
    }
    if free < mark.saturating_mul(NEAR) {
        let what = format!(
            "only {shown}; below {} events will be refused (store.disk_free_min)",
            bytes(mark)
        );
        return Check::warn("disk", what, advice);
    }
    let allowed = config.store.retention_bytes;
    if allowed.saturating_sub(used) > free {
        return Check::warn(
            "disk",
            format!(
                "{shown}, but history may grow from {} to {} (store.retention_bytes)",
                bytes(used),
                bytes(allowed)
            ),
            "set store.retention_bytes to what the disk can hold, with some room to spare",
        );
    }
    Check::ok("disk", shown)
}

/// Every connection is a file.
fn files(config: &Config) -> Check {
    let limit = getrlimit(Resource::Nofile);
    // The router raises the one to the other when it starts.
    let allowed = limit.maximum.or(limit.current);
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let connections = count(config.server.connections_max);
    let requests = count(config.dispatch.in_flight_max);
    let needed = connections.saturating_add(requests).saturating_add(FILES_BESIDE);
    match allowed {
        Some(allowed) if allowed < needed => Check::warn(
            "open-files",
            format!(
                "{allowed} files may be open; server.connections_max ({connections}), dispatch.in_flight_max \
                 ({requests}) and the rest can need {needed}"
            ),
            "raise the limit (LimitNOFILE= in a systemd unit, `ulimit -Hn` in a shell), or lower these settings",
        ),
        Some(allowed) => Check::ok(
            "open-files",
            format!("{allowed} allowed, {needed} needed at the most"),
        ),
        None => Check::ok("open-files", "as many as it takes"),
    }
}
