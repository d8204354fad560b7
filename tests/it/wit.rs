//! The contract with guests parses, says what it is, and documents every item.

use std::path::Path;

use wit_parser::Resolve;

fn contract() -> (Resolve, wit_parser::PackageId) {
    let mut resolve = Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let (package, _) = resolve.push_dir(&wit).expect("wit/ parses");
    (resolve, package)
}

#[test]
fn the_package_and_its_worlds_are_what_the_host_serves() {
    let (resolve, package) = contract();
    let package = &resolve.packages[package];
    assert_eq!(package.name.to_string(), "hookway:plugin@0.1.0");
    let mut worlds: Vec<&str> = package.worlds.keys().map(String::as_str).collect();
    worlds.sort_unstable();
    assert_eq!(worlds, ["everything", "transformer"]);
    for interface in [
        "plugin",
        "transform",
        "transform-batch",
        "classify",
        "receive",
        "authenticate",
        "log",
        "types",
    ] {
        assert!(
            package.interfaces.contains_key(interface),
            "{interface} is missing"
        );
    }
}

#[test]
fn every_interface_type_and_function_is_documented() {
    let (resolve, package) = contract();
    let mut bare = Vec::new();
    for (name, interface) in &resolve.packages[package].interfaces {
        let interface = &resolve.interfaces[*interface];
        if interface.docs.contents.is_none() {
            bare.push(name.clone());
        }
        for (type_name, id) in &interface.types {
            let definition = &resolve.types[*id];
            let used = matches!(definition.kind, wit_parser::TypeDefKind::Type(_));
            if !used && definition.docs.contents.is_none() {
                bare.push(format!("{name}.{type_name}"));
            }
        }
        for (function, definition) in &interface.functions {
            if definition.docs.contents.is_none() {
                bare.push(format!("{name}.{function}"));
            }
        }
    }
    assert!(bare.is_empty(), "without documentation: {}", bare.join(", "));
}
