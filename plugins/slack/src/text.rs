//! Text as Slack reads it.
//!
//! Slack decodes three entities, for `&`, `<` and `>`, and nothing else; an unescaped `<!channel>`
//! from somebody's event would wake everybody. So whatever comes from an event is escaped exactly
//! once, when it leaves the event, and every other function here works on escaped text.

/// What stands where something was left out.
const MARK: char = '…';

/// Escapes what Slack would read as more than text.
pub(crate) fn escape(raw: &str) -> String {
    let mut escaped = String::with_capacity(raw.len());
    for character in raw.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Shortens escaped text to so many characters, the mark among them. An entity or a link is left
/// out whole rather than cut in two.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    if text.chars().nth(limit).is_none() {
        return text.to_owned();
    }
    let end = text
        .char_indices()
        .nth(limit.saturating_sub(1))
        .map_or(0, |(index, _)| index);
    let mut kept = text.get(..end).unwrap_or_default();
    for (open, close) in [('<', '>'), ('&', ';')] {
        if let Some(start) = kept.rfind(open)
            && !kept.get(start..).unwrap_or_default().contains(close)
        {
            kept = kept.get(..start).unwrap_or_default();
        }
    }
    let mut shortened = kept.trim_end().to_owned();
    shortened.push(MARK);
    // A code block that was open stays open only within this text.
    if shortened.matches("```").count() % 2 == 1 {
        let room = limit.saturating_sub(4);
        let shorter: String = shortened.chars().take(room).collect();
        shortened = format!("{}{MARK}```", shorter.trim_end_matches([MARK, '`']));
    }
    shortened
}

/// One line: what a title must be.
pub(crate) fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A code block. The text cannot end it.
pub(crate) fn code(escaped: &str) -> String {
    format!("```{}```", escaped.replace("```", "'''"))
}

/// A link, where the address is one that a browser opens.
pub(crate) fn link(url: &str, label: &str) -> Option<String> {
    let url = url.trim();
    let known = url.starts_with("https://") || url.starts_with("http://");
    if !known || url.contains(char::is_whitespace) {
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
            assert!(cut.chars().count() <= limit, "{cut}");
        }
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
