//! Components that are nearly right: the whole ones of the tests with bytes changed, cut, doubled and moved.

use proptest::prelude::*;
use proptest::sample::Index;

use super::{bytes, check, wrap};
use crate::plugin::PluginLimits;

/// Components with what guests have: a body, a loop, memory, the usual imports.
fn components() -> Vec<Vec<u8>> {
    [
        include_str!("../../../../tests/guests/echo.wat"),
        include_str!("../../../../tests/guests/counter.wat"),
        include_str!("../../../../tests/guests/emits.wat"),
        "",
    ]
    .map(|guest| bytes(&wrap::component(guest)).to_vec())
    .to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_changed_component_is_checked_without_a_panic(
        which: Index,
        changes in prop::collection::vec((any::<Index>(), any::<Index>(), any::<u8>(), 0..4_u8), 1..6),
    ) {
        // Where the sections and their sizes are, most changes matter.
        let mut component = which.get(&COMPONENTS).clone();
        for (one, other, byte, kind) in changes {
            let (one, other) = (one.index(component.len()), other.index(component.len()));
            let (from, to) = (one.min(other), one.max(other));
            match kind {
                0 => component[one] = byte,
                1 => drop(component.drain(from..to.min(from + 64))),
                2 => {
                    let piece = component[from..to.min(from + 256)].to_vec();
                    component.splice(other..other, piece);
                }
                _ => component[one] = component[one].wrapping_add(1),
            }
        }
        let _any = check::check(&component, &PluginLimits::default());
    }
}

/// Made once: the text is long.
static COMPONENTS: std::sync::LazyLock<Vec<Vec<u8>>> = std::sync::LazyLock::new(components);

#[test]
fn unchanged_they_pass() {
    for component in COMPONENTS.iter() {
        let checked = check::check(component, &PluginLimits::default());
        assert!(checked.is_ok(), "{checked:?}");
    }
}
