//! The envelope: what is put around the data, and the splicing.
//!
//! An envelope is a JSON object with fields in a fixed order (`written` says how a profile writes it), some
//! of them objects themselves. One field is the data; the others are texts, numbers and fixed values, and
//! one may stand for all extension attributes. JSON data is spliced in as it came, byte for byte. Data that
//! is not JSON cannot stand inside a JSON document: its field is named with `_base64` after it, and holds
//! the bytes in base64 (as `data_base64` does in the JSON format of CloudEvents).

mod written;

pub(super) use written::EXTENSIONS;

use bytes::Bytes;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::about::Facts;
use super::body::{Body, Rendered};
use super::template::Template;
use crate::event::is_json;
use crate::json;

/// Most fields of one envelope, those of objects in it among them.
pub const FIELDS_MAX: usize = 32;
/// Deepest nesting of objects in an envelope. Stripe's, the deepest in wide use, has two levels.
pub const ENVELOPE_DEPTH_MAX: usize = 8;
/// What the name of the data's field ends with where the data is not JSON.
pub(super) const BASE64_SUFFIX: &str = "_base64";
/// The name of a data field whose members are to be fields, in a form.
pub(super) const SPREAD: &str = "*";

/// What is put around the data.
#[derive(Clone, Debug, PartialEq)]
pub enum Envelope {
    /// Nothing: the data is the body.
    None,
    /// A JSON object.
    Object {
        /// Its fields, in order.
        fields: Vec<Field>,
        /// The media type of the whole.
        content_type: String,
        /// What stands around the object.
        shape: Shape,
    },
}

/// What stands around the object of an envelope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Nothing.
    #[default]
    Object,
    /// An array that has this object as its only element, for receivers that take batches.
    Array,
}

/// One field of an envelope.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub value: FieldValue,
}

/// What a field of an envelope holds.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue {
    /// The data. In a form, its members where the field's name is `*`.
    Data,
    /// The extension attributes, a field for each. In the field's name, `*` stands for the attribute's. An
    /// attribute whose field is there already is left out.
    Extensions,
    /// A text. A field whose text needs an attribute that the event does not have is left out.
    Text(Template),
    /// A number, from an atom that is one.
    Number(Template),
    /// A value that is always the same.
    Literal(Literal),
    /// An object in the object.
    Object(Vec<Field>),
}

/// A value that is always the same.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// Any JSON, as it was written.
    Json(String),
}

impl Literal {
    /// It as JSON.
    pub(super) fn json(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => ryu_js::Buffer::new().format(*number).to_owned(),
            Self::Json(text) => {
                let bytes = Bytes::copy_from_slice(text.as_bytes());
                let compact = json::compact(&bytes).unwrap_or(bytes);
                String::from_utf8_lossy(&compact).into_owned()
            }
        }
    }
}

/// The data that an envelope is put around.
#[derive(Clone, Debug)]
pub(super) struct Data {
    pub(super) bytes: Bytes,
    /// Whether its media type says that it is JSON.
    pub(super) json: bool,
}

impl Data {
    pub(super) fn new(bytes: Bytes, content_type: &str) -> Self {
        let json = is_json(content_type);
        // Ingest checks that JSON is JSON; nothing at all is what an event without data has.
        let blank = json && is_blank(&bytes);
        let bytes = if blank { Bytes::from_static(b"null") } else { bytes };
        Self { bytes, json }
    }
}

/// Whether there is nothing but white space.
pub(super) fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_whitespace)
}

impl Envelope {
    /// The envelope around data of the media type that the facts name.
    pub(super) fn wrap(&self, facts: &Facts<'_>, data: Bytes) -> Rendered {
        let Self::Object {
            fields,
            content_type: whole,
            shape,
        } = self
        else {
            return Rendered {
                content_type: facts.content_type.to_owned(),
                body: Body::Whole(data),
            };
        };
        let (open, close) = match shape {
            Shape::Object => ("", ""),
            Shape::Array => ("[", "]"),
        };
        let mut pieces = Pieces::default();
        pieces.before.push_str(open);
        pieces.object(fields, facts, &Data::new(data, facts.content_type));
        pieces.next().push_str(close);
        Rendered {
            content_type: whole.clone(),
            body: Body::Spliced {
                before: pieces.before.into(),
                data: pieces.data.unwrap_or_default(),
                after: pieces.after.into(),
            },
        }
    }
}

/// One object of an envelope as JSON, for where it is no part of another.
pub(super) fn object_json(fields: &[Field], facts: &Facts<'_>, data: &Data) -> Vec<u8> {
    let mut pieces = Pieces::default();
    pieces.object(fields, facts, data);
    let data = pieces.data.unwrap_or_default();
    [pieces.before.as_bytes(), &data, pieces.after.as_bytes()].concat()
}

impl Field {
    /// Whether the field may be written under this name.
    pub(super) fn is_named(&self, name: &str) -> bool {
        let base64 = || name.strip_suffix(BASE64_SUFFIX) == Some(self.name.as_str());
        self.name == name || self.value == FieldValue::Data && base64()
    }

    /// The extension attributes under the names that this field gives them, but for those whose name is
    /// another field's.
    pub(super) fn extensions<'f>(
        &self,
        among: &[Self],
        facts: &'f Facts<'_>,
    ) -> impl Iterator<Item = (String, &'f str)> {
        let extensions = facts.about.event.extensions.iter();
        extensions
            .map(|(name, value)| (self.name.replace('*', name), value.as_str()))
            .filter(|(name, _)| !among.iter().any(|other| other.is_named(name)))
    }
}

/// What has been written of an envelope.
#[derive(Default)]
struct Pieces {
    before: String,
    data: Option<Bytes>,
    after: String,
}

impl Pieces {
    /// The piece that is being written.
    fn next(&mut self) -> &mut String {
        match self.data {
            None => &mut self.before,
            Some(_) => &mut self.after,
        }
    }

    fn object(&mut self, fields: &[Field], facts: &Facts<'_>, data: &Data) {
        let mut before = "{";
        let mut name = |pieces: &mut Self, name: &str| {
            pieces.next().extend([before, &quoted(name), ":"]);
            before = ",";
        };
        for field in fields {
            match &field.value {
                FieldValue::Text(template) => {
                    if let Some(value) = template.text(facts) {
                        name(self, &field.name);
                        self.next().push_str(&quoted(&value));
                    }
                }
                FieldValue::Number(template) => {
                    if let Some(value) = template.text(facts) {
                        name(self, &field.name);
                        self.next().push_str(&value);
                    }
                }
                FieldValue::Literal(literal) => {
                    name(self, &field.name);
                    self.next().push_str(&literal.json());
                }
                FieldValue::Object(inner) => {
                    name(self, &field.name);
                    self.object(inner, facts, data);
                }
                FieldValue::Extensions => {
                    for (extension, value) in field.extensions(fields, facts) {
                        name(self, &extension);
                        self.next().push_str(&quoted(value));
                    }
                }
                FieldValue::Data if data.json => {
                    name(self, &field.name);
                    self.data = Some(data.bytes.clone());
                }
                FieldValue::Data => {
                    name(self, &format!("{}{BASE64_SUFFIX}", field.name));
                    self.before.push('"');
                    self.data = Some(Bytes::from(BASE64.encode(&data.bytes)));
                    self.after.push('"');
                }
            }
        }
        // Where every field was left out, the brace is still to come.
        let open = if before == "{" { "{" } else { "" };
        self.next().extend([open, "}"]);
    }
}

/// A text as a JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
