//! Two texts as lines that say what differs: `-` was expected or is of the one, `+` came or is of the
//! other.

use std::time::Duration;

use similar::{ChangeTag, TextDiff};

use crate::cli::output::{Output, Tone, clean};

/// Lines around a difference that did not change.
const CONTEXT: usize = 3;
/// So long the shortest difference is looked for; then a longer one does. Two large texts with nothing in
/// common would take the square of their lines.
const SEARCH_MAX: Duration = Duration::from_secs(1);

/// The lines that differ, with some around them; none where nothing does.
pub(in crate::cli) fn lines(output: &Output, old: &str, new: &str) -> Vec<String> {
    let diff = TextDiff::configure().timeout(SEARCH_MAX).diff_lines(old, new);
    let mut lines = Vec::new();
    for (place, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if place > 0 {
            lines.push(output.tone(Tone::Faint, "  …"));
        }
        for change in group.iter().flat_map(|operation| diff.iter_changes(operation)) {
            let (sign, tone) = match change.tag() {
                ChangeTag::Delete => ('-', Tone::Bad),
                ChangeTag::Insert => ('+', Tone::Good),
                ChangeTag::Equal => (' ', Tone::Plain),
            };
            let text = clean(change.value().trim_end_matches('\n'));
            lines.push(output.tone(tone, &format!("{sign} {text}")));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ColourWhen;

    #[test]
    fn what_differs_is_shown_with_what_is_around_it() {
        let output = Output::new(false, ColourWhen::Never, true);
        assert!(lines(&output, "a\nb\n", "a\nb\n").is_empty());
        assert_eq!(
            lines(&output, "{\n  \"a\": 1\n}\n", "{\n  \"a\": \u{1b}\n}\n"),
            ["  {", "-   \"a\": 1", "+   \"a\": \\u{1b}", "  }"]
        );
        let long = |middle: &str| format!("1\n2\n3\n4\n{middle}\n6\n7\n8\n9\n");
        assert_eq!(lines(&output, &long("5"), &long("x")).len(), 8);
    }
}
