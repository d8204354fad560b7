//! Runs the fault tests, each in a process of its own and alone: they change what a whole process shares (a
//! layer below SQLite, limits of the kernel) and measure what others would disturb.
//!
//! cargo-nextest does that by itself (`.config/nextest.toml`). Where it is not installed, the tests are
//! listed and started one after another here; what is shown is the same: each with its time, what failed with
//! all that it said, and at the end the names of those that failed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use crate::steps::{Done, run, say};
use crate::workspace::{cargo, has, root};

/// How much of everything.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// On every change.
    Quick,
    /// Before a release.
    Long,
}

/// One test of the quick form that takes longer hangs; as in `.config/nextest.toml`.
const LONGEST_SECONDS: &str = "180";
/// Tests that compare the latencies or the processor time of two moments, which whoever else uses the machine
/// can disturb; as in `.config/nextest.toml`.
const MAY_BE_TRIED_AGAIN: [&str; 4] = [
    "guests::beside::others",
    "guests::beside::control",
    "producers::two_thousand",
    "receivers::floods_cost",
];
/// How often they are tried at the most.
const TRIES_MAX: u32 = 3;
/// What compares the priorities of threads, and the lowest priority at which there is room for them below. Lower
/// than that it cannot judge, and fails; so it is left out by name.
const NEEDS_PRIORITY: (&str, i64) = ("guests::beside::others_do_not_notice_eight_that_loop", 9);
/// What the tests are told to be long by.
const LONG: (&str, &str) = ("HOOKWAY_FAULTS", "long");

/// Fails where the tests could not make disks and networks of their own: what cannot run shows nothing, and
/// it is better said before a build than after it.
pub(crate) fn need_namespaces() -> Done {
    if !cfg!(target_os = "linux") {
        return Err(
            "the fault tests need Linux: they limit, kill and starve processes as its kernel does".to_owned(),
        );
    }
    for (program, package) in [("unshare", "util-linux"), ("mount", "util-linux")] {
        need(program, &["--version"], package)?;
    }
    need("ip", &["-V"], "iproute2")?;
    let tried = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "--net",
            "mount",
            "-t",
            "tmpfs",
        ])
        .args(["-o", "size=65536", "hookway", "/tmp"])
        .output();
    let why = match tried {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    Err(format!(
        "the fault tests mount disks and make networks in namespaces of their own, and this machine allows none \
         ({why}).\n  A kernel that forbids them to users: `sysctl -w kernel.unprivileged_userns_clone=1 \
         kernel.apparmor_restrict_unprivileged_userns=0`, or run as root.\n  A container: start it with \
         `--privileged`, or `--cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined`.\n  \
         Those that need none run by name, such as `cargo xtask faults kill:: power:: receivers::`."
    ))
}

fn need(program: &str, asked: &[&str], package: &str) -> Done {
    match Command::new(program).args(asked).output() {
        Ok(_) => Ok(()),
        Err(error) => Err(format!(
            "the fault tests need `{program}` ({error}); on Debian, `apt-get install {package}` brings it"
        )),
    }
}

/// Runs all of them, or those with one of these in their names. Goes on after a failure: what else is broken
/// is worth knowing.
pub(crate) fn run_each(extent: Extent, named: &[&String]) -> Done {
    if !has("cargo-nextest") {
        return one_by_one(extent, named);
    }
    let mut command = cargo(&["nextest", "run", "--package", "hookway", "--test", "faults"]);
    command.args([
        "--no-fail-fast",
        "--success-output",
        "never",
        "--failure-output",
        "final",
    ]);
    if extent == Extent::Long {
        command.args(["--profile", "long"]).env(LONG.0, LONG.1);
    }
    if let Some(name) = left_out(named) {
        command.args(["-E", &format!("not test(={name})")]);
    }
    run(command.args(named)).map_err(|error| format!("{error}; {AGAIN}"))
}

/// The test that cannot judge at the priority of this process, unless it was asked for; says that it is left out.
fn left_out(named: &[&String]) -> Option<&'static str> {
    let (name, lowest) = NEEDS_PRIORITY;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name: state first, niceness as the 17th (proc(5)).
    let niceness = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().nth(16));
    let niceness: i64 = niceness.and_then(|text| text.parse().ok()).unwrap_or_default();
    let asked_for = named.iter().any(|asked| name.ends_with(asked.as_str()));
    let out = niceness > lowest && !asked_for;
    if out {
        say(&format!(
            "      LEFT OUT {name}: it compares priorities, and at niceness {niceness} there are none below; \
             run it at {lowest} or less"
        ));
    }
    out.then_some(name)
}

/// What helps after a failure.
const AGAIN: &str = "what failed is named above, and `cargo xtask faults <name>` runs it again";

fn one_by_one(extent: Extent, named: &[&String]) -> Done {
    let program = built()?;
    let mut listing = Command::new(&program);
    let listed = listing.args(["--list", "--format", "terse"]).output();
    let listed = listed.map_err(|error| format!("cannot list the fault tests: {error}"))?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let mut tests: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .collect();
    tests.retain(|test| named.is_empty() || named.iter().any(|name| test.contains(name.as_str())));
    if let Some(name) = left_out(named) {
        tests.retain(|test| *test != name);
    }
    if tests.is_empty() {
        return Err("no fault test has such a name".to_owned());
    }
    let mut failed = Vec::new();
    for (number, name) in tests.iter().enumerate() {
        #[expect(
            clippy::disallowed_methods,
            reason = "people want to know how long a test takes"
        )]
        let start = Instant::now();
        let ended = one_of_few_tries(extent, &program, name)?;
        let (took, of) = (start.elapsed().as_secs_f32(), tests.len());
        let good = ended.status.success();
        let said = if good { "passed" } else { "FAILED" };
        say(&format!(
            "      {said} {name} ({took:.1} s, {} of {of})",
            number + 1
        ));
        if !good {
            failed.push((*name, ended));
        }
    }
    for (name, ended) in &failed {
        let (out, error) = (
            String::from_utf8_lossy(&ended.stdout),
            String::from_utf8_lossy(&ended.stderr),
        );
        say(&format!("\n--- {name}: {}\n{out}{error}", ended.status));
    }
    if failed.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = failed.iter().map(|(name, _)| *name).collect();
    Err(format!(
        "{} of {} fault tests failed: {}; {AGAIN}",
        names.len(),
        tests.len(),
        names.join(", ")
    ))
}

/// Builds the tests and gives the program that they are.
fn built() -> Result<PathBuf, String> {
    let mut command = cargo(&["test", "--package", "hookway", "--test", "faults", "--no-run"]);
    let output = command
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output();
    let output = output.map_err(|error| format!("cannot start cargo: {error}"))?;
    if !output.status.success() {
        return Err("the fault tests cannot be built".to_owned());
    }
    // One line is about one program; a path in it has no quotes.
    let told = String::from_utf8_lossy(&output.stdout);
    let program = told
        .lines()
        .filter(|line| line.contains("\"name\":\"faults\""))
        .find_map(|line| line.split_once("\"executable\":\"")?.1.split_once('"'));
    let (program, _) = program.ok_or("cargo does not say where it put the fault tests")?;
    Ok(program.into())
}

/// Runs one, and again where it failed and may be tried again.
fn one_of_few_tries(extent: Extent, program: &Path, name: &str) -> Result<Output, String> {
    let again = MAY_BE_TRIED_AGAIN.iter().any(|start| name.starts_with(start));
    let mut tries = if again { TRIES_MAX } else { 1 };
    loop {
        let ended = one(extent, program, name)?;
        tries -= 1;
        if ended.status.success() || tries == 0 {
            return Ok(ended);
        }
        say(&format!("      failed {name}, which may be tried again"));
    }
}

/// Runs one to its end, which comes at the latest after its time.
fn one(extent: Extent, program: &Path, name: &str) -> Result<Output, String> {
    let mut command = Command::new("timeout");
    // Without a limit where it may take as long as it takes.
    let longest = if extent == Extent::Long {
        "0"
    } else {
        LONGEST_SECONDS
    };
    command
        .args(["--kill-after=10", longest])
        .arg(program)
        .args(["--exact", "--nocapture", name])
        .current_dir(root().join("host"));
    if extent == Extent::Long {
        command.env(LONG.0, LONG.1);
    }
    let ended = command.output();
    ended.map_err(|error| format!("cannot start `timeout` of coreutils: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_runners_try_the_same_tests_again() {
        let settings = include_str!("../../.config/nextest.toml");
        let filter = format!("test(/^({})/)", MAY_BE_TRIED_AGAIN.join("|"));
        assert!(settings.contains(&filter), "{filter}");
        assert!(settings.contains(&format!("retries = {}", TRIES_MAX - 1)));
    }
}
