//! Turns `wit/` into a macro that expands the bindings in the author's crate.
//!
//! The bindings must be generated there, because a library that generated them for several worlds
//! would make every component claim all of them. `wit_bindgen::generate!` takes its text as a
//! literal, and a plugin has no `wit/` directory. So the one definition at the top of the repository
//! is copied, at build time, into the literal inside a `macro_rules!` that `export!` calls.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// `types.wit` opens the package and comes first.
const FILES: [&str; 3] = ["types.wit", "plugin.wit", "capabilities.wit"];

fn main() {
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", wit.display());

    let mut found: Vec<_> = fs::read_dir(&wit)
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", wit.display()))
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".wit"))
        .collect();
    found.sort();
    let mut expected = FILES.map(String::from).to_vec();
    expected.sort();
    assert_eq!(found, expected, "wit/ has other files than build.rs joins");

    let mut text = String::new();
    let mut package = None;
    for name in FILES {
        let path = wit.join(name);
        let part = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        // A document names its package once; the other files repeat it.
        for line in part.lines() {
            if line.starts_with("package ") {
                if let Some(first) = &package {
                    assert_eq!(first, line, "{name} names another package");
                    continue;
                }
                package = Some(line.to_owned());
            }
            text.push_str(line);
            text.push('\n');
        }
    }
    let package = package.expect("wit/types.wit names the package");
    let version = package
        .trim_start_matches("package ")
        .trim_end_matches(';')
        .to_owned();

    let code = format!(
        r####"/// The package of the contract that this SDK speaks.
pub const CONTRACT: &str = "{version}";

/// Expands to the bindings of the world `transformer`.
#[doc(hidden)]
#[macro_export]
macro_rules! __transformer_bindings {{
    () => {{
        $crate::export::wit_bindgen::generate!({{
            inline: r###"{text}"###,
            world: "transformer",
            runtime_path: "::hookway_plugin::export::wit_bindgen::rt",
        }});
    }};
}}
"####
    );
    #[expect(
        clippy::disallowed_methods,
        reason = "this is how cargo talks to build scripts"
    )]
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(PathBuf::from(out).join("bindings.rs"), code).expect("cannot write to OUT_DIR");
}
