//! The first way: the rustc in use has the standard library for the target beside it.
//!
//! rustup is only needed to put it there; a rustc from elsewhere that has it does as well.

use crate::command::{command, output, run};
use crate::{Progress, TARGET};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a person can do.
pub(crate) const COMMAND: &str = "rustup target add wasm32-wasip2";

/// What is said where there is no rustup.
pub(crate) const MISSING: &str = "rustup is not installed";

/// The download is some 20 MB.
const INSTALL_LIMIT: Duration = Duration::from_secs(300);

/// Says whether the rustc of `directory` can compile for the target, and what it lacks.
pub(crate) fn find(directory: &Path) -> Result<(), String> {
    let mut rustc = command("rustc");
    rustc
        .current_dir(directory)
        .args(["--print", "target-libdir", "--target", TARGET]);
    let libraries = PathBuf::from(output(&mut rustc)?);
    let standard_library = std::fs::read_dir(&libraries).is_ok_and(|mut entries| {
        entries.any(|entry| {
            let name = entry.map(|entry| entry.file_name().to_string_lossy().into_owned());
            name.is_ok_and(|name| name.starts_with("libstd-"))
        })
    });
    if standard_library {
        Ok(())
    } else {
        Err(format!(
            "the standard library for {TARGET} is not in {}",
            libraries.display()
        ))
    }
}

/// The directories of the rustc of `directory` that hold linkers.
pub(crate) fn linker_directories(directory: &Path) -> Vec<PathBuf> {
    let mut rustc = command("rustc");
    let Ok(root) = output(rustc.current_dir(directory).args(["--print", "sysroot"])) else {
        return Vec::new();
    };
    let Ok(entries) = std::fs::read_dir(Path::new(&root).join("lib/rustlib")) else {
        return Vec::new();
    };
    let programs = entries.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    let programs = programs.filter(|path| path.is_dir());
    programs.flat_map(|path| [path.join("gcc-ld"), path]).collect()
}

/// Asks rustup for the target.
pub(crate) fn install(directory: &Path, progress: Progress<'_>) -> Result<(), String> {
    if output(command("rustup").arg("--version")).is_err() {
        return Err(MISSING.to_owned());
    }
    progress(COMMAND);
    run(
        command("rustup")
            .current_dir(directory)
            .args(["target", "add", TARGET]),
        INSTALL_LIMIT,
    )
}
