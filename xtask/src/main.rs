//! `cargo xtask …`: from a fresh clone to a running demo, a green test run or a benchmark.
//!
//! Each command is a few numbered steps that say what they do and how long it took. The parts: `steps` runs
//! and times them, `plugins` builds the components of `plugins/`, `faults` runs the fault tests one by one,
//! `commands` says what each command consists of. It depends on the standard library alone, so that the first
//! thing people see is not a long compilation.

mod commands;
mod faults;
mod plugins;
mod steps;
mod workspace;

use std::process::ExitCode;

const HELP: &str = "\
usage: cargo xtask <command>

  demo [-- <arguments>]       build everything and run `hookway demo`
  test [<arguments>]          build the plugins and run every test
  faults [--long] [<names>]   kill, starve and lie to the router, and see that nothing is lost
  plugins                     build the first-party plugins into target/plugins
  check                       formatting, lints, documentation, licences
  bench [<workload>] [--json] build for speed and run the benchmark (docs/performance.md)

HOOKWAY_WASM_TOOLCHAIN=rustup or =debian forces one way to build plugins.";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    // `cargo xtask demo -- --port 1` and `cargo xtask demo --port 1` are the same.
    let rest: Vec<String> = match arguments.next() {
        Some(first) if first == "--" => arguments.collect(),
        first => first.into_iter().chain(arguments).collect(),
    };
    // What follows `demo` and `test` is for other programs; the rest would build for minutes before it is read.
    let asks = rest.iter().any(|word| word == "--help" || word == "-h");
    let done = match command.as_str() {
        "faults" | "plugins" | "check" | "bench" if asks => {
            steps::say(HELP);
            Ok(())
        }
        "demo" => commands::demo(&rest),
        "test" => commands::test(&rest),
        "faults" => commands::faults(&rest),
        "plugins" => commands::plugins(),
        "check" => commands::check(),
        "bench" => commands::bench(&rest),
        "help" | "--help" | "-h" => {
            steps::say(HELP);
            Ok(())
        }
        "" => Err(format!("name a command\n\n{HELP}")),
        _ => Err(format!("`{command}` is no command\n\n{HELP}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            steps::say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}
