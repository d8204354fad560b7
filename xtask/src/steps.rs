//! Numbered steps with their times, on standard error: standard output belongs to what is run.

use std::process::Command;
use std::time::Instant;

/// What went wrong, for people.
pub(crate) type Done = Result<(), String>;

/// Prints lines.
#[expect(clippy::print_stderr, reason = "progress is what this program prints")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// Counts steps and keeps the time.
pub(crate) struct Steps {
    number: usize,
    of: usize,
}

impl Steps {
    /// So many steps will follow.
    pub(crate) fn new(of: usize) -> Self {
        Self { number: 0, of }
    }

    /// Announces a step.
    pub(crate) fn announce(&mut self, what: &str) {
        self.number += 1;
        say(&format!("[{}/{}] {what}", self.number, self.of));
    }

    /// Does a step and says how long it took.
    pub(crate) fn step<T>(
        &mut self,
        what: &str,
        work: impl FnOnce() -> Result<T, String>,
    ) -> Result<T, String> {
        self.announce(what);
        #[expect(
            clippy::disallowed_methods,
            reason = "people want to know how long a build takes"
        )]
        let start = Instant::now();
        let result = work()?;
        say(&format!(
            "      done in {:.1} s",
            start.elapsed().as_secs_f32()
        ));
        Ok(result)
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Done {
    let program = words(command);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{program}` failed ({status})")),
        Err(error) => Err(format!("cannot start `{program}`: {error}")),
    }
}

/// Lets a command take the place of this process, so that signals reach it alone.
#[cfg(unix)]
pub(crate) fn become_command(command: &mut Command) -> Done {
    use std::os::unix::process::CommandExt;
    let program = words(command);
    let error = command.exec();
    Err(format!("cannot start `{program}`: {error}"))
}

/// Runs a command to its end.
#[cfg(not(unix))]
pub(crate) fn become_command(command: &mut Command) -> Done {
    run(command)
}

fn words(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let program = program
        .file_name()
        .unwrap_or(command.get_program())
        .to_string_lossy();
    let arguments = command
        .get_args()
        .map(|word| format!(" {}", word.to_string_lossy()));
    std::iter::once(program.into_owned())
        .chain(arguments)
        .collect()
}
