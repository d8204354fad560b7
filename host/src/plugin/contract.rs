//! What a component wants and offers, by the names of its imports and exports alone. Pure.
//!
//! Imports are capabilities: what is not on the list here is refused with our own words, because a
//! linker's words would not tell a plugin's author what to do. A component's import list is exact
//! (an interface that is declared but never used does not appear), so this is the whole audit.

use super::wasi;

/// The package of the contract.
const PACKAGE: &str = "hookway:plugin";
/// The series of the contract that this host speaks. Within it, only additions happen.
const SERIES: (u64, u64) = (0, 1);
/// The series of WASI that this host has.
const WASI_SERIES: (u64, u64) = (0, 2);
/// What a plugin must export to be of use to this host.
const EXPORTS_NEEDED: [&str; 2] = ["plugin", "transform"];
/// What it may import from the contract: `types` is only names.
const IMPORTS_GRANTED: [&str; 2] = ["log", "types"];

/// What has to be linked to a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// The contract only.
    Contract,
    /// The contract and inert WASI.
    ContractAndWasi,
}

/// A component that does not fit this host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// It asks for what this host does not grant.
    #[error("the plugin imports what this host does not grant: {}", list(.0))]
    Imports(Vec<Missing>),
    /// It lacks what this host calls.
    #[error("the plugin does not export what this host calls: {}", list(.0))]
    Exports(Vec<Missing>),
}

/// One name and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The import or export, such as `wasi:sockets/tcp@0.2.6`.
    pub name: String,
    /// Why it does not fit and what would.
    pub reason: String,
}

fn list(missing: &[Missing]) -> String {
    let lines: Vec<_> = missing
        .iter()
        .map(|Missing { name, reason }| format!("`{name}` ({reason})"))
        .collect();
    lines.join(", ")
}

/// Compares the names of a component with what this host grants and needs.
pub(super) fn audit(imports: &[String], exports: &[String]) -> Result<Link, ContractError> {
    let refused: Vec<_> = imports.iter().filter_map(|name| refuse(name)).collect();
    if !refused.is_empty() {
        return Err(ContractError::Imports(refused));
    }
    let missing: Vec<_> = EXPORTS_NEEDED
        .iter()
        .filter_map(|wanted| lacking(wanted, exports))
        .collect();
    if !missing.is_empty() {
        return Err(ContractError::Exports(missing));
    }
    let wasi = imports.iter().any(|name| name.starts_with("wasi:"));
    Ok(if wasi {
        Link::ContractAndWasi
    } else {
        Link::Contract
    })
}

/// What a plugin gets by an import that is granted, in words for people.
pub fn grant(import: &str) -> &'static str {
    match split(import).0 {
        "hookway:plugin/types" => "names only",
        "hookway:plugin/log" => "lines in the log of the delivery",
        "wasi:cli/stdout" | "wasi:cli/stderr" => "its lines go to the log of the delivery",
        "wasi:cli/exit" => "ends the run with a fault",
        "wasi:clocks/monotonic-clock" | "wasi:clocks/wall-clock" => "a clock that stands still",
        "wasi:random/random" | "wasi:random/insecure" | "wasi:random/insecure-seed" => {
            "the same numbers in every run"
        }
        "wasi:io/poll" => "waiting is refused",
        "wasi:io/error" | "wasi:io/streams" => "what the others need",
        "wasi:filesystem/preopens" | "wasi:filesystem/types" => "no files",
        "wasi:cli/environment" => "no variables, no arguments",
        interface if wasi::INTERFACES.contains(&interface) => "nothing",
        _ => "not granted",
    }
}

fn refuse(name: &str) -> Option<Missing> {
    let (interface, version) = split(name);
    let reason = if let Some(own) = own_interface(interface) {
        match version {
            _ if !IMPORTS_GRANTED.contains(&own) => "this host has no such interface".to_owned(),
            Some(SERIES) => return None,
            _ => supports(),
        }
    } else if wasi::INTERFACES.contains(&interface) || wasi::INSECURE_RANDOM.contains(&interface) {
        match version {
            Some(WASI_SERIES) => return None,
            _ => "this host has WASI 0.2; build for `wasm32-wasip2`".to_owned(),
        }
    } else if interface.starts_with("wasi:sockets/") || interface.starts_with("wasi:http/") {
        "plugins have no network; return requests and the host sends them".to_owned()
    } else {
        "this host has no such interface".to_owned()
    };
    Some(Missing {
        name: name.to_owned(),
        reason,
    })
}

fn lacking(wanted: &str, exports: &[String]) -> Option<Missing> {
    let versions = exports
        .iter()
        .filter(|name| own_interface(split(name).0) == Some(wanted));
    let mut others = Vec::new();
    for name in versions {
        if split(name).1 == Some(SERIES) {
            return None;
        }
        others.push(format!("`{name}`"));
    }
    let reason = match others.as_slice() {
        [] => "missing; `hookway_plugin::export!` makes it".to_owned(),
        others => format!("the plugin has {}; {}", others.join(", "), supports()),
    };
    Some(Missing {
        name: format!("{PACKAGE}/{wanted}@{}.{}", SERIES.0, SERIES.1),
        reason,
    })
}

fn supports() -> String {
    format!("this host supports {PACKAGE} {}.{}", SERIES.0, SERIES.1)
}

fn own_interface(interface: &str) -> Option<&str> {
    interface.strip_prefix(PACKAGE)?.strip_prefix('/')
}

/// The interface and the series of its version; none for a pre-release, which matches nothing.
fn split(name: &str) -> (&str, Option<(u64, u64)>) {
    let Some((interface, version)) = name.split_once('@') else {
        return (name, None);
    };
    let mut numbers = version.split('.').map(str::parse::<u64>);
    let series = match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor)), Some(Ok(_)), None) => Some((major, minor)),
        _ => None,
    };
    (interface, series)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [&str; 2] = ["hookway:plugin/plugin@0.1.0", "hookway:plugin/transform@0.1.7"];

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn refusal(imports: &[&str], exports: &[&str]) -> String {
        audit(&names(imports), &names(exports)).unwrap_err().to_string()
    }

    #[test]
    fn what_ordinary_builds_import_is_granted() {
        let imports = ["hookway:plugin/types@0.1.0", "hookway:plugin/log@0.1.3"];
        assert_eq!(audit(&names(&imports), &names(&GOOD)), Ok(Link::Contract));
        let imports = [
            "hookway:plugin/log@0.1.0",
            "wasi:io/streams@0.2.6",
            "wasi:cli/exit@0.2.0",
        ];
        assert_eq!(audit(&names(&imports), &names(&GOOD)), Ok(Link::ContractAndWasi));
        assert_eq!(audit(&[], &names(&GOOD)), Ok(Link::Contract));
    }

    #[test]
    fn what_is_granted_is_said_and_only_that() {
        let wasi = wasi::INTERFACES.iter().chain(&wasi::INSECURE_RANDOM);
        let wasi = wasi.map(|name| format!("{name}@0.2.6"));
        let own = IMPORTS_GRANTED
            .iter()
            .map(|name| format!("{PACKAGE}/{name}@0.1.0"));
        for import in wasi.chain(own) {
            assert_eq!(refuse(&import), None);
            assert_ne!(grant(&import), "not granted", "{import}");
        }
        for import in ["wasi:sockets/tcp@0.2.6", "hookway:plugin/kv@0.1.0", "env"] {
            assert_eq!(grant(import), "not granted");
        }
    }

    #[test]
    fn every_refused_import_is_listed_with_a_reason() {
        let text = refusal(
            &[
                "wasi:sockets/tcp@0.2.6",
                "wasi:io/streams@0.3.0",
                "env",
                "hookway:plugin/log@0.2.0",
            ],
            &GOOD,
        );
        for part in [
            "`wasi:sockets/tcp@0.2.6` (plugins have no network",
            "`wasi:io/streams@0.3.0` (this host has WASI 0.2",
            "`env` (this host has no such interface)",
            "`hookway:plugin/log@0.2.0` (this host supports hookway:plugin 0.1)",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(audit(&names(&["hookway:plugin/log@0.1.0-rc.1"]), &names(&GOOD)).is_err());
        assert!(audit(&names(&["hookway:plugin/kv@0.1.0"]), &names(&GOOD)).is_err());
        assert!(audit(&names(&["wasi:cli/run@0.2.0"]), &names(&GOOD)).is_err());
    }

    #[test]
    fn a_missing_or_foreign_export_says_what_this_host_supports() {
        let text = refusal(&[], &["hookway:plugin/plugin@0.1.0"]);
        assert!(text.contains("`hookway:plugin/transform@0.1` (missing"), "{text}");
        let text = refusal(
            &[],
            &["hookway:plugin/plugin@0.1.0", "hookway:plugin/transform@0.3.0"],
        );
        assert!(
            text.contains("has `hookway:plugin/transform@0.3.0`; this host supports hookway:plugin 0.1"),
            "{text}"
        );
        assert!(refusal(&[], &[]).contains("hookway:plugin/plugin@0.1"));
    }
}
