//! How a profile writes its envelope.
//!
//! An envelope is `"none"`, or a list of pairs of field name and value (a list, because tables of TOML and
//! JSON have no order): `[["type", "{type}"], ["data", "{data}"]]`. A value is
//!
//! - a text with atoms in it; exactly one, at any depth, is `{data}`, and at most one `{extensions}`, whose
//!   name has a `*` for the attribute's name;
//! - a list of pairs: an object in the object;
//! - `true`, `false` or a number, which stays as it is;
//! - `{ number = "{time:unix}" }`: an atom that is a number, as one;
//! - `{ json = "null" }`: any other JSON that stays as it is.
//!
//! Where the whole has a media type of its own, or stands in an array, it is a table with the list as
//! `fields`: `{ content_type = "application/x+json", shape = "array", fields = […] }`. In a form, data
//! whose field is named `*` is spread. What is read is checked here, once; what was checked is written as
//! it was read (but `null` as JSON, since TOML has none).

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{ENVELOPE_DEPTH_MAX, Envelope, FIELDS_MAX, Field, FieldValue, Literal, SPREAD, Shape};
use crate::event::{CONTENT_TYPE_BYTES_MAX, JSON};
use crate::profile::template::{Place, Template};

const DATA: &str = "{data}";
/// The template that stands for every extension attribute, in envelopes and headers.
pub(in crate::profile) const EXTENSIONS: &str = "{extensions}";
/// Longest JSON that stays as it is, in bytes; as long as a template may be.
const LITERAL_BYTES_MAX: usize = 1_024;

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
        serializer.collect_seq(self.0.iter().map(|field| (&field.name, &field.value)))
    }
}

impl Serialize for FieldValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let table = |serializer: S, key, text: &str| {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(key, text)?;
            map.end()
        };
        match self {
            Self::Data => serializer.serialize_str(DATA),
            Self::Extensions => serializer.serialize_str(EXTENSIONS),
            Self::Text(template) => serializer.collect_str(template),
            Self::Number(template) => table(serializer, "number", &template.to_string()),
            Self::Object(fields) => {
                serializer.collect_seq(fields.iter().map(|field| (&field.name, &field.value)))
            }
            Self::Literal(Literal::Bool(value)) => serializer.serialize_bool(*value),
            Self::Literal(Literal::Integer(number)) => serializer.serialize_i64(*number),
            Self::Literal(Literal::Float(number)) => serializer.serialize_f64(*number),
            Self::Literal(Literal::Json(text)) => table(serializer, "json", text),
        }
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
        f.write_str("`none`, a list of pairs of name and value of which one is `{data}`, or a table with it")
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
        let fields = match Value::deserialize(deserializer)? {
            Value::Object(fields) => fields,
            _ => {
                return Err(de::Error::custom(
                    "an envelope is a list of pairs of name and value",
                ));
            }
        };
        let mut found = Found::default();
        let fields = found.fields(fields, 1).map_err(de::Error::custom)?;
        if found.data != 1 || found.extensions > 1 {
            return Err(de::Error::custom(
                "an envelope needs exactly one field that is `{data}`, and may have one that is `{extensions}`",
            ));
        }
        Ok(Self(fields))
    }
}

/// A value as it is written, not yet checked.
enum Value {
    Text(String),
    Literal(Literal),
    Number(String),
    Object(Vec<(String, Value)>),
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a template, a list of pairs, `true`, `false`, a number, `{ number = … }` or `{ json = … }`",
        )
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Literal(Literal::Bool(value)))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Literal(Literal::Integer(number)))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        let signed = i64::try_from(number).map_err(|_| E::custom("a number is too large"));
        signed.map(|number| Value::Literal(Literal::Integer(number)))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        match number.is_finite() {
            true => Ok(Value::Literal(Literal::Float(number))),
            false => Err(E::custom("JSON has neither infinities nor NaN")),
        }
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Literal(Literal::Json("null".to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = list.next_element()? {
            if fields.len() == FIELDS_MAX {
                return Err(de::Error::custom(too_many()));
            }
            fields.push(field);
        }
        Ok(Value::Object(fields))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Said {
            Number(String),
            Json(String),
        }
        match Said::deserialize(MapAccessDeserializer::new(map))? {
            Said::Number(text) => Ok(Value::Number(text)),
            Said::Json(text) => Ok(Value::Literal(Literal::Json(text))),
        }
    }
}

fn too_many() -> String {
    format!("an envelope has at most {FIELDS_MAX} fields")
}

/// What has been found in an envelope so far.
#[derive(Default)]
struct Found {
    fields: usize,
    data: usize,
    extensions: usize,
}

impl Found {
    fn fields(&mut self, written: Vec<(String, Value)>, depth: usize) -> Result<Vec<Field>, String> {
        if depth > ENVELOPE_DEPTH_MAX {
            return Err(format!("an envelope nests at most {ENVELOPE_DEPTH_MAX} objects"));
        }
        let mut fields: Vec<Field> = Vec::with_capacity(written.len());
        for (name, value) in written {
            self.fields += 1;
            if self.fields > FIELDS_MAX {
                return Err(too_many());
            }
            if fields.iter().any(|field| field.name == name) {
                return Err(format!("the field `{name}` is there twice"));
            }
            let value = self
                .value(value, depth)
                .map_err(|fault| format!("envelope field `{name}`: {fault}"))?;
            let stars = name.matches('*').count();
            let spread = depth == 1 && value == FieldValue::Data && name == SPREAD;
            if !spread && stars != usize::from(value == FieldValue::Extensions) {
                return Err(format!(
                    "envelope field `{name}`: `{EXTENSIONS}` and one `*` in the name go together"
                ));
            }
            fields.push(Field { name, value });
        }
        Ok(fields)
    }

    fn value(&mut self, written: Value, depth: usize) -> Result<FieldValue, String> {
        let template = |text: &str| Template::parse(text, Place::Body).map_err(|fault| fault.to_string());
        match written {
            Value::Text(text) if text == DATA => {
                self.data += 1;
                Ok(FieldValue::Data)
            }
            Value::Text(text) if text == EXTENSIONS => {
                self.extensions += 1;
                Ok(FieldValue::Extensions)
            }
            Value::Text(text) => Ok(FieldValue::Text(template(&text)?)),
            Value::Number(text) => match template(&text)? {
                number if number.is_number() => Ok(FieldValue::Number(number)),
                _ => Err(
                    "a number is one atom that is always one: `{time:unix}`, `{time:unix-ms}` or `{version}`"
                        .to_owned(),
                ),
            },
            Value::Literal(Literal::Json(text)) => {
                let json = text.len() <= LITERAL_BYTES_MAX
                    && crate::json::check_depth(text.as_bytes()).is_ok()
                    && crate::json::compact(&bytes::Bytes::copy_from_slice(text.as_bytes())).is_ok();
                match json {
                    true => Ok(FieldValue::Literal(Literal::Json(text))),
                    false => Err(format!(
                        "`json` must be JSON of at most {LITERAL_BYTES_MAX} bytes"
                    )),
                }
            }
            Value::Literal(literal) => Ok(FieldValue::Literal(literal)),
            Value::Object(fields) if fields.is_empty() => {
                Err("an object needs a field; an empty one is `{ json = \"{}\" }`".to_owned())
            }
            Value::Object(fields) => Ok(FieldValue::Object(self.fields(fields, depth + 1)?)),
        }
    }
}
