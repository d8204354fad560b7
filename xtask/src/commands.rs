//! What each command consists of.

use crate::steps::{Done, Steps, become_command, run, say};
use crate::workspace::{cargo, has, target};
use crate::{faults, plugins as components, workspace};
use std::process::Command;

/// `demo`: a running Hookway that shows itself.
pub(crate) fn demo(arguments: &[String]) -> Done {
    need_linker()?;
    let mut steps = Steps::new(4);
    build_plugins(&mut steps)?;
    steps.step("building hookway (the first time takes a few minutes)", || {
        run(&mut cargo(&["build", "--package", "hookway", "--bin", "hookway"]))
    })?;
    steps.announce("running hookway demo");
    let program = target().join("debug").join(executable("hookway"));
    become_command(Command::new(program).arg("demo").args(arguments))
}

/// `test`: every test of the workspace, in the build profile of the demo.
pub(crate) fn test(arguments: &[String]) -> Done {
    need_linker()?;
    // Documentation examples are no business of nextest.
    let nextest = has("cargo-nextest");
    let mut steps = Steps::new(if nextest { 4 } else { 3 });
    build_plugins(&mut steps)?;
    if nextest {
        steps.step("testing with cargo nextest", || {
            run(cargo(&["nextest", "run", "--workspace"]).args(arguments))
        })?;
        // Someone who names tests does not mean the documentation.
        steps.step("testing the examples in the documentation", || {
            if arguments.is_empty() {
                return run(&mut cargo(&["test", "--workspace", "--doc", "--quiet"]));
            }
            say("      skipped: the arguments are nextest's");
            Ok(())
        })
    } else {
        steps.step("testing with cargo test (cargo-nextest is not installed)", || {
            run(cargo(&["test", "--workspace"]).args(arguments))
        })
    }
}

/// `faults`: the fault tests, all or those that are named.
pub(crate) fn faults(arguments: &[String]) -> Done {
    need_linker()?;
    let (long, named): (Vec<&String>, Vec<&String>) =
        arguments.iter().partition(|argument| *argument == "--long");
    // Who names tests may have chosen those that do without; the others say themselves what is missing.
    if named.is_empty() {
        faults::need_namespaces()?;
    }
    let mut steps = Steps::new(3);
    build_plugins(&mut steps)?;
    let extent = if long.is_empty() {
        faults::Extent::Quick
    } else {
        faults::Extent::Long
    };
    steps.step("taking the world away (fault tests)", || {
        faults::run_each(extent, &named)
    })
}

/// `plugins`: only the components.
pub(crate) fn plugins() -> Done {
    need_linker()?;
    build_plugins(&mut Steps::new(2))
}

/// `check`: what a reviewer should not have to look for.
pub(crate) fn check() -> Done {
    let deny = has("cargo-deny");
    let mut steps = Steps::new(4);
    steps.step("formatting", || run(&mut cargo(&["fmt", "--all", "--check"])))?;
    steps.step("lints", || {
        let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
        run(&mut cargo(&arguments))?;
        // Not among "all targets": they are run by name alone.
        let arguments = [
            "clippy", "-p", "hookway", "--test", "faults", "--", "-D", "warnings",
        ];
        run(&mut cargo(&arguments))
    })?;
    steps.step("documentation", || {
        let arguments = [
            "doc",
            "--workspace",
            "--no-deps",
            "--document-private-items",
            "--quiet",
        ];
        run(cargo(&arguments).env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    if deny {
        steps.step("dependencies: licences, bans, sources", || {
            run(&mut cargo(&["deny", "check", "bans", "licenses", "sources"]))
        })
    } else {
        steps.announce("dependencies: skipped, cargo-deny is not installed");
        Ok(())
    }
}

/// `bench`: the benchmark against a Hookway that is built for speed.
pub(crate) fn bench(arguments: &[String]) -> Done {
    need_linker()?;
    let mut steps = Steps::new(4);
    build_plugins(&mut steps)?;
    steps.step("building hookway and the benchmark for speed", || {
        run(&mut cargo(&[
            "build",
            "--release",
            "--package",
            "hookway",
            "--package",
            "hookway-bench",
        ]))
    })?;
    steps.announce("running hookway-bench");
    let programs = target().join("release");
    become_command(
        Command::new(programs.join(executable("hookway-bench")))
            .current_dir(workspace::root())
            .args(arguments),
    )
}

/// The two first steps of nearly everything.
fn build_plugins(steps: &mut Steps) -> Done {
    let mut indented = |line: &str| say(&format!("      {line}"));
    let toolchain = steps.step("looking for a wasm toolchain", || {
        let toolchain = components::toolchain(&mut indented)?;
        indented(&format!("using the way `{}`", toolchain.way().name()));
        Ok(toolchain)
    })?;
    let names = components::names()?;
    let mut indented = |line: &str| say(&format!("      {line}"));
    steps.step(&format!("building plugins ({})", names.join(", ")), || {
        components::build(&toolchain, &names, &mut indented)
    })
}

/// Says early what cargo would say late and badly: SQLite and most build scripts need a C compiler.
fn need_linker() -> Done {
    if has("cc") || has("gcc") || has("clang") {
        return Ok(());
    }
    Err(
        "no C compiler was found (cc, gcc or clang); on Debian, `sudo apt-get install -y gcc \
         libc6-dev` brings one"
            .to_owned(),
    )
}

fn executable(name: &str) -> String {
    format!("{name}{}", std::env::consts::EXE_SUFFIX)
}
