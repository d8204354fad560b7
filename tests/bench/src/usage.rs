//! What a process has used, as the kernel counts it (`/proc`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

/// Clock ticks a second in `/proc/<pid>/stat` (USER_HZ, fixed at 100 on Linux).
const TICKS_PER_SECOND: f64 = 100.0;
/// Fields 14 and 15 of `stat`, user and system time, counted behind the name in parentheses.
const TIMES: [usize; 2] = [11, 12];

/// What it has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// CPU time, user and system.
    pub cpu: Duration,
    /// Bytes written to storage.
    pub written: u64,
    /// Peak resident memory in KiB.
    pub peak_kib: u64,
}

/// What it has at this moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Holding {
    /// Resident memory in KiB.
    pub resident_kib: u64,
    /// Open file descriptors.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
}

impl Usage {
    /// Of this process.
    pub(crate) fn of(process: u32) -> anyhow::Result<Self> {
        let base = base(process);
        let stat = read(&base.join("stat"))?;
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let ticks: f64 = TIMES
            .iter()
            .filter_map(|at| fields.get(*at)?.parse::<f64>().ok())
            .sum();
        Ok(Self {
            cpu: Duration::from_secs_f64(ticks / TICKS_PER_SECOND),
            written: number_after(&read(&base.join("io"))?, "write_bytes:"),
            peak_kib: number_after(&read(&base.join("status"))?, "VmHWM:"),
        })
    }

    /// What was used since `before`; the peak is the peak.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            written: self.written.saturating_sub(before.written),
            peak_kib: self.peak_kib,
        }
    }
}

impl Holding {
    /// Of this process.
    pub(crate) fn of(process: u32) -> anyhow::Result<Self> {
        let base = base(process);
        let status = read(&base.join("status"))?;
        Ok(Self {
            resident_kib: number_after(&status, "VmRSS:"),
            descriptors: std::fs::read_dir(base.join("fd"))?.count() as u64,
            threads: number_after(&status, "Threads:"),
        })
    }
}

fn base(process: u32) -> PathBuf {
    Path::new("/proc").join(process.to_string())
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn number_after(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
