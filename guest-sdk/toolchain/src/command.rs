//! Programs that are started from inside another cargo without inheriting its mind.
//!
//! A cargo that runs us (`cargo xtask`, a test, a build script) has put its own choices into the
//! environment. A cargo that we start must make them again, for another target and perhaps with
//! another compiler.

use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// What an outer cargo, or a developer's taste in native builds, leaves behind.
const FOREIGN: [&str; 12] = [
    "CARGO",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_MAKEFLAGS",
    "CARGO_MANIFEST_DIR",
    "CARGO_TARGET_DIR",
    "MAKEFLAGS",
    "RUSTC",
    "RUSTDOC",
    "RUSTFLAGS",
];

/// A command in a clean environment. `RUSTUP_TOOLCHAIN` stays: whoever said `cargo +name` meant
/// this build too.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for name in FOREIGN {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs a command and gives back what it printed, or why it failed: its last line.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.output() {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(output) => Err(format!("{program}: {}", reason(&output))),
        Err(error) => Err(format!("cannot start {program}: {error}")),
    }
}

/// Runs a command whose lines people may read, for no longer than this.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    // What it prints belongs to the progress, and our standard output to our caller.
    command.stdout(Stdio::from(std::io::stderr()));
    let mut child = command
        .spawn()
        .map_err(|error| format!("cannot start {program}: {error}"))?;
    let step = Duration::from_millis(100);
    let mut waited = Duration::ZERO;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("{program} failed ({status})")),
            Ok(None) if waited < limit => {
                #[expect(clippy::disallowed_methods, reason = "std has no wait with a limit")]
                sleep(step);
                waited += step;
            }
            Ok(None) => {
                // Whether it could still be killed changes nothing for the caller.
                drop(child.kill());
                drop(child.wait());
                return Err(format!("{program} took longer than {} s", limit.as_secs()));
            }
            Err(error) => return Err(format!("cannot wait for {program}: {error}")),
        }
    }
}

fn reason(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    line.map_or_else(|| output.status.to_string(), |line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_the_last_line() {
        let failed = output(command("sh").args(["-c", "echo first >&2; echo last >&2; exit 3"]));
        assert_eq!(failed, Err("sh: last".to_owned()));
        assert_eq!(
            output(command("sh").args(["-c", "echo ok"])),
            Ok("ok".to_owned())
        );
    }

    #[test]
    fn a_slow_program_is_ended() {
        let ended = run(command("sleep").arg("60"), Duration::from_millis(200));
        assert_eq!(ended, Err("sleep took longer than 0 s".to_owned()));
    }
}
