//! Pages as HTML, for people who follow the `type` of a problem in a browser.
//!
//! The pages of `docs/problems` are Markdown, and use very little of it on purpose: headings of two
//! levels, paragraphs, lists of one level, fenced code, code in a line, and links from one page to another.
//! This is all that is rendered; everything else stays the text it is. Every character of a page goes
//! through [`escape`], and a link leads nowhere but to another page, so that no text, whoever wrote it,
//! becomes markup.

use std::fmt::Write as _;
use std::sync::LazyLock;

use data_encoding::BASE64;

use super::PAGES;
use crate::digest::Digest;

/// The style of a page; the policy allows this one by its hash and no other.
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem;\
color:#1a1a1a;background:#fff}h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2rem}\
pre{padding:.75rem;overflow-x:auto;background:#f3f3f3}code{font:.9em ui-monospace,monospace}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}pre{background:#262626}a{color:#8ab4f8}}";

/// `Content-Security-Policy` of a page: its own style, and nothing else at all.
pub(super) static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = BASE64.encode(Digest::of(STYLE.as_bytes()).as_bytes());
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
});

/// A page as a whole HTML document.
pub(super) fn document(title: &str, page: &str) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{} · Hookway</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n",
        escape(title)
    );
    body(page, &mut html);
    // Writing to a string cannot fail, here and below.
    let _written = write!(
        html,
        "<hr>\n<p><a href=\"{PAGES}\">All problems</a></p>\n</body>\n</html>\n"
    );
    html
}

/// What the lines before belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    Paragraph,
    Item,
    Code,
}

impl Open {
    const fn end(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Paragraph => "</p>\n",
            Self::Item => "</li>\n</ul>\n",
            Self::Code => "</code></pre>\n",
        }
    }
}

fn body(page: &str, html: &mut String) {
    let mut open = Open::Nothing;
    // A code span may go over two lines, so text waits until its block ends.
    let mut text = String::new();
    for line in page.lines() {
        if open == Open::Code {
            if line.starts_with("```") {
                html.push_str(open.end());
                open = Open::Nothing;
            } else {
                html.extend([escape(line).as_str(), "\n"]);
            }
            continue;
        }
        let heading = line
            .strip_prefix("## ")
            .map(|title| ("h2", title))
            .or_else(|| line.strip_prefix("# ").map(|title| ("h1", title)));
        let item = line.strip_prefix("- ");
        let continues = heading.is_none() && item.is_none() && !line.is_empty() && !line.starts_with("```");
        if continues && open != Open::Nothing {
            text.extend([" ", line.trim_start()]);
            continue;
        }
        html.push_str(&inline(&std::mem::take(&mut text)));
        match (item, open) {
            (Some(_), Open::Item) => html.push_str("</li>\n<li>"),
            _ => {
                html.push_str(open.end());
                open = Open::Nothing;
            }
        }
        if let Some((tag, title)) = heading {
            let _written = writeln!(html, "<{tag}>{}</{tag}>", inline(title));
        } else if let Some(item) = item {
            if open == Open::Nothing {
                html.push_str("<ul>\n<li>");
                open = Open::Item;
            }
            item.clone_into(&mut text);
        } else if line.starts_with("```") {
            html.push_str("<pre><code>");
            open = Open::Code;
        } else if continues {
            html.push_str("<p>");
            open = Open::Paragraph;
            line.clone_into(&mut text);
        }
    }
    html.push_str(&inline(&text));
    html.push_str(open.end());
}

/// A line of text with code spans and links in it.
fn inline(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['`', '[']) {
        html.push_str(&escape(&rest[..at]));
        rest = &rest[at..];
        if let Some((code, after)) = rest.strip_prefix('`').and_then(|code| code.split_once('`')) {
            html.extend(["<code>", &escape(code), "</code>"]);
            rest = after;
        } else if let Some((label, path, after)) = link(rest) {
            html.extend(["<a href=\"", &path, "\">", &escape(label), "</a>"]);
            rest = after;
        } else {
            // A mark without its other half is text. Both marks are one byte.
            html.push_str(&escape(&rest[..1]));
            rest = &rest[1..];
        }
    }
    html.push_str(&escape(rest));
    html
}

/// A link to another page at the start of a text: its label, the path, and what follows.
fn link(text: &str) -> Option<(&str, String, &str)> {
    let (label, rest) = text.strip_prefix('[')?.split_once("](")?;
    let (target, after) = rest.split_once(')')?;
    let name = target.strip_suffix(".md")?;
    let slug = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    match name {
        "README" => Some((label, PAGES.to_owned(), after)),
        _ if slug && !name.is_empty() => Some((label, format!("{PAGES}/{name}"), after)),
        _ => None,
    }
}

/// Text as it may stand between tags and in quoted attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rendered(page: &str) -> String {
        let mut html = String::new();
        body(page, &mut html);
        html
    }

    #[test]
    fn the_subset_is_rendered() {
        let page = "# A `b` & c\n\nOne `x\ny` two\nthree.\n- i\n- j\n  k\n\n## D\n```json\n{\"a\": <1>}\n\n  z\n```\nend";
        assert_eq!(
            rendered(page),
            "<h1>A <code>b</code> &amp; c</h1>\n<p>One <code>x y</code> two three.</p>\n\
             <ul>\n<li>i</li>\n<li>j k</li>\n</ul>\n<h2>D</h2>\n\
             <pre><code>{&quot;a&quot;: &lt;1&gt;}\n\n  z\n</code></pre>\n<p>end</p>\n"
        );
    }

    #[test]
    fn links_lead_to_pages_only() {
        assert_eq!(
            inline("see [it](too-large.md), [all](README.md)"),
            "see <a href=\"/problems/too-large\">it</a>, <a href=\"/problems\">all</a>"
        );
        for text in [
            "[x](https://example.com)",
            "[x](javascript:alert.md)",
            "[x](../a.md)",
            "[x](.md)",
            "[x](a.md",
            "[x]",
        ] {
            assert_eq!(inline(text), text, "{text}");
        }
    }

    proptest! {
        /// Whatever the text: the only tags are those that rendering itself writes.
        #[test]
        fn no_text_becomes_markup(page in "([#`\\[\\]()\\-<>&\"' a-z./\n]|```|\\.md\\)|<script>){0,60}") {
            let mut html = rendered(&page);
            for tag in ["h1", "h2", "p", "ul", "li", "pre", "code", "a"] {
                let opened = html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
                prop_assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{} in {}", tag, html);
                html = html.replace(&format!("<{tag}>"), "").replace(&format!("</{tag}>"), "");
            }
            for part in html.split('<').skip(1) {
                let path = part.strip_prefix("a href=\"/problems").and_then(|rest| rest.split_once("\">"));
                prop_assert!(path.is_some_and(|(path, _)| path.bytes().all(|b| b.is_ascii_lowercase() || b"-/".contains(&b))));
            }
            prop_assert!(!html.contains("javascript:"));
        }
    }
}
