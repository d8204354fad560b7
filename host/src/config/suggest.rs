//! Which known name somebody may have meant by an unknown one.
//!
//! Names of settings are long, so more may be wrong in them than in the members of a JSON document.

use crate::json::edits;

/// Longest name that is compared; the work grows with the square.
const LENGTH_MAX: usize = 128;

/// The known name with the fewest edits, if it is close enough to be what was meant.
pub fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if unknown.len() > LENGTH_MAX {
        return None;
    }
    let far = (unknown.chars().count() / 3).max(1);
    let measured = known.into_iter().map(|name| (edits(unknown, name), name));
    measured
        .min_by_key(|(edits, _)| *edits)
        .filter(|(edits, _)| *edits <= far)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_if_it_is_near() {
        let known = ["server.listen", "server.body_timeout", "store.retention"];
        assert_eq!(nearest("server.lisen", known), Some("server.listen"));
        assert_eq!(nearest("store.retension", known), Some("store.retention"));
        assert_eq!(nearest("zebra", known), None);
        assert_eq!(nearest(&"x".repeat(1_000), known), None);
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
    }
}
