//! One cargo call that gives one component.
//!
//! Plugins have a build profile of their own, `plugin`, given on the command line so that it is the same for
//! a crate of this workspace and for anybody else's: fast, without debug information, and without unwinding.
//! (`opt-level = "s"` gave components a tenth smaller and a seventh slower, and took the host as long to
//! compile.) The guest's stack is 128 KiB instead of 1 MiB, because a fresh instance costs what its initial
//! memory costs.

use crate::command::command;
use crate::{Error, Kind, Progress, TARGET, Toolchain};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

const PROFILE: [&str; 7] = [
    "profile.plugin.inherits=\"release\"",
    "profile.plugin.opt-level=3",
    "profile.plugin.lto=true",
    "profile.plugin.codegen-units=1",
    "profile.plugin.panic=\"abort\"",
    "profile.plugin.debug=false",
    "profile.plugin.strip=true",
];

const STACK: [&str; 2] = ["-C", "link-arg=-zstack-size=131072"];

/// What to build.
#[derive(Clone, Debug)]
pub struct Source {
    /// The `Cargo.toml` of the crate, or of its workspace.
    pub manifest: PathBuf,
    /// The package, where the manifest is a workspace's.
    pub package: Option<String>,
    /// Where cargo may work. Each way has a directory of its own in it.
    pub target_directory: PathBuf,
    /// Where crates may come from.
    pub crates: Crates,
}

/// Where the crates that a plugin depends on may come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Crates {
    /// From the registry, where they are not on this machine yet.
    #[default]
    Download,
    /// From this machine alone.
    Offline,
}

impl Toolchain {
    /// Builds a component and gives back where it lies. What the compiler says goes to standard
    /// error.
    ///
    /// # Errors
    /// [`Error::Build`] where the compiler refused the crate, [`Error::NoComponent`] where it is no
    /// `cdylib`.
    pub fn build(&self, source: &Source, progress: Progress<'_>) -> Result<PathBuf, Error> {
        let name = source
            .package
            .clone()
            .unwrap_or_else(|| source.manifest.display().to_string());
        let target = source.target_directory.join(self.way().name());
        let first = !target.join(TARGET).is_dir();
        if first && matches!(self.kind, Kind::Debian(_)) {
            progress("compiling the standard library first, once: about a minute and a half");
        }
        let arguments = arguments(source, &target);
        let mut cargo = match &self.kind {
            Kind::Rustup => {
                let mut cargo = command("cargo");
                cargo.args(&arguments);
                cargo
            }
            Kind::Debian(paths) => paths.cargo(&arguments),
        };
        // cargo takes a `rust-toolchain.toml` and a `.cargo/config.toml` from where it is started.
        if let Some(parent) = source.manifest.parent().filter(|path| path.is_dir()) {
            cargo.current_dir(parent);
        }
        cargo.arg("--").args(STACK).stderr(Stdio::inherit());
        let output = cargo
            .output()
            .map_err(|error| Error::Start(cargo.get_program().to_string_lossy().into_owned(), error))?;
        if !output.status.success() {
            return Err(Error::Build(name));
        }
        component(&String::from_utf8_lossy(&output.stdout)).ok_or(Error::NoComponent(name))
    }
}

fn arguments(source: &Source, target: &Path) -> Vec<OsString> {
    let mut words = vec!["rustc", "--lib", "--target", TARGET, "--profile", "plugin"];
    // The messages are for us; what the compiler has to say is still printed for people.
    words.push("--message-format=json-render-diagnostics");
    words.extend(PROFILE.iter().flat_map(|setting| ["--config", setting]));
    if source.crates == Crates::Offline {
        words.push("--offline");
    }
    if let Some(package) = &source.package {
        words.extend(["--package", package]);
    }
    let mut arguments: Vec<OsString> = words.into_iter().map(OsString::from).collect();
    let manifest = std::path::absolute(&source.manifest).unwrap_or(source.manifest.clone());
    let target = std::path::absolute(target).unwrap_or(target.to_path_buf());
    arguments.extend(["--manifest-path".into(), manifest.into_os_string()]);
    arguments.extend(["--target-dir".into(), target.into_os_string()]);
    arguments
}

/// The last `.wasm` among the files that cargo names: that of the crate itself.
fn component(messages: &str) -> Option<PathBuf> {
    let artifacts = messages
        .lines()
        .filter(|line| line.contains("\"compiler-artifact\""));
    let mut strings = artifacts.flat_map(|line| line.split('"'));
    strings
        .rfind(|string| string.ends_with(".wasm"))
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_is_found_among_the_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","filenames":["/t/libserde.rlib"]}"#,
            "\n",
            r#"{"reason":"compiler-artifact","filenames":["/t/p.wasm","/t/libp.rlib"]}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(component(messages), Some(PathBuf::from("/t/p.wasm")));
        assert_eq!(component("{}"), None);
    }
}
