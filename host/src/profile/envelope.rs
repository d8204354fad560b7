//! The envelope: what is put around the data, and the splicing.
//!
//! In its written form an envelope is `"none"`, or a list of pairs of field name and template (a list,
//! because tables of TOML and JSON have no order). One field is `"{data}"`; the others are texts. JSON
//! data is spliced in as it came, byte for byte. Data that is not JSON cannot stand inside a JSON document:
//! its field is named with `_base64` after it, and holds the bytes in base64 (as `data_base64` does in the
//! JSON format of CloudEvents).

use std::fmt;

use bytes::{Bytes, BytesMut};
use data_encoding::BASE64;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::atom::Template;
use crate::event::{Event, JSON, is_json};

/// Most fields of one envelope.
pub const FIELDS_MAX: usize = 32;

/// What is put around the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// Nothing: the data is the body.
    None,
    /// A JSON object.
    Object(Vec<Field>),
}

/// One field of an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub value: FieldValue,
}

/// What a field of an envelope holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldValue {
    /// The data.
    Data,
    /// A text. A field whose text needs an attribute that the event does not have is left out.
    Text(Template),
}

/// A body and its media type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The media type.
    pub content_type: String,
    /// The body.
    pub body: Body,
}

/// A body that is the data itself, or the data between two pieces of an envelope. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The data itself.
    Whole(Bytes),
    /// The data with something before and after it.
    Spliced {
        /// What stands before the data.
        before: Bytes,
        /// The data as it came.
        data: Bytes,
        /// What stands after the data.
        after: Bytes,
    },
}

impl Body {
    /// The pieces, in order; what signing is fed with.
    pub fn pieces(&self) -> [&[u8]; 3] {
        match self {
            Self::Whole(data) => [&[], data, &[]],
            Self::Spliced { before, data, after } => [before, data, after],
        }
    }

    /// How long the body is, in bytes.
    pub fn len(&self) -> usize {
        self.pieces().iter().map(|piece| piece.len()).sum()
    }

    /// Whether the body is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The body in one piece. This copies a spliced body, once, and never a whole one.
    pub fn into_bytes(self) -> Bytes {
        if let Self::Whole(data) = self {
            return data;
        }
        let mut bytes = BytesMut::with_capacity(self.len());
        self.pieces()
            .iter()
            .for_each(|piece| bytes.extend_from_slice(piece));
        bytes.freeze()
    }
}

impl Envelope {
    /// The envelope around data of a media type.
    pub(super) fn wrap(&self, event: &Event, data: Bytes, content_type: &str) -> Rendered {
        let Self::Object(fields) = self else {
            return Rendered {
                content_type: content_type.to_owned(),
                body: Body::Whole(data),
            };
        };
        // Ingest checks that JSON is JSON; nothing at all is what an event without data has.
        let blank = data.iter().all(u8::is_ascii_whitespace);
        let data = if blank && is_json(content_type) {
            Bytes::from_static(b"null")
        } else {
            data
        };
        let mut before = String::from("{");
        let mut after = String::new();
        let mut spliced = Bytes::new();
        let mut text = &mut before;
        let mut empty = true;
        for field in fields {
            let value = match &field.value {
                FieldValue::Text(template) => match template.text(event) {
                    Some(value) => Some(quoted(&value)),
                    None => continue,
                },
                FieldValue::Data => None,
            };
            if !std::mem::take(&mut empty) {
                text.push(',');
            }
            match value {
                Some(value) => text.extend([&quoted(&field.name), ":", &value]),
                None if is_json(content_type) => {
                    text.extend([&quoted(&field.name), ":"]);
                    spliced = data.clone();
                    text = &mut after;
                }
                None => {
                    text.extend([&quoted(&format!("{}_base64", field.name)), ":\""]);
                    spliced = Bytes::from(BASE64.encode(&data));
                    after.push('"');
                    text = &mut after;
                }
            }
        }
        after.push('}');
        Rendered {
            content_type: JSON.to_owned(),
            body: Body::Spliced {
                before: before.into(),
                data: spliced,
                after: after.into(),
            },
        }
    }
}

/// A text as a JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl Serialize for Envelope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::Object(fields) => serializer.collect_seq(fields.iter().map(|field| match &field.value {
                FieldValue::Data => (&field.name, "{data}".to_owned()),
                FieldValue::Text(template) => (&field.name, template.to_string()),
            })),
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
        f.write_str("`none`, or a list of pairs of name and template of which one is `{data}`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Envelope, E> {
        match text {
            "none" => Ok(Envelope::None),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Envelope, A::Error> {
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
            let value = if text == "{data}" {
                FieldValue::Data
            } else {
                let fault = |fault| de::Error::custom(format_args!("envelope field `{name}`: {fault}"));
                FieldValue::Text(Template::parse(&text).map_err(fault)?)
            };
            fields.push(Field { name, value });
        }
        match fields
            .iter()
            .filter(|field| field.value == FieldValue::Data)
            .count()
        {
            1 => Ok(Envelope::Object(fields)),
            _ => Err(de::Error::custom(
                "an envelope needs exactly one field that is `{data}`",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::Id;
    use crate::time::Timestamp;

    fn event(content_type: &str, data: &[u8]) -> Event {
        Event {
            id: Id::from_number(1 << 40),
            tenant: Id::from_number(1),
            source: "a\"b\\c\u{1}".to_owned(),
            producer_id: None,
            event_type: "t".to_owned(),
            subject: None,
            time: Timestamp::from_millis(0),
            received_at: Timestamp::from_millis(0),
            content_type: content_type.to_owned(),
            extensions: Vec::new(),
            headers: Vec::new(),
            data: Bytes::copy_from_slice(data),
            hops: 0,
        }
    }

    fn envelope(text: &str) -> Envelope {
        serde_json::from_str(text).unwrap()
    }

    fn wrapped(envelope: &Envelope, event: &Event) -> Bytes {
        envelope
            .wrap(event, event.data.clone(), &event.content_type)
            .body
            .into_bytes()
    }

    #[test]
    fn fields_keep_their_order_and_may_follow_the_data() {
        let envelope =
            envelope(r#"[["subject","{subject}"],["a","x {type}"],["data","{data}"],["source","{source}"]]"#);
        let text = wrapped(&envelope, &event("application/json", b" [1, 2]"));
        assert_eq!(
            text,
            &br#"{"a":"x t","data": [1, 2],"source":"a\"b\\c\u0001"}"#[..]
        );
        let again: Envelope = serde_json::from_str(&serde_json::to_string(&envelope).unwrap()).unwrap();
        assert_eq!(again, envelope);
    }

    #[test]
    fn what_is_not_json_becomes_base64() {
        let envelope = envelope(r#"[["data","{data}"],["type","{type}"]]"#);
        let text = wrapped(&envelope, &event("text/plain", b"hi \"you\""));
        assert_eq!(text, &br#"{"data_base64":"aGkgInlvdSI=","type":"t"}"#[..]);
        assert_eq!(
            wrapped(&envelope, &event("text/plain", b"")),
            &br#"{"data_base64":"","type":"t"}"#[..]
        );
        assert_eq!(
            wrapped(&envelope, &event("application/json", b" ")),
            &br#"{"data":null,"type":"t"}"#[..]
        );
    }

    #[test]
    fn envelopes_that_make_no_sense_are_refused() {
        for text in [
            r#""all""#,
            "[]",
            r#"[["a","{type}"]]"#,
            r#"[["a","{data}"],["b","{data}"]]"#,
            r#"[["a","x{data}"]]"#,
            r#"[["a","{data}"],["a","x"]]"#,
            r#"[["d","{data}"],["a",1]]"#,
            r#"[["d","{data}"],["a","{color}"]]"#,
            r#"{"d":"{data}"}"#,
        ] {
            assert!(serde_json::from_str::<Envelope>(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn data_is_spliced_byte_for_byte(
            numbers in prop::collection::vec(any::<f64>(), 0..5),
            text in ".{0,20}",
        ) {
            let data = serde_json::json!({ "numbers": numbers, "text": text }).to_string();
            let envelope = envelope(r#"[["type","{type}"],["data","{data}"]]"#);
            let event = event("application/json", data.as_bytes());
            let rendered = envelope.wrap(&event, event.data.clone(), &event.content_type);
            let Body::Spliced { data: spliced, .. } = &rendered.body else { panic!() };
            prop_assert_eq!(spliced.as_ptr(), event.data.as_ptr());
            let length = rendered.body.len();
            let bytes = rendered.body.into_bytes();
            prop_assert_eq!(bytes.len(), length);
            let parsed: std::collections::BTreeMap<String, Box<serde_json::value::RawValue>> =
                serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(parsed["data"].get(), data);
        }

        #[test]
        fn any_bytes_give_valid_json(
            data in prop::collection::vec(any::<u8>(), 0..100),
            source in "\\PC{0,30}",
        ) {
            let envelope = envelope(r#"[["source","{source}"],["data","{data}"]]"#);
            let mut event = event("application/octet-stream", &data);
            event.source = source.clone();
            let parsed: serde_json::Value = serde_json::from_slice(&wrapped(&envelope, &event)).unwrap();
            prop_assert_eq!(parsed["source"].as_str(), Some(source.as_str()));
            let decoded = BASE64.decode(parsed["data_base64"].as_str().unwrap().as_bytes()).unwrap();
            prop_assert_eq!(decoded, data);
        }
    }
}
