//! Puts the first-party plugins into the binary.
//!
//! `cargo xtask plugins` leaves them in `target/plugins` at the top of the repository, whatever
//! cargo's own target directory is; `HOOKWAY_PLUGINS_DIR` names another place. A binary without them
//! is a binary all the same, so nothing fails here where a toolchain for plugins is missing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{env, fs};

/// The variable that names another place.
const DIRECTORY: &str = "HOOKWAY_PLUGINS_DIR";

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    #[expect(
        clippy::disallowed_methods,
        reason = "a build script is configured by its environment"
    )]
    let (chosen, out) = (env::var_os(DIRECTORY), env::var_os("OUT_DIR"));
    let out = PathBuf::from(out.expect("cargo sets OUT_DIR"));
    let place = chosen.map_or_else(|| root.join("target/plugins"), |chosen| root.join(chosen));

    // Cargo runs this script again at every build where a path it was told of does not exist. An
    // empty directory is there, and newer once a plugin appears in it. It is given an old date,
    // because cargo would take it for newer than the run that made it.
    if !place.is_dir() {
        let made = fs::create_dir_all(&place).and_then(|()| fs::File::open(&place));
        if let Err(error) = made.and_then(|place| place.set_modified(SystemTime::UNIX_EPOCH)) {
            println!("cargo::warning=cannot make {}: {error}", place.display());
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", place.display());
    println!("cargo::rerun-if-env-changed={DIRECTORY}");

    let built = names(&place, |path| {
        path.extension().is_some_and(|kind| kind == "wasm")
    });
    let expected = names(&root.join("plugins"), |path| {
        path.join("Cargo.toml").is_file()
    });
    let missing: Vec<_> = expected
        .iter()
        .filter(|name| !built.contains(name))
        .collect();
    if !missing.is_empty() {
        let missing: Vec<_> = missing.into_iter().map(String::as_str).collect();
        println!(
            "cargo::warning=this binary has no plugin {}: `cargo xtask plugins` builds what is missing",
            missing.join(", ")
        );
    }

    let mut code = String::from(
        "/// The first-party plugins: name and component.\n\
         pub static FIRST_PARTY: &[(&str, &[u8])] = &[\n",
    );
    for name in &built {
        let path = place.join(format!("{name}.wasm"));
        let path = fs::canonicalize(&path).unwrap_or(path);
        writeln!(
            code,
            "    ({name:?}, include_bytes!({:?})),",
            path.display().to_string()
        )
        .expect("a string takes what is written");
    }
    code.push_str("];\n");
    fs::write(out.join("first_party.rs"), code).expect("cannot write to OUT_DIR");
}

/// The names of the entries that are wanted, in order, without what follows the dot.
fn names(directory: &Path, wanted: impl Fn(&Path) -> bool) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut names: Vec<String> = paths
        .filter(|path| wanted(path))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names
}
