//! Attributes of events, taken from a request by a resolved [`Mapping`].
//!
//! What services call their events is not made for our types, so types are cleaned: what a type cannot
//! carry becomes `_`. Ids and subjects stay as they are. The data of an event is the body or a slice of
//! it, byte for byte.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::pointer::Pointers;
use super::request::{Refused, Request};
use super::template::{Site, TEMPLATE_BYTES_MAX, Template};
use super::view::View;
use super::{Format, Mapping};
use crate::digest::Digest;
use crate::event::{self, Draft, OWN_TYPE_PREFIX, PRODUCER_ID_BYTES_MAX, SUBJECT_BYTES_MAX, TYPE_BYTES_MAX};
use crate::json::{self, Faults};
use crate::reception::Refusal;

/// Most alternatives for one attribute.
pub const ALTERNATIVES_MAX: usize = 8;
/// Most events that one request may be split into: as many as one call of the API may bring.
pub const ITEMS_MAX: usize = 1_000;

/// A mapping, every template of it read.
#[derive(Debug)]
pub(super) struct Attributes {
    format: Format,
    split: Option<Pointers>,
    pointers: Pointers,
    types: Vec<Template>,
    ids: Vec<Template>,
    subjects: Vec<Template>,
    /// The alternatives for the type as they were written, for who reads why none was there.
    types_written: String,
}

impl Attributes {
    /// Reads a mapping; `base` points to it in the source's document.
    pub(super) fn read(mapping: &Mapping, base: &str, faults: &mut Faults) -> Self {
        let mut pointers = Pointers::default();
        let mut read = |given: &Option<Vec<String>>, name: &str| {
            let given = given.as_deref().unwrap_or_default();
            let at = json::pointer(base, name);
            if given.len() > ALTERNATIVES_MAX {
                faults.add(&at, format!("has more than {ALTERNATIVES_MAX} alternatives"));
                return Vec::new();
            }
            let mut templates = Vec::with_capacity(given.len());
            for (place, text) in given.iter().enumerate() {
                let at = format!("{at}/{place}");
                match Template::parse(text, Site::Look, TEMPLATE_BYTES_MAX, &mut pointers) {
                    Ok(template)
                        if name == "type" && clean_type(&template.sketch("x")) != template.sketch("x") =>
                    {
                        let detail = "must be segments of letters, digits, `_`, `-`, `:` and `/`, joined by \
                                      single dots, around its atoms";
                        faults.add(at, detail);
                    }
                    Ok(template) if name == "type" && template.sketch("x").starts_with(OWN_TYPE_PREFIX) => {
                        faults.add(
                            at,
                            format!("must not begin with `{OWN_TYPE_PREFIX}`: these are Hookway's own"),
                        );
                    }
                    Ok(template) => templates.push(template),
                    Err(fault) => faults.add(at, fault.to_string()),
                }
            }
            templates
        };
        let types = read(&mapping.event_type, "type");
        let ids = read(&mapping.id, "id");
        let subjects = read(&mapping.subject, "subject");
        let format = mapping.format.unwrap_or(Format::Raw);
        if format == Format::Raw && mapping.event_type.as_ref().is_none_or(Vec::is_empty) {
            faults.add(json::pointer(base, "type"), "must have one alternative at least");
        }
        let split = mapping.split.as_deref().and_then(|text| {
            let mut split = Pointers::default();
            match split.add(text) {
                Ok(_) => Some(split),
                Err(fault) => {
                    faults.add(json::pointer(base, "split"), fault.to_string());
                    None
                }
            }
        });
        Self {
            format,
            split,
            pointers,
            types,
            ids,
            subjects,
            types_written: mapping.event_type.as_deref().unwrap_or_default().join(", "),
        }
    }

    /// What requests are.
    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// The events of a request whose body was checked. `source` and `content_type` are theirs.
    pub(super) fn drafts(
        &self,
        request: &Request<'_>,
        source: &str,
        content_type: &str,
    ) -> Result<Vec<Draft>, Refused> {
        let Some(split) = &self.split else {
            return Ok(vec![self.draft(
                request,
                request.body.clone(),
                source,
                content_type,
            )?]);
        };
        let items = items(split, request.body)?;
        let slice = |item: &RawValue| request.body.slice_ref(item.get().as_bytes());
        // An item of the body is JSON, whatever profile of it the body's media type named.
        let draft = |item| self.draft(request, slice(item), source, event::JSON);
        items.into_iter().map(draft).collect()
    }

    fn draft(
        &self,
        request: &Request<'_>,
        data: Bytes,
        source: &str,
        content_type: &str,
    ) -> Result<Draft, Refused> {
        let view = View::new(request, &data, &self.pointers);
        let mut types = self.types.iter().filter_map(|template| template.text(&view));
        let event_type = types.find_map(|text| {
            let clean = clean_type(&text);
            (!clean.is_empty()).then_some(clean)
        });
        let Some(event_type) = event_type else {
            let detail = format!("none of the places for the type is there: {}", self.types_written);
            return Err(Refused::new(Refusal::Attributes, detail));
        };
        if event_type.starts_with(OWN_TYPE_PREFIX) {
            let detail = format!("types that begin with `{OWN_TYPE_PREFIX}` are Hookway's own");
            return Err(Refused::new(Refusal::Attributes, detail));
        }
        let first = |templates: &[Template], name| {
            let text = templates.iter().find_map(|template| template.text(&view));
            match text {
                Some(text) if text.chars().any(char::is_control) => {
                    let detail = format!("the {name} has control characters");
                    Err(Refused::new(Refusal::Attributes, detail))
                }
                text => Ok(text),
            }
        };
        let id = first(&self.ids, "id")?.map(bounded_id);
        let subject = first(&self.subjects, "subject")?.map(|text| cut(&text, SUBJECT_BYTES_MAX).to_owned());
        Ok(Draft {
            id,
            source: Some(source.to_owned()),
            event_type,
            subject,
            time: None,
            content_type: Some(content_type.to_owned()),
            extensions: Vec::new(),
            headers: Vec::new(),
            data: data.clone(),
        })
    }
}

/// The items of the array that the pointer leads to.
fn items<'b>(split: &Pointers, body: &'b [u8]) -> Result<Vec<&'b RawValue>, Refused> {
    let refuse = |detail: String| Refused::new(Refusal::MalformedBody, detail);
    let raw = split.find(body).into_iter().next().flatten();
    let raw = raw.filter(|raw| raw.starts_with('['));
    let raw = raw.ok_or_else(|| refuse("the array that the body is split at is not there".to_owned()))?;
    let items = json::items(raw, "", ITEMS_MAX).map_err(|error| {
        let told = error.into_faults().into_vec().pop();
        let told = told.map_or_else(String::new, |fault| fault.detail);
        refuse(format!("the array that the body is split at {told}"))
    })?;
    if items.is_empty() {
        return Err(refuse("the array that the body is split at is empty".to_owned()));
    }
    Ok(items)
}

/// Makes a text a type: runs of what a type cannot carry become one `_`, empty segments go, what is too
/// long ends at the last whole segment that fits, or at the limit where there is none.
fn clean_type(text: &str) -> String {
    let mut clean = String::with_capacity(text.len().min(TYPE_BYTES_MAX + 1));
    let mut segment = String::new();
    for part in text.split('.').filter(|part| !part.is_empty()) {
        segment.clear();
        let mut replaced = false;
        for c in part.chars() {
            let good = c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':' | '/');
            if good {
                segment.push(c);
            } else if !replaced {
                segment.push('_');
            }
            replaced = !good;
            if segment.len() > TYPE_BYTES_MAX {
                break;
            }
        }
        let dot = usize::from(!clean.is_empty());
        if clean.len() + dot + segment.len() > TYPE_BYTES_MAX {
            if clean.is_empty() {
                clean.push_str(&segment[..TYPE_BYTES_MAX]);
            }
            break;
        }
        if dot == 1 {
            clean.push('.');
        }
        clean.push_str(&segment);
    }
    clean
}

/// An id as it is, or its digest where it is too long: cutting it would make strangers repetitions.
fn bounded_id(id: String) -> String {
    if id.len() <= PRODUCER_ID_BYTES_MAX {
        id
    } else {
        Digest::of(id.as_bytes()).to_string()
    }
}

/// The longest beginning of whole characters that fits.
pub(super) fn cut(text: &str, max: usize) -> &str {
    let fits = |end: &usize| text.is_char_boundary(*end);
    let end = (0..=max.min(text.len())).rev().find(fits).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests;
