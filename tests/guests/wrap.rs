//! Makes whole components of the guests in this folder, each of which does one thing wrong (or right).
//!
//! A guest is the text of a few core functions; `component.wat` is the component around them and says
//! what a guest may define. The result is text: `wat::parse_str` makes bytes of it.

/// The component around every guest.
const COMPONENT: &str = include_str!("component.wat");

/// What guests get where they define nothing of their own.
const USUAL: [(&str, &str); 4] = [
    ("(func $describe", "(func $describe (result i32) (i32.const 16))"),
    (
        "(func $configure",
        "(func $configure (param i32 i32) (result i32) (i32.const 128))",
    ),
    (
        "(func $reset",
        "(func $reset (param i32) (global.set $heap (i32.const 65536)))",
    ),
    (
        "(func $transform",
        "(func $transform (param $event i32) (result i32)
            (call $deliver (i32.load offset=68 (local.get $event)) (i32.load offset=72 (local.get $event))))",
    ),
];

/// A component with these core functions, and with these items beside its modules.
pub(crate) fn component_with(outside: &str, guest: &str) -> String {
    component_of(&Parts {
        outside,
        guest,
        ..Parts::default()
    })
}

/// A component with these core functions.
pub(crate) fn component(guest: &str) -> String {
    component_with("", guest)
}

/// The parts of a component that a guest can bring.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parts<'a> {
    /// Items of the component, such as its imports.
    pub(crate) outside: &'a str,
    /// Imports made core functions; `$memory` and `$realloc` are there for it.
    pub(crate) lowered: &'a str,
    /// Exports of the core instance `host`, such as lowered functions.
    pub(crate) host: &'a str,
    /// Imports of the guest's module, from `host`.
    pub(crate) imports: &'a str,
    /// The guest's own functions.
    pub(crate) guest: &'a str,
}

/// A component with these parts.
pub(crate) fn component_of(parts: &Parts<'_>) -> String {
    let mut whole = parts.guest.to_owned();
    for (function, usual) in USUAL {
        if !parts.guest.contains(function) {
            whole.push_str(usual);
        }
    }
    COMPONENT
        .replacen("(; outside ;)", parts.outside, 1)
        .replacen("(; lowered ;)", parts.lowered, 1)
        .replacen("(; host ;)", parts.host, 1)
        .replacen("(; imports ;)", parts.imports, 1)
        .replacen("(; guest ;)", &whole, 1)
}
