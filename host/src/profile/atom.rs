//! Atoms: the names by which a profile speaks of an event's attributes, as in `{type}`.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use super::uri;
use crate::event::Event;

/// Longest template, in bytes.
const TEMPLATE_BYTES_MAX: usize = 1_024;

/// One attribute of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Atom {
    /// The CloudEvents id: the producer's, or Hookway's where it gave none.
    Id,
    /// The id that Hookway gave.
    EventId,
    Type,
    Time,
    Source,
    /// The source as a URI reference, as CloudEvents wants it.
    SourceUri,
    Subject,
    /// The media type of the data.
    ContentType,
}

const ATOMS: [(&str, Atom); 8] = [
    ("id", Atom::Id),
    ("event_id", Atom::EventId),
    ("type", Atom::Type),
    ("time", Atom::Time),
    ("source", Atom::Source),
    ("source_uri", Atom::SourceUri),
    ("subject", Atom::Subject),
    ("datacontenttype", Atom::ContentType),
];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Atom(Atom),
}

/// Fixed text with atoms in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AtomFault {
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
}

/// Every atom, as it is written.
fn known() -> String {
    let names: Vec<String> = ATOMS.iter().map(|(name, _)| format!("{{{name}}}")).collect();
    names.join(", ")
}

impl Template {
    /// Reads a template. Braces cannot be had as text; no header in use needs them.
    pub fn parse(text: &str) -> Result<Self, AtomFault> {
        if text.len() > TEMPLATE_BYTES_MAX || !text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            return Err(AtomFault::Text);
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let (before, after) = (&rest[..open], &rest[open + 1..]);
            let close = after.find('}').filter(|_| rest[open..].starts_with('{'));
            let close = close.ok_or(AtomFault::Brace)?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let name = &after[..close];
            match ATOMS.iter().find(|(known, _)| *known == name) {
                Some((_, atom)) => pieces.push(Piece::Atom(*atom)),
                None => {
                    return Err(AtomFault::Unknown {
                        atom: name.to_owned(),
                    });
                }
            }
            rest = &after[close + 1..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    /// The text for an event whose data has this media type; none where an attribute in it is not there.
    pub fn text(&self, event: &Event, content_type: &str) -> Option<String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(fixed) => text.push_str(fixed),
                Piece::Atom(atom) => text.push_str(&atom.of(event, content_type)?),
            }
        }
        Some(text)
    }

    /// The same as the value of a header: what an attribute cannot say in printable ASCII is
    /// percent-encoded, as in the HTTP binding of CloudEvents (3.1.3.2).
    pub fn header_value(&self, event: &Event) -> Option<String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(fixed) => text.push_str(fixed),
                Piece::Atom(atom) => percent_encode(&atom.of(event, &event.content_type)?, &mut text),
            }
        }
        Some(text)
    }
}

impl Atom {
    fn of<'e>(self, event: &'e Event, content_type: &'e str) -> Option<Cow<'e, str>> {
        match self {
            Self::Id => Some(event.cloudevents_id().into()),
            Self::EventId => Some(event.id.to_string().into()),
            Self::Type => Some(event.event_type.as_str().into()),
            Self::Time => Some(event.time.to_string().into()),
            Self::Source => Some(event.source.as_str().into()),
            Self::SourceUri => Some(uri::reference(&event.source)),
            Self::Subject => event.subject.as_deref().map(Cow::Borrowed),
            Self::ContentType => Some(content_type.into()),
        }
    }
}

/// Writes an attribute as it may stand in a header (HTTP binding of CloudEvents, 3.1.3.2).
pub(super) fn percent_encode(value: &str, text: &mut String) {
    for byte in value.bytes() {
        match byte {
            b'"' | b'%' => {
                // Writing to a string cannot fail, here and below.
                let _written = write!(text, "%{byte:02X}");
            }
            b'!'..=b'~' => text.push(char::from(byte)),
            _ => {
                let _written = write!(text, "%{byte:02X}");
            }
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Atom(atom) => {
                let name = ATOMS
                    .iter()
                    .find(|(_, known)| known == atom)
                    .map_or("", |(name, _)| name);
                write!(f, "{{{name}}}")
            }
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
        ] {
            assert_eq!(Template::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "{", "}", "{type", "type}", "}{type}{", "{{type}}", "{}", "é", "a\tb",
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
