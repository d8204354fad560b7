//! How the dispatcher follows a clock that is set back, and how far ahead a row's due time may lie: no
//! further than anything was ever asked to wait.
//!
//! What the ledger says was written by a clock that may have been set back since, perhaps while nobody ran.
//! Nothing waits for that clock to come round again: a row that nothing has happened to is due at once, and
//! any other at the latest after the longest wait that its subscription has today.

use std::time::Duration;

use super::Running;
use super::tools::Tools;
use crate::delivery::{Pending, Stage};
use crate::time::Timestamp;

impl Running {
    /// What time it is; the queue is told of a clock that was set back before anything is put into it.
    pub(super) fn follow_clock(&mut self) -> Timestamp {
        let (now, by) = self.following.now();
        if !by.is_zero() {
            self.queue.set_back(by);
        }
        now
    }
}

/// A row as the ledger or the way in gives it, with a due time that can be.
pub(super) fn offered(tools: &Tools, row: Pending, now: Timestamp) -> Pending {
    if row.due_at <= now {
        return row;
    }
    // Every first wait follows from a run or an attempt.
    let untouched = row.stage == Stage::Accepted && row.attempts == 0 && row.runs == 0;
    if untouched {
        return Pending { due_at: now, ..row };
    }
    again(tools, row, now)
}

/// The same of a row that was under way, which may have good reason to wait whatever happened to it.
pub(super) fn again(tools: &Tools, row: Pending, now: Timestamp) -> Pending {
    if row.due_at <= now {
        return row;
    }
    let latest = now.plus(longest_wait(tools, row));
    Pending {
        due_at: row.due_at.min(latest),
        ..row
    }
}

/// The longest that a row may have been told to wait: by its schedule, its endpoint or its plugin.
pub(super) fn longest_wait(tools: &Tools, row: Pending) -> Duration {
    let route = tools.registry.route(row.subscription);
    let schedule = route.as_ref().map(|route| route.schedule());
    let schedule = tools.schedule.as_ref().or(schedule);
    let scheduled = schedule.map_or(Duration::ZERO, |schedule| schedule.longest());
    scheduled.max(tools.wait_max)
}
