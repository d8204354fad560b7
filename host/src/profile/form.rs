//! The envelope as a form (`application/x-www-form-urlencoded`), each of its fields a pair.
//!
//! Texts are values as they are, everything else as JSON text. The data is one value; where its field is
//! named `*`, every member of the data is a pair, scalars as texts. What the profile itself says, no member
//! says otherwise: one that has the name of a field is left out.

use std::borrow::Cow;

use bytes::Bytes;
use data_encoding::BASE64;
use url::form_urlencoded::byte_serialize;

use super::about::Facts;
use super::body::{Body, RenderFault, Rendered};
use super::envelope::{BASE64_SUFFIX, Data, Envelope, Field, FieldValue, SPREAD, object_json};
use crate::json::{self, Fields};

/// The media type of a form.
const FORM: &str = "application/x-www-form-urlencoded";

/// The form of an envelope around data.
pub(super) fn render(envelope: &Envelope, facts: &Facts<'_>, data: Bytes) -> Result<Rendered, RenderFault> {
    let Envelope::Object { fields, .. } = envelope else {
        // A profile with forms has an envelope, which is checked when it is read.
        return Ok(envelope.wrap(facts, data));
    };
    let data = Data::new(data, facts.content_type);
    let mut form = Form::default();
    for field in fields {
        let name = &field.name;
        match &field.value {
            FieldValue::Text(template) | FieldValue::Number(template) => {
                if let Some(text) = template.text(facts) {
                    form.pair(name, text.as_bytes());
                }
            }
            FieldValue::Literal(literal) => form.pair(name, literal.json().as_bytes()),
            FieldValue::Object(inner) => form.pair(name, &object_json(inner, facts, &data)),
            FieldValue::Extensions => {
                for (name, value) in field.extensions(fields, facts) {
                    form.pair(&name, value.as_bytes());
                }
            }
            FieldValue::Data if name == SPREAD => form.spread(&data, fields)?,
            FieldValue::Data if data.json => form.pair(name, &data.bytes),
            FieldValue::Data => {
                let name = format!("{name}{BASE64_SUFFIX}");
                form.pair(&name, BASE64.encode(&data.bytes).as_bytes());
            }
        }
    }
    Ok(Rendered {
        content_type: FORM.to_owned(),
        body: Body::Whole(form.0.into()),
    })
}

#[derive(Default)]
struct Form(String);

impl Form {
    fn pair(&mut self, name: &str, value: &[u8]) {
        let separator = if self.0.is_empty() { "" } else { "&" };
        self.0.push_str(separator);
        self.0.extend(byte_serialize(name.as_bytes()));
        self.0.push('=');
        self.0.extend(byte_serialize(value));
    }

    /// A pair for each member of the data.
    fn spread(&mut self, data: &Data, fields: &[Field]) -> Result<(), RenderFault> {
        let fault = |detail: String| RenderFault::NotAnObject { detail };
        if !data.json {
            return Err(fault("its media type is not JSON".to_owned()));
        }
        let text = str::from_utf8(&data.bytes).map_err(|error| fault(error.to_string()))?;
        let members = Fields::of(text, "").map_err(|unreadable| {
            let first = unreadable.into_faults().into_vec().into_iter().next();
            fault(first.map_or_else(String::new, |first| {
                format!("{} {}", first.pointer, first.detail).trim().to_owned()
            }))
        })?;
        for (name, value) in members.into_members() {
            if fields.iter().any(|field| field.is_named(&name)) {
                continue;
            }
            let value = match json::kind_of(value.get()) {
                "a string" => serde_json::from_str(value.get()).map_err(|error| fault(error.to_string()))?,
                _ => Cow::Borrowed(value.get()),
            };
            self.pair(&name, value.as_bytes());
        }
        Ok(())
    }
}
