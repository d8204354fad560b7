//! Text as Slack reads it.
//!
//! Slack decodes three entities, for `&`, `<` and `>`, and nothing else; an unescaped `<!channel>`
//! from somebody's event would wake everybody. So whatever comes from an event is escaped exactly
//! once, when it leaves the event, and every other function here works on escaped text.

use std::borrow::Cow;

/// What stands where something was left out.
const MARK: char = '…';

/// Escapes what Slack would read as more than text.
pub(crate) fn escape(raw: &str) -> Cow<'_, str> {
    if !is_special(raw.as_bytes()) {
        return Cow::Borrowed(raw);
    }
    let mut escaped = String::with_capacity(raw.len() + 16);
    for character in raw.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

/// Whether one of the three is among the bytes. Most texts have none, so eight are looked at at once.
fn is_special(bytes: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    let (words, rest) = bytes.as_chunks::<8>();
    let special = words.iter().any(|word| {
        let word = u64::from_le_bytes(*word);
        // A byte that is the one looked for becomes zero, and this is zero exactly where no byte is.
        let zeros = |byte: u8| {
            let without = word ^ (ONES * u64::from(byte));
            without.wrapping_sub(ONES) & !without & HIGHS
        };
        (zeros(b'&') | zeros(b'<') | zeros(b'>')) != 0
    });
    special || rest.iter().any(|byte| matches!(byte, b'&' | b'<' | b'>'))
}

/// Where the character with this number begins; none where the text has not so many.
fn place(text: &str, number: usize) -> Option<usize> {
    match text.as_bytes().get(..=number) {
        None => None,
        // Among these, characters are bytes.
        Some(bytes) if bytes.is_ascii() => Some(number),
        Some(_) => text.char_indices().nth(number).map(|(place, _)| place),
    }
}

/// The first characters of a text, so many at the most.
pub(crate) fn start(text: &str, characters: usize) -> &str {
    place(text, characters).map_or(text, |end| &text[..end])
}

/// Escapes a text and shortens it as [`cut`] does.
pub(crate) fn escape_cut(raw: &str, limit: usize) -> Cow<'_, str> {
    // One more than is shown: where there is more, it has to be seen.
    match escape(start(raw, limit + 1)) {
        Cow::Borrowed(text) => cut(text, limit),
        Cow::Owned(text) => Cow::Owned(cut(&text, limit).into_owned()),
    }
}

/// Shortens escaped text to so many characters, the mark among them. An entity or a link is left
/// out whole rather than cut in two.
pub(crate) fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    if place(text, limit).is_none() {
        return Cow::Borrowed(text);
    }
    let mut kept = start(text, limit.saturating_sub(1));
    for (open, close) in [('<', '>'), ('&', ';')] {
        if let Some(start) = kept.rfind(open)
            && !kept.get(start..).unwrap_or_default().contains(close)
        {
            kept = kept.get(..start).unwrap_or_default();
        }
    }
    let kept = kept.trim_end();
    let mut shortened = String::with_capacity(kept.len() + MARK.len_utf8());
    shortened.push_str(kept);
    shortened.push(MARK);
    // A code block that was open stays open only within this text.
    if shortened.contains('`') && shortened.matches("```").count() % 2 == 1 {
        let room = limit.saturating_sub(4);
        let shorter = start(&shortened, room);
        shortened = format!("{}{MARK}```", shorter.trim_end_matches([MARK, '`']));
    }
    Cow::Owned(shortened)
}

/// One line: what a title must be.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    // Most texts are one line already. In what is not ASCII there may be space of other kinds.
    let mut last = b' ';
    let is_line = text.bytes().all(|byte| {
        let fits = byte.is_ascii_graphic() || (byte == b' ' && last != b' ');
        last = byte;
        fits
    });
    if text.is_empty() || (is_line && last != b' ') {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A code block. The text cannot end it.
pub(crate) fn code(escaped: &str) -> String {
    format!("```{}```", escaped.replace("```", "'''"))
}

/// Whether a browser opens the address.
pub(crate) fn is_address(url: &str) -> bool {
    let known = url.starts_with("https://") || url.starts_with("http://");
    known && !url.contains(char::is_whitespace)
}

/// A link, where the address is one that a browser opens.
pub(crate) fn link(url: &str, label: &str) -> Option<String> {
    let url = url.trim();
    if !is_address(url) {
        return None;
    }
    // The parts of a link are told apart by `|` and `>`.
    let url = escape(url).replace('|', "%7C");
    Some(format!("<{url}|{}>", line(label).replace('|', "¦")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_characters_are_escaped() {
        for (raw, escaped) in [
            ("<!channel> & <@U1>", "&lt;!channel&gt; &amp; &lt;@U1&gt;"),
            ("&amp;", "&amp;amp;"),
            ("\"it's\" *bold* ✓", "\"it's\" *bold* ✓"),
        ] {
            assert_eq!(escape(raw), escaped);
        }
        // Whichever byte it is, wherever it stands, whatever stands beside it.
        for byte in 0..=u8::MAX {
            for place in 0..20 {
                for beside in [0, b'\'', b'=', 0x7f, 0xff] {
                    let mut bytes = [beside; 20];
                    bytes[place] = byte;
                    assert_eq!(is_special(&bytes), b"&<>".contains(&byte), "{byte} at {place}");
                }
            }
        }
    }

    #[test]
    fn cutting_counts_characters_and_keeps_entities_and_links_whole() {
        for (text, limit, expected) in [
            ("ünïcödé", 7, "ünïcödé"),
            ("ünïcödé", 6, "ünïcö…"),
            ("ab&amp;cd", 6, "ab…"),
            ("ab&amp;cd", 8, "ab&amp;…"),
            ("see <https://a.b|this> now", 20, "see…"),
            ("see <https://a.b|this> now", 24, "see <https://a.b|this>…"),
            ("```0123456789```", 12, "```01234…```"),
            ("", 5, ""),
        ] {
            let cut = cut(text, limit);
            assert_eq!(cut, expected);
            assert_eq!(
                escape_cut(&text.replace("&amp;", "&"), limit),
                super::cut(&escape(&text.replace("&amp;", "&")), limit)
            );
            assert!(cut.chars().count() <= limit, "{cut}");
        }
    }

    #[test]
    fn a_line_has_single_spaces_only() {
        for (text, expected) in [
            ("", ""),
            (" ", ""),
            ("one line", "one line"),
            (" a", "a"),
            ("a ", "a"),
            ("a  b\tc\r\nd", "a b c d"),
            ("ü\u{a0}\u{2003}b", "ü b"),
        ] {
            assert_eq!(line(text), expected);
        }
        assert!(matches!(line("one line"), Cow::Borrowed(_)));
    }

    #[test]
    fn links_go_to_browsers_only() {
        assert_eq!(
            link("https://a.b/?x=1&y=<2>", "Open"),
            Some("<https://a.b/?x=1&amp;y=&lt;2&gt;|Open>".to_owned())
        );
        assert_eq!(
            link("https://a.b/x|<!channel>", "a|b"),
            Some("<https://a.b/x%7C&lt;!channel&gt;|a¦b>".to_owned())
        );
        for url in ["javascript:alert(1)", "!channel", "", "https://a b"] {
            assert_eq!(link(url, "Open"), None, "{url}");
        }
    }

    #[test]
    fn code_cannot_be_left() {
        assert_eq!(code("a```b"), "```a'''b```");
    }
}
