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
    let mut whole = guest.to_owned();
    for (function, usual) in USUAL {
        if !guest.contains(function) {
            whole.push_str(usual);
        }
    }
    COMPONENT
        .replacen("(; outside ;)", outside, 1)
        .replacen("(; guest ;)", &whole, 1)
}

/// A component with these core functions.
pub(crate) fn component(guest: &str) -> String {
    component_with("", guest)
}
