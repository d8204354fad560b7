//! How a profile writes its envelope.
//!
//! An envelope is `"none"`, or a list of pairs of field name and template (a list, because tables of TOML
//! and JSON have no order): `[["type", "{type}"], ["data", "{data}"]]`. Exactly one template is `{data}`,
//! and at most one `{extensions}`, whose name has a `*` for the attribute's name. Where the whole has a
//! media type of its own, or stands in an array, it is a table with the list as `fields`:
//! `{ content_type = "application/x+json", shape = "array", fields = […] }`. What is read is checked here,
//! once; what was checked is written as it was read.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Envelope, FIELDS_MAX, Field, FieldValue, Shape, Template};
use crate::event::{CONTENT_TYPE_BYTES_MAX, JSON};

const DATA: &str = "{data}";
/// The template that stands for every extension attribute, in envelopes and headers.
pub(in crate::profile) const EXTENSIONS: &str = "{extensions}";

/// The table form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default = "json")]
    content_type: String,
    #[serde(default)]
    shape: Shape,
    fields: Fields,
}

fn json() -> String {
    JSON.to_owned()
}

/// The list of pairs.
struct Fields(Vec<Field>);

impl Serialize for Envelope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::Object {
                fields,
                content_type,
                shape,
            } => {
                let fields = Fields(fields.clone());
                if content_type == JSON && *shape == Shape::Object {
                    return fields.serialize(serializer);
                }
                let table = Table {
                    content_type: content_type.clone(),
                    shape: *shape,
                    fields,
                };
                table.serialize(serializer)
            }
        }
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|field| match &field.value {
            FieldValue::Data => (&field.name, DATA.to_owned()),
            FieldValue::Extensions => (&field.name, EXTENSIONS.to_owned()),
            FieldValue::Text(template) => (&field.name, template.to_string()),
        }))
    }
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EnvelopeVisitor)
    }
}

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "`none`, a list of pairs of name and template of which one is `{data}`, or a table with it",
        )
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Envelope, E> {
        match text {
            "none" => Ok(Envelope::None),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Envelope, A::Error> {
        let Fields(fields) = Fields::deserialize(SeqAccessDeserializer::new(list))?;
        Ok(Envelope::Object {
            fields,
            content_type: json(),
            shape: Shape::Object,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Envelope, A::Error> {
        let table = Table::deserialize(MapAccessDeserializer::new(map))?;
        let printable = table.content_type.bytes().all(|b| (b' '..=b'~').contains(&b));
        if !printable || !(1..=CONTENT_TYPE_BYTES_MAX).contains(&table.content_type.len()) {
            return Err(de::Error::custom(format_args!(
                "content_type must be 1 to {CONTENT_TYPE_BYTES_MAX} printable ASCII characters"
            )));
        }
        Ok(Envelope::Object {
            fields: table.fields.0,
            content_type: table.content_type,
            shape: table.shape,
        })
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of pairs of name and template")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Fields, A::Error> {
        let mut fields: Vec<Field> = Vec::new();
        while let Some((name, text)) = list.next_element::<(String, String)>()? {
            if fields.len() == FIELDS_MAX {
                return Err(de::Error::custom(format_args!(
                    "an envelope has at most {FIELDS_MAX} fields"
                )));
            }
            if fields.iter().any(|field| field.name == name) {
                return Err(de::Error::custom(format_args!(
                    "the field `{name}` is there twice"
                )));
            }
            let value = match text.as_str() {
                DATA => FieldValue::Data,
                EXTENSIONS => FieldValue::Extensions,
                text => {
                    let fault = |fault| de::Error::custom(format_args!("envelope field `{name}`: {fault}"));
                    FieldValue::Text(Template::parse(text).map_err(fault)?)
                }
            };
            let stars = name.matches('*').count();
            if stars != usize::from(value == FieldValue::Extensions) {
                return Err(de::Error::custom(format_args!(
                    "envelope field `{name}`: `{EXTENSIONS}` and one `*` in the name go together"
                )));
            }
            fields.push(Field { name, value });
        }
        let count = |wanted: &FieldValue| fields.iter().filter(|field| field.value == *wanted).count();
        if count(&FieldValue::Data) != 1 || count(&FieldValue::Extensions) > 1 {
            return Err(de::Error::custom(
                "an envelope needs exactly one field that is `{data}`, and may have one that is `{extensions}`",
            ));
        }
        Ok(Fields(fields))
    }
}
