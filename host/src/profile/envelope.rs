//! The envelope: what is put around the data, and the splicing.
//!
//! An envelope is a JSON object with fields in a fixed order (`written` says how a profile writes it).
//! One field is the data; the others are texts, and one may stand for all extension attributes. JSON data
//! is spliced in as it came, byte for byte. Data that is not JSON cannot stand inside a JSON document: its
//! field is named with `_base64` after it, and holds the bytes in base64 (as `data_base64` does in the JSON
//! format of CloudEvents).

mod written;

pub(super) use written::EXTENSIONS;

use bytes::{Bytes, BytesMut};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::atom::Template;
use crate::event::{Event, is_json};

/// Most fields of one envelope.
pub const FIELDS_MAX: usize = 32;
/// What the name of the data's field ends with where the data is not JSON.
const BASE64_SUFFIX: &str = "_base64";

/// What is put around the data.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// The extension attributes, a field for each. In the field's name, `*` stands for the attribute's. An
    /// attribute whose field is there already is left out.
    Extensions,
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
        let Self::Object {
            fields,
            content_type: whole,
            shape,
        } = self
        else {
            return Rendered {
                content_type: content_type.to_owned(),
                body: Body::Whole(data),
            };
        };
        let (open, close) = match shape {
            Shape::Object => ("{", "}"),
            Shape::Array => ("[{", "}]"),
        };
        let json = is_json(content_type);
        let mut pieces = Pieces::default();
        pieces.before.push_str(open);
        for field in fields {
            match &field.value {
                FieldValue::Text(template) => {
                    if let Some(value) = template.text(event, content_type) {
                        pieces.text(&field.name, &value);
                    }
                }
                FieldValue::Extensions => {
                    for (name, value) in &event.extensions {
                        let name = field.name.replace('*', name);
                        if !fields.iter().any(|other| other.is_named(&name)) {
                            pieces.text(&name, value);
                        }
                    }
                }
                FieldValue::Data => pieces.data(&field.name, &data, json),
            }
        }
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

impl Field {
    /// Whether the field may be written under this name.
    fn is_named(&self, name: &str) -> bool {
        let base64 = || name.strip_suffix(BASE64_SUFFIX) == Some(self.name.as_str());
        self.name == name || self.value == FieldValue::Data && base64()
    }
}

/// What has been written of an envelope.
#[derive(Default)]
struct Pieces {
    before: String,
    data: Option<Bytes>,
    after: String,
    fields: usize,
}

impl Pieces {
    /// The piece that is being written.
    fn next(&mut self) -> &mut String {
        match self.data {
            None => &mut self.before,
            Some(_) => &mut self.after,
        }
    }

    fn name(&mut self, name: &str) {
        let comma = if self.fields == 0 { "" } else { "," };
        self.fields += 1;
        self.next().extend([comma, &quoted(name), ":"]);
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.next().push_str(&quoted(value));
    }

    fn data(&mut self, name: &str, data: &Bytes, json: bool) {
        if !json {
            self.name(&format!("{name}{BASE64_SUFFIX}"));
            self.before.push('"');
            self.data = Some(Bytes::from(BASE64.encode(data)));
            self.after.push('"');
            return;
        }
        self.name(name);
        // Ingest checks that JSON is JSON; nothing at all is what an event without data has.
        let blank = data.iter().all(u8::is_ascii_whitespace);
        self.data = Some(match blank {
            true => Bytes::from_static(b"null"),
            false => data.clone(),
        });
    }
}

/// A text as a JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
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
    fn extensions_are_fields_of_their_own_and_replace_none() {
        let mut event = event("text/plain", b"x");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        event.extensions = vec![
            pair("traceparent", "00-\"a\""),
            pair("type", "other"),
            pair("data", "other"),
        ];
        let plain = envelope(r#"[["*","{extensions}"],["type","{type}"],["data","{data}"]]"#);
        assert_eq!(
            wrapped(&plain, &event),
            &br#"{"traceparent":"00-\"a\"","type":"t","data_base64":"eA=="}"#[..]
        );
        let prefixed = envelope(r#"[["data","{data}"],["x_*","{extensions}"]]"#);
        assert_eq!(
            wrapped(&prefixed, &event),
            &br#"{"data_base64":"eA==","x_traceparent":"00-\"a\"","x_type":"other","x_data":"other"}"#[..]
        );
        event.extensions = vec![pair("base64", "other")];
        let clash = envelope(r#"[["data_*","{extensions}"],["data","{data}"]]"#);
        assert_eq!(wrapped(&clash, &event), &br#"{"data_base64":"eA=="}"#[..]);
    }

    #[test]
    fn an_envelope_may_have_a_media_type_and_stand_in_an_array() {
        let envelope = envelope(
            r#"{"content_type":"application/x+json","shape":"array","fields":[["m","{datacontenttype}"],["d","{data}"]]}"#,
        );
        let event = event("application/json", b"[ 1 ]");
        let rendered = envelope.wrap(&event, event.data.clone(), "application/y+json");
        assert_eq!(rendered.content_type, "application/x+json");
        assert_eq!(
            rendered.body.into_bytes(),
            &br#"[{"m":"application/y+json","d":[ 1 ]}]"#[..]
        );
        let again: Envelope = serde_json::from_str(&serde_json::to_string(&envelope).unwrap()).unwrap();
        assert_eq!(again, envelope);
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
            r#"[["d","{data}"],["a","{extensions}"]]"#,
            r#"[["d","{data}"],["*","{type}"]]"#,
            r#"[["*","{data}"]]"#,
            r#"[["d","{data}"],["**","{extensions}"]]"#,
            r#"[["d","{data}"],["*","{extensions}"],["x_*","{extensions}"]]"#,
            r#"{"fields":[["a","{type}"]]}"#,
            r#"{"fields":[["d","{data}"]],"content_type":"a\nb"}"#,
            r#"{"fields":[["d","{data}"]],"content_type":""}"#,
            r#"{"fields":[["d","{data}"]],"shape":"map"}"#,
            r#"{"fields":[["d","{data}"]],"color":1}"#,
            r#"{"content_type":"a/b"}"#,
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
