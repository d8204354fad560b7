//! The steps of a JSON Pointer (RFC 6901).

/// Most steps of a pointer. Services keep what names an event, or signs it, within five.
pub const STEPS_MAX: usize = 16;

/// The names that a pointer leads along, none for the whole text; nothing where it is no pointer, or one
/// with more than [`STEPS_MAX`] steps.
pub fn steps(pointer: &str) -> Option<Vec<String>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    let steps = pointer.strip_prefix('/')?.split('/');
    let steps: Vec<String> = steps.take(STEPS_MAX + 1).map(decoded).collect::<Option<_>>()?;
    (steps.len() <= STEPS_MAX).then_some(steps)
}

fn decoded(step: &str) -> Option<String> {
    let bad = step.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1']));
    // In this order: `~01` is `~1`.
    (!bad).then(|| step.replace("~1", "/").replace("~0", "~"))
}

/// The place in an array that a step means: digits without leading zeros (section 4).
pub fn index(step: &str) -> Option<usize> {
    let digits = step.bytes().all(|b| b.is_ascii_digit());
    let canonical = digits && (step == "0" || !step.starts_with('0'));
    step.parse().ok().filter(|_| canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_taken_apart() {
        let steps = |text: &str| super::steps(text).map(|steps| steps.join("|"));
        for (pointer, expected) in [
            ("", ""),
            ("/", ""),
            ("/a", "a"),
            ("/a/b~1c/~0", "a|b/c|~"),
            ("/~01", "~1"),
            ("/a//0", "a||0"),
        ] {
            assert_eq!(steps(pointer).as_deref(), Some(expected), "{pointer}");
        }
        for pointer in ["a", "a/b", "/~", "/~2", "/a~", &"/a".repeat(STEPS_MAX + 1)] {
            assert_eq!(steps(pointer), None, "{pointer}");
        }
        assert_eq!(super::steps(""), Some(Vec::new()));
        assert_eq!(super::steps("/").unwrap().len(), 1);
        assert!(super::steps(&"/a".repeat(STEPS_MAX)).is_some());
    }

    #[test]
    fn places_have_one_way_to_be_written() {
        for (step, expected) in [("0", Some(0)), ("7", Some(7)), ("10", Some(10))] {
            assert_eq!(index(step), expected, "{step}");
        }
        for step in ["", "00", "01", "-", "-1", "+1", "1a", "99999999999999999999999"] {
            assert_eq!(index(step), None, "{step}");
        }
    }
}
