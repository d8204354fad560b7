//! Where things are.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Where cargo puts what it builds natively.
pub(crate) fn target() -> PathBuf {
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo itself reads this variable"
    )]
    let chosen = std::env::var_os("CARGO_TARGET_DIR");
    chosen.map_or_else(|| root().join("target"), |chosen| root().join(chosen))
}

/// Where the host's build script looks for plugins, whatever cargo's target directory is.
pub(crate) fn plugins() -> PathBuf {
    root().join("target/plugins")
}

/// The cargo that runs us, at the top of the repository.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    #[expect(clippy::disallowed_methods, reason = "cargo says here which one it is")]
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()).args(arguments);
    command
}

/// Whether a program can be started.
pub(crate) fn has(program: &str) -> bool {
    let mut command = Command::new(program);
    command
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}
