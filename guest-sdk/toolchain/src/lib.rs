//! From a Rust crate to a component, on a machine that may not be prepared for it.
//!
//! There are two ways to a working `wasm32-wasip2`. The first is what every Rust developer has:
//! `rustup target add`. The second is for machines that cannot download from rustup: Debian's
//! packages of rustc and of the standard library's source, together with a linker. [`Toolchain::find`]
//! takes what is already usable, [`Toolchain::find_or_install`] tries to make the first way usable
//! and falls back to the second, and [`Toolchain::build`] is the same for both.
//!
//! It has no dependencies, because it is compiled before anything else can be.
//!
//! `HOOKWAY_WASM_TOOLCHAIN=rustup` or `=debian` forces one way.

mod build;
mod command;
mod debian;
mod rustup;

pub use build::{Crates, Source};

use std::fmt;
use std::path::Path;

/// What components are built for.
pub const TARGET: &str = "wasm32-wasip2";

/// The environment variable that forces one way.
pub const FORCE: &str = "HOOKWAY_WASM_TOOLCHAIN";

/// One of the two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The standard library for the target lies beside the rustc in use.
    Rustup,
    /// Debian's rustc builds the standard library from source.
    Debian,
}

impl Way {
    /// The name of the way: what [`FORCE`] is set to, and a directory under the target directory.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rustup => "rustup",
            Self::Debian => "debian",
        }
    }

    /// The way that the environment forces, if it does.
    ///
    /// # Errors
    /// [`Error::UnknownWay`] where it names another.
    pub fn forced() -> Result<Option<Self>, Error> {
        #[expect(clippy::disallowed_methods, reason = "the switch is documented to be one")]
        let value = std::env::var(FORCE).unwrap_or_default();
        match value.as_str() {
            "" => Ok(None),
            "rustup" => Ok(Some(Self::Rustup)),
            "debian" => Ok(Some(Self::Debian)),
            _ => Err(Error::UnknownWay(value)),
        }
    }
}

/// Takes lines that say what is going on.
pub type Progress<'a> = &'a mut dyn FnMut(&str);

/// A usable way from a crate to a component.
#[derive(Clone, Debug)]
pub struct Toolchain {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Rustup,
    Debian(debian::Paths),
}

impl Toolchain {
    /// Which way it is.
    pub fn way(&self) -> Way {
        match self.kind {
            Kind::Rustup => Way::Rustup,
            Kind::Debian(_) => Way::Debian,
        }
    }

    /// Finds what is usable for a crate in `directory` (a `rust-toolchain.toml` there counts),
    /// and installs nothing.
    ///
    /// # Errors
    /// [`Error::NotUsable`] with what each way lacks.
    pub fn find(directory: &Path, forced: Option<Way>) -> Result<Self, Error> {
        let wanted = |way| forced.is_none_or(|forced| forced == way);
        let mut lacks = Vec::new();
        if wanted(Way::Rustup) {
            match rustup::find(directory) {
                Ok(()) => return Ok(Self { kind: Kind::Rustup }),
                Err(lack) => lacks.push((Way::Rustup, lack)),
            }
        }
        if wanted(Way::Debian) {
            match debian::find(directory) {
                Ok(paths) => {
                    return Ok(Self {
                        kind: Kind::Debian(paths),
                    });
                }
                Err(lack) => lacks.push((Way::Debian, lack)),
            }
        }
        Err(Error::NotUsable(lacks))
    }

    /// As [`Toolchain::find`], and where nothing is usable, installs: first by rustup, then by apt.
    ///
    /// # Errors
    /// [`Error::NotUsable`] with what each way lacks and the commands that would help.
    pub fn find_or_install(
        directory: &Path,
        forced: Option<Way>,
        progress: Progress<'_>,
    ) -> Result<Self, Error> {
        if let Ok(found) = Self::find(directory, forced) {
            return Ok(found);
        }
        let wanted = |way| forced.is_none_or(|forced| forced == way);
        let mut lacks = Vec::new();
        if wanted(Way::Rustup) {
            match rustup::install(directory, progress).and_then(|()| rustup::find(directory)) {
                Ok(()) => return Ok(Self { kind: Kind::Rustup }),
                Err(lack) => {
                    progress(&format!("rustup cannot give the target: {lack}"));
                    lacks.push((Way::Rustup, lack));
                }
            }
        }
        if wanted(Way::Debian) {
            match debian::install(progress).and_then(|()| debian::find(directory)) {
                Ok(paths) => {
                    return Ok(Self {
                        kind: Kind::Debian(paths),
                    });
                }
                Err(lack) => lacks.push((Way::Debian, lack)),
            }
        }
        Err(Error::NotUsable(lacks))
    }
}

/// Why there is no component.
#[derive(Debug)]
pub enum Error {
    /// [`FORCE`] names no way.
    UnknownWay(String),
    /// Neither way is usable; what each one lacks.
    NotUsable(Vec<(Way, String)>),
    /// A program could not be started.
    Start(String, std::io::Error),
    /// The compiler has said why.
    Build(String),
    /// The crate gives no component.
    NoComponent(String),
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownWay(value) => {
                write!(formatter, "{FORCE} is `{value}`; it must be `rustup` or `debian`")
            }
            Self::NotUsable(lacks) => {
                write!(formatter, "no toolchain for {TARGET}")?;
                for (way, lack) in lacks {
                    write!(formatter, "\n  {}: {lack}", way.name())?;
                }
                let first = if lacks.iter().any(|(_, lack)| lack == rustup::MISSING) {
                    "install Rust as https://rustup.rs says, then: "
                } else {
                    ""
                };
                write!(
                    formatter,
                    "\none of these helps:\n  {first}{}\n  {}",
                    rustup::COMMAND,
                    debian::COMMAND
                )
            }
            Self::Start(program, _) => write!(formatter, "cannot start {program}"),
            Self::Build(what) => write!(formatter, "cannot build {what}; see the lines above"),
            Self::NoComponent(what) => write!(
                formatter,
                "{what} was built but gave no component; its Cargo.toml needs a `[lib]` with \
                 crate-type = [\"cdylib\", \"rlib\"]"
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start(_, error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_says_what_each_way_lacks_and_what_to_do() {
        let error = Error::NotUsable(vec![
            (Way::Rustup, "rustup is not installed".into()),
            (Way::Debian, "/usr/bin/rustc is missing".into()),
        ]);
        assert_eq!(
            error.to_string(),
            "no toolchain for wasm32-wasip2\n  rustup: rustup is not installed\n  debian: \
             /usr/bin/rustc is missing\none of these helps:\n  install Rust as https://rustup.rs says, \
             then: rustup target add wasm32-wasip2\n  sudo apt-get install -y rustc-web cargo-web rust-web-src wasi-libc"
        );
    }
}
