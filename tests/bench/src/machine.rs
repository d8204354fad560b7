//! The machine that a run was made on, on standard error: without it no figure can be compared.

use std::io::Write;
use std::time::{Duration, Instant};

/// Flushes that are timed.
const FLUSHES: usize = 200;
/// Bytes before each.
const FLUSHED_BYTES: usize = 4_096;

/// Prints what the figures depend on.
#[expect(clippy::print_stderr, reason = "standard output belongs to the figures")]
pub(crate) fn describe() -> anyhow::Result<()> {
    let fact = |path| std::fs::read_to_string(path).unwrap_or_default();
    let processor = fact("/proc/cpuinfo");
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name"));
    let memory = fact("/proc/meminfo");
    let memory = memory.lines().next().unwrap_or_default();
    eprintln!(
        "kernel {}; {} cores of {}; {}; load average {}",
        fact("/proc/sys/kernel/osrelease").trim(),
        std::thread::available_parallelism()?,
        processor
            .unwrap_or("an unknown kind")
            .trim_start_matches([' ', '\t', ':']),
        memory.split_whitespace().collect::<Vec<_>>().join(" "),
        fact("/proc/loadavg").trim(),
    );
    eprintln!(
        "data in {}, where a flush of 4 KiB takes {:.0} us (p50; TMPDIR chooses another place)",
        std::env::temp_dir().display(),
        flush()?.as_secs_f64() * 1e6,
    );
    Ok(())
}

fn flush() -> anyhow::Result<Duration> {
    let mut file = tempfile::tempfile()?;
    let mut times = Vec::with_capacity(FLUSHES);
    for _ in 0..FLUSHES {
        file.write_all(&[0; FLUSHED_BYTES])?;
        let begun = Instant::now();
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok(times[FLUSHES / 2])
}
