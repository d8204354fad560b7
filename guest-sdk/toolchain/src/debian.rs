//! The second way: Debian's packages, where rustup cannot download.
//!
//! The packages bring a rustc and a cargo of their own with the source of the standard library,
//! which is compiled once per target directory, and the C library that it stands on. The linker
//! `wasm-component-ld` is not packaged: it comes with rustup's toolchain (which is installed, only
//! without the target) or from the package registry.

use crate::command::{command, output, run};
use crate::{Progress, TARGET, rustup};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What a person can do.
pub(crate) const COMMAND: &str = "sudo apt-get install -y rustc-web cargo-web rust-web-src wasi-libc";

const PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "wasi-libc"];
const RUSTC: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";
const C_LIBRARY: &str = "/usr/lib/wasm32-wasi";
const LINKER: &str = "wasm-component-ld";
const INSTALL_LIMIT: Duration = Duration::from_secs(900);

/// Where the parts were found.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    /// Holds the linkers, for `PATH`.
    linkers: Vec<PathBuf>,
}

/// Finds the parts, and says which one is missing.
pub(crate) fn find(directory: &Path) -> Result<Paths, String> {
    for path in [RUSTC, CARGO] {
        if !Path::new(path).is_file() {
            return Err(format!("{path} is missing"));
        }
    }
    let root = output(command(RUSTC).args(["--print", "sysroot"]))?;
    let source = Path::new(&root).join("lib/rustlib/src/rust/library/std/Cargo.toml");
    if !source.is_file() {
        return Err(format!("{} is missing", source.display()));
    }
    let c_library = Path::new(C_LIBRARY).join("libc.a");
    if !c_library.is_file() {
        return Err(format!("{} is missing", c_library.display()));
    }
    let linkers = rustup::linker_directories(directory);
    let search = path_with(&linkers);
    for program in [LINKER, "wasm-ld"] {
        if !std::env::split_paths(&search).any(|path| path.join(program).is_file()) {
            return Err(format!(
                "the linker {program} is missing; without a rustup toolchain, `cargo install \
                 wasm-component-ld` and `apt-get install lld` bring it"
            ));
        }
    }
    Ok(Paths { linkers })
}

/// Installs the packages, as root or where sudo asks for no password.
pub(crate) fn install(progress: Progress<'_>) -> Result<(), String> {
    if output(command("apt-get").arg("--version")).is_err() {
        return Err("this is not a Debian system: apt-get is missing".to_owned());
    }
    let root = output(command("id").arg("-u")).is_ok_and(|id| id == "0");
    if !root && output(command("sudo").args(["-n", "true"])).is_err() {
        return Err("apt-get needs root, and sudo asks for a password".to_owned());
    }
    let apt = |arguments: &[&str]| {
        let mut apt = if root { command("apt-get") } else { command("sudo") };
        if !root {
            apt.args(["-n", "apt-get"]);
        }
        // sudo drops the environment; without a terminal nothing asks anyway.
        apt.env("DEBIAN_FRONTEND", "noninteractive")
            .arg("-q")
            .args(arguments);
        apt
    };
    progress("apt-get update");
    run(&mut apt(&["update"]), INSTALL_LIMIT)?;
    progress(&format!("apt-get install {}", PACKAGES.join(" ")));
    let mut install = apt(&["install", "-y", "--no-install-recommends"]);
    run(install.args(PACKAGES), INSTALL_LIMIT)
}

impl Paths {
    /// Debian's cargo, told to compile the standard library and where the linker is.
    pub(crate) fn cargo(&self, build: &[OsString]) -> Command {
        let mut cargo = command(CARGO);
        cargo
            .args(build)
            .args(["-Z", "build-std=std,panic_abort"])
            .env("RUSTC", RUSTC)
            // Stable rustc lets nobody build a standard library without this.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", format!("-L native={C_LIBRARY}"))
            .env(
                format!("CARGO_TARGET_{}_LINKER", TARGET.replace('-', "_").to_uppercase()),
                LINKER,
            )
            .env("PATH", path_with(&self.linkers));
        cargo
    }
}

/// `PATH` with the linkers behind it, so that nothing that was there is hidden.
fn path_with(linkers: &[PathBuf]) -> OsString {
    #[expect(
        clippy::disallowed_methods,
        reason = "the programs of a toolchain are on PATH"
    )]
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::env::split_paths(&path).chain(linkers.iter().cloned());
    // Only a directory with a colon in its name cannot be joined; then the linkers stay away.
    std::env::join_paths(all).unwrap_or(path)
}
