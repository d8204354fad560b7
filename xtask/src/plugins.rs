//! Builds `plugins/*` into `target/plugins/<name>.wasm`, where the host's build script finds them.
//!
//! Cargo decides what has to be compiled; a component is copied only where it differs, because the
//! host is compiled again when one of them is newer.

use crate::workspace;
use hookway_toolchain::{Crates, Source, Toolchain, Way};
use std::fs;
use std::path::Path;

/// The names of the first-party plugins, in order.
pub(crate) fn names() -> Result<Vec<String>, String> {
    let directory = workspace::root().join("plugins");
    let entries =
        fs::read_dir(&directory).map_err(|error| format!("cannot list {}: {error}", directory.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("Cargo.toml").is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(names)
}

/// Finds or installs the toolchain.
pub(crate) fn toolchain(say: &mut dyn FnMut(&str)) -> Result<Toolchain, String> {
    let forced = Way::forced().map_err(|error| error.to_string())?;
    let found = Toolchain::find_or_install(&workspace::root(), forced, say);
    found.map_err(|error| error.to_string())
}

/// Builds every plugin and puts it in its place.
pub(crate) fn build(
    toolchain: &Toolchain,
    names: &[String],
    say: &mut dyn FnMut(&str),
) -> Result<(), String> {
    let place = workspace::plugins();
    fs::create_dir_all(&place).map_err(|error| format!("cannot make {}: {error}", place.display()))?;
    for name in names {
        let source = Source {
            manifest: workspace::root().join("Cargo.toml"),
            package: Some(format!("hookway-plugin-{name}")),
            target_directory: workspace::root().join("target/wasm"),
            crates: Crates::Download,
        };
        let built = toolchain.build(&source, say).map_err(|error| error.to_string())?;
        let (changed, bytes) = put(&built, &place.join(format!("{name}.wasm")))?;
        let state = if changed { "" } else { ", unchanged" };
        say(&format!(
            "target/plugins/{name}.wasm: {} kB{state}",
            bytes.div_ceil(1000)
        ));
    }
    forget_others(&place, names)
}

/// Copies a file unless it is there already; says whether it was and how large it is.
fn put(from: &Path, to: &Path) -> Result<(bool, usize), String> {
    let new = fs::read(from).map_err(|error| format!("cannot read {}: {error}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok((false, new.len()));
    }
    // Through another name: whoever builds the host meanwhile must not see half a component.
    let partial = to.with_extension("part");
    fs::write(&partial, &new)
        .and_then(|()| fs::rename(&partial, to))
        .map_err(|error| format!("cannot write {}: {error}", to.display()))?;
    Ok((true, new.len()))
}

/// Removes components of plugins that are gone, or they would stay in the binary.
fn forget_others(place: &Path, names: &[String]) -> Result<(), String> {
    let entries = fs::read_dir(place).map_err(|error| format!("cannot list {}: {error}", place.display()))?;
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
        let wasm = path.extension().is_some_and(|extension| extension == "wasm");
        if wasm && !name.is_some_and(|name| names.contains(&name)) {
            fs::remove_file(&path).map_err(|error| format!("cannot remove {}: {error}", path.display()))?;
        }
    }
    Ok(())
}
