//! The two small languages inside a scheme: what is signed (`{ts}.{body}`), and how the signature
//! stands in its header (`t={ts},v1={sig}`).

use std::fmt;

use http::HeaderName;

use super::pointer::Pointer;
use super::scheme::SchemeFault;

/// Longest template, in bytes. The longest in use has a few dozen.
const TEMPLATE_BYTES_MAX: usize = 256;

/// One part of what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum InputPiece {
    /// Text as it stands.
    Text(String),
    /// The raw body.
    Body,
    /// The text of the time stamp.
    Timestamp,
    /// The text of the id.
    Id,
    /// The full public URL.
    Url,
    /// The parameters of a form body, sorted by name, each name directly followed by its value; nothing
    /// where the body is no form.
    FormSorted,
    /// The string or number at this place in the JSON body, as its text.
    Json(Pointer),
    /// The value of a header.
    Header(HeaderName),
    /// The CRC-32 of the body, in decimal digits.
    Crc32,
    /// The text of the secret, where that is no key.
    Secret,
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Input(pub(super) Vec<InputPiece>);

/// What a field of the signature header holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldValue {
    /// The encoded signature.
    Signature,
    /// The text of the time stamp.
    Timestamp,
}

/// One field of the signature header: fixed text and a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) prefix: String,
    pub(super) value: FieldValue,
}

/// How the signature stands in its header: one field, or two joined by a delimiter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) fields: Vec<Field>,
    /// What stands between fields, where there are several.
    pub(super) delimiter: Option<char>,
}

impl Input {
    pub(super) fn parse(text: &str) -> Result<Self, SchemeFault> {
        let pieces = split(text)?.into_iter().map(|piece| match piece {
            Piece::Text(text) => Ok(InputPiece::Text(text.to_owned())),
            Piece::Atom("body") => Ok(InputPiece::Body),
            Piece::Atom("ts") => Ok(InputPiece::Timestamp),
            Piece::Atom("id") => Ok(InputPiece::Id),
            Piece::Atom("url") => Ok(InputPiece::Url),
            Piece::Atom("form_sorted") => Ok(InputPiece::FormSorted),
            Piece::Atom("crc32") => Ok(InputPiece::Crc32),
            Piece::Atom("secret") => Ok(InputPiece::Secret),
            Piece::Atom(atom) => with_argument(atom),
        });
        Ok(Self(pieces.collect::<Result<_, _>>()?))
    }

    pub(super) fn has(&self, wanted: &InputPiece) -> bool {
        self.0.contains(wanted)
    }

    /// Whether every byte of every body goes into what is signed. (CRC-32 is no protection by itself;
    /// PayPal signs it, and nothing better is to be had.)
    pub(super) fn covers_every_body(&self) -> bool {
        self.has(&InputPiece::Body) || self.has(&InputPiece::Crc32)
    }
}

/// `json:/pointer` and `header:name`.
fn with_argument(atom: &str) -> Result<InputPiece, SchemeFault> {
    let piece = match atom.split_once(':') {
        Some(("json", pointer)) => Pointer::parse(pointer).map(InputPiece::Json),
        Some(("header", name)) => HeaderName::from_bytes(name.as_bytes())
            .ok()
            .map(InputPiece::Header),
        _ => None,
    };
    piece.ok_or_else(|| SchemeFault::Atom {
        atom: atom.to_owned(),
        known: "{body}, {ts}, {id}, {url}, {form_sorted}, {json:/pointer}, {header:name}, {crc32} and {secret}",
    })
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            InputPiece::Text(text) => f.write_str(text),
            InputPiece::Body => f.write_str("{body}"),
            InputPiece::Timestamp => f.write_str("{ts}"),
            InputPiece::Id => f.write_str("{id}"),
            InputPiece::Url => f.write_str("{url}"),
            InputPiece::FormSorted => f.write_str("{form_sorted}"),
            InputPiece::Json(pointer) => write!(f, "{{json:{pointer}}}"),
            InputPiece::Header(name) => write!(f, "{{header:{name}}}"),
            InputPiece::Crc32 => f.write_str("{crc32}"),
            InputPiece::Secret => f.write_str("{secret}"),
        })
    }
}

impl Format {
    /// Reads `v1,{sig}` or `t={ts},v1={sig}`: the delimiter is the first character after a value.
    pub(super) fn parse(text: &str) -> Result<Self, SchemeFault> {
        let mut fields: Vec<Field> = Vec::new();
        let mut delimiter = None;
        let mut prefix = String::new();
        let mut ends_in_text = false;
        for piece in split(text)? {
            ends_in_text = matches!(piece, Piece::Text(_));
            match piece {
                Piece::Text(text) if fields.is_empty() => prefix.push_str(text),
                Piece::Text(text) => {
                    let mut chars = text.chars();
                    let first = chars.next();
                    if delimiter.is_some_and(|delimiter| Some(delimiter) != first) {
                        return Err(SchemeFault::Format("the same delimiter between all fields"));
                    }
                    delimiter = first;
                    prefix.push_str(chars.as_str());
                }
                Piece::Atom(atom) => {
                    let value = match atom {
                        "sig" => FieldValue::Signature,
                        "ts" => FieldValue::Timestamp,
                        atom => {
                            return Err(SchemeFault::Atom {
                                atom: atom.to_owned(),
                                known: "{sig} and {ts}",
                            });
                        }
                    };
                    if fields.len() == 1 && delimiter.is_none() {
                        return Err(SchemeFault::Format("a delimiter between {ts} and {sig}"));
                    }
                    fields.push(Field {
                        prefix: std::mem::take(&mut prefix),
                        value,
                    });
                }
            }
        }
        if ends_in_text {
            return Err(SchemeFault::Format("nothing after the last value"));
        }
        let count = |value| fields.iter().filter(|field| field.value == value).count();
        if count(FieldValue::Signature) != 1 || count(FieldValue::Timestamp) > 1 {
            return Err(SchemeFault::Format("{sig} once and {ts} at most once"));
        }
        // Fields are told apart by their prefixes.
        if fields.len() == 2 && (fields[0].prefix.is_empty() || fields[1].prefix.is_empty()) {
            return Err(SchemeFault::Format(
                "a name before each value, as in `t={ts},v1={sig}`",
            ));
        }
        Ok(Self { fields, delimiter })
    }

    pub(super) fn has_timestamp(&self) -> bool {
        self.fields
            .iter()
            .any(|field| field.value == FieldValue::Timestamp)
    }

    /// The text before a signature.
    pub(super) fn signature_prefix(&self) -> &str {
        let field = self
            .fields
            .iter()
            .find(|field| field.value == FieldValue::Signature);
        field.map_or("", |field| &field.prefix)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, field) in self.fields.iter().enumerate() {
            if let (Some(delimiter), true) = (self.delimiter, place > 0) {
                write!(f, "{delimiter}")?;
            }
            let atom = match field.value {
                FieldValue::Signature => "{sig}",
                FieldValue::Timestamp => "{ts}",
            };
            write!(f, "{}{atom}", field.prefix)?;
        }
        Ok(())
    }
}

enum Piece<'a> {
    Text(&'a str),
    Atom(&'a str),
}

/// Cuts `v0:{ts}` into text and atoms. Templates are printable ASCII: they end up in headers.
fn split(text: &str) -> Result<Vec<Piece<'_>>, SchemeFault> {
    if text.is_empty() || text.len() > TEMPLATE_BYTES_MAX || !text.bytes().all(|b| (b' '..=b'~').contains(&b))
    {
        return Err(SchemeFault::Template);
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, after) = (&rest[..open], &rest[open + 1..]);
        let close = after.find('}').ok_or(SchemeFault::Brace)?;
        if before.contains('}') {
            return Err(SchemeFault::Brace);
        }
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        pieces.push(Piece::Atom(&after[..close]));
        rest = &after[close + 1..];
    }
    if rest.contains('}') {
        return Err(SchemeFault::Brace);
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_read_and_write_the_same_text() {
        for text in [
            "{body}",
            "{ts}.{body}",
            "v0:{ts}:{body}",
            "{url}{form_sorted}",
            "{id}.{ts}.{body}",
            "{ts}{json:/signature/token}",
            "{header:x-request-id}:{body}",
            "{id}|{ts}|{secret}|{crc32}",
        ] {
            assert_eq!(Input::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "{sig}",
            "sha256={sig}",
            "v1,{sig}",
            "t={ts},v1={sig}",
            "ts={ts};h1={sig}",
            "s={sig} t={ts}",
        ] {
            assert_eq!(Format::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "{",
            "}",
            "{body",
            "body}",
            "{}{body}",
            "{sig}{body}",
            "{json:}",
            "{json:a}",
            "{header:}",
            "{header:no header}",
            "{crc32:x}",
            "é{body}",
            "{body}\n",
        ] {
            assert!(Input::parse(text).is_err(), "{text}");
        }
        for text in [
            "",
            "sig",
            "{sig}{sig}",
            "{ts}{sig}",
            "{ts},{sig}",
            "{sig}x",
            "t={ts},v1={sig},",
            "{body}",
            "a={sig},b={sig}",
            "t={ts}",
            "t={ts},u={ts};v1={sig}",
        ] {
            assert!(Format::parse(text).is_err(), "{text}");
        }
    }
}
