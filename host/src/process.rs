//! The process as the operating system sees it: memory, processor time, threads, open files.
//!
//! Read from `/proc/self` where there is one (Linux), and not at all elsewhere: every number is one that may
//! be missing. Reading takes some microseconds, and some milliseconds where very many files are open.

use std::fs;

use rustix::process::{Resource, getrlimit};

/// Parts of a second in which Linux tells processor time (`USER_HZ`): 100 on every processor that it runs on
/// but Alpha, whatever the kernel's own tick is.
const TICKS_PER_SECOND: f64 = 100.0;
/// Bytes of a `kB` in `/proc/self/status`.
const KIB: u64 = 1_024;

/// What is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// Processor time used so far, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Memory in use, in bytes.
    pub resident_bytes: Option<u64>,
    /// Address space, in bytes.
    pub virtual_bytes: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Open files and connections.
    pub open_files: Option<u64>,
    /// Most that may be open; none where there is no limit.
    pub open_files_max: Option<u64>,
}

impl Process {
    /// How this process is now. Blocks for a moment.
    pub fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kib = |name| field(&status, name).map(|kib| kib * KIB);
        Self {
            cpu_seconds: fs::read_to_string("/proc/self/stat")
                .ok()
                .and_then(|stat| cpu_seconds(&stat)),
            resident_bytes: kib("VmRSS:"),
            virtual_bytes: kib("VmSize:"),
            threads: field(&status, "Threads:"),
            // The directory that is read is open while it is.
            open_files: fs::read_dir("/proc/self/fd")
                .ok()
                .map(|files| (files.count() as u64).saturating_sub(1)),
            open_files_max: getrlimit(Resource::Nofile).current,
        }
    }
}

/// The number behind a name at the beginning of a line.
fn field(status: &str, name: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_whitespace().next()?.parse().ok()
}

/// Time in the program and time in the kernel: the 14th and 15th field. The second is the program's name in
/// brackets and may have anything in it, brackets too.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok().map(f64::from);
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_whatever_the_program_is_called() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 100 1000 10";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        for bad in ["", "7 (a", "7 (a) S", "7 (a) S 1 7 7 0 -1 4194560 100 0 0 0 x 50"] {
            assert_eq!(cpu_seconds(bad), None, "{bad}");
        }
        let status = "Name:\tVmRSS: 5\nVmRSS:\t     12 kB\nThreads:\t3\n";
        assert_eq!(field(status, "VmRSS:"), Some(12));
        assert_eq!(field(status, "Threads:"), Some(3));
        assert_eq!(field(status, "VmSize:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_threads_and_files() {
        let before = Process::now();
        assert!(before.resident_bytes.unwrap() > 1 << 20);
        assert!(before.virtual_bytes > before.resident_bytes);
        assert!(before.threads.unwrap() >= 1 && before.cpu_seconds.unwrap() >= 0.0);
        assert!(before.open_files.unwrap() < before.open_files_max.unwrap_or(u64::MAX));
        let _open = fs::File::open("/proc/self/status").unwrap();
        // Other tests of this process may open and close files meanwhile.
        assert!(Process::now().open_files.unwrap() > 0);
    }
}
