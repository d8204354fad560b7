//! Templates: fixed text with [atoms](super::atom) in it, for the fields of an envelope and for headers.

use std::fmt::{self, Write as _};

use super::about::Facts;
use super::atom::{Atom, known};

/// Longest template, in bytes.
const TEMPLATE_BYTES_MAX: usize = 1_024;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Atom(Atom),
}

/// Fixed text with atoms in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

/// Where the text of a template goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Into a header, which may differ from one attempt to the next.
    Header,
    /// Into the body, which is the same in every attempt.
    Body,
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateFault {
    /// Too long, or not printable.
    #[error("must be at most {TEMPLATE_BYTES_MAX} printable ASCII characters")]
    Text,
    /// A brace without its other half.
    #[error("has a brace without its other half")]
    Brace,
    /// An unknown atom.
    #[error("`{{{atom}}}` is unknown; known are {}", known())]
    Unknown {
        /// What was written.
        atom: String,
    },
    /// An atom that would change the body from one attempt to the next.
    #[error("`{atom}` may only stand in a header: a body is the same in every attempt")]
    OfTheAttempt {
        /// What was written.
        atom: String,
    },
}

impl Template {
    /// Reads a template. Braces cannot be had as text; no header in use needs them.
    pub(super) fn parse(text: &str, place: Place) -> Result<Self, TemplateFault> {
        if text.len() > TEMPLATE_BYTES_MAX || !text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            return Err(TemplateFault::Text);
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let (before, after) = (&rest[..open], &rest[open + 1..]);
            let close = after.find('}').filter(|_| rest[open..].starts_with('{'));
            let close = close.ok_or(TemplateFault::Brace)?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let name = &after[..close];
            let Some(atom) = Atom::parse(name) else {
                return Err(TemplateFault::Unknown {
                    atom: name.to_owned(),
                });
            };
            if place == Place::Body && atom.is_of_the_attempt() {
                return Err(TemplateFault::OfTheAttempt {
                    atom: atom.to_string(),
                });
            }
            pieces.push(Piece::Atom(atom));
            rest = &after[close + 1..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    /// Whether its text is always a number in JSON.
    pub(super) fn is_number(&self) -> bool {
        matches!(&self.0[..], [Piece::Atom(atom)] if atom.is_number())
    }

    /// The text for a delivery; none where the event lacks an attribute that is in it.
    pub(super) fn text(&self, facts: &Facts<'_>) -> Option<String> {
        self.filled(facts, |value, text| text.push_str(value))
    }

    /// The same as the value of a header: what an attribute cannot say in printable ASCII is
    /// percent-encoded, as in the HTTP binding of CloudEvents (3.1.3.2).
    pub(super) fn header_value(&self, facts: &Facts<'_>) -> Option<String> {
        self.filled(facts, percent_encode)
    }

    fn filled(&self, facts: &Facts<'_>, push: impl Fn(&str, &mut String)) -> Option<String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(fixed) => text.push_str(fixed),
                Piece::Atom(atom) => push(&atom.of(facts)?, &mut text),
            }
        }
        Some(text)
    }
}

/// Writes an attribute as it may stand in a header (HTTP binding of CloudEvents, 3.1.3.2).
pub(super) fn percent_encode(value: &str, text: &mut String) {
    for byte in value.bytes() {
        match byte {
            b'!'..=b'~' if !matches!(byte, b'"' | b'%') => text.push(char::from(byte)),
            _ => {
                // Writing to a string cannot fail.
                let _written = write!(text, "%{byte:02X}");
            }
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Atom(atom) => write!(f, "{atom}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_read_and_write_the_same_text() {
        for text in [
            "",
            "x",
            "{type}",
            "a {id}/{event_id} b",
            "{time}{source}{subject}",
            "{source_uri} {datacontenttype}",
            "{time:unix}.{delivery_id:uuid} v{version}",
            "{ext.traceparent}",
        ] {
            assert_eq!(Template::parse(text, Place::Body).unwrap().to_string(), text);
        }
        for text in [
            "{",
            "}",
            "{type",
            "type}",
            "}{type}{",
            "{{type}}",
            "{}",
            "é",
            "a\tb",
            "{ext.}",
            "{time:iso}",
        ] {
            assert!(Template::parse(text, Place::Header).is_err(), "{text}");
        }
    }

    /// IB-12.
    #[test]
    fn the_time_of_an_attempt_is_for_headers_only() {
        for text in ["{attempt:unix}", "t={attempt:unix-ms}"] {
            assert_eq!(Template::parse(text, Place::Header).unwrap().to_string(), text);
            let fault = Template::parse(text, Place::Body).unwrap_err();
            assert!(fault.to_string().contains("only stand in a header"), "{fault}");
        }
    }

    #[test]
    fn numbers_are_known_before_they_are_written() {
        for (text, number) in [
            ("{time:unix}", true),
            ("{time:unix-ms}", true),
            ("{version}", true),
            ("{time}", false),
            ("1{version}", false),
            ("{version}{version}", false),
            ("{ext.n}", false),
            ("", false),
        ] {
            assert_eq!(
                Template::parse(text, Place::Body).unwrap().is_number(),
                number,
                "{text}"
            );
        }
    }
}
