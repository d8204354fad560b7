//! How event types are read from bodies: one as a wish, many as a document.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::api::extract::JsonBody;
use crate::api::problem::Problem;
use crate::api::wishes::{Wishes, kept};
use crate::control::event_types::Wish;
use crate::control::set::Set;
use crate::event_type::{Definition, catalogue};
use crate::json::{self, Faults, Fields, Given};

/// What is said about a type of events.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
pub struct EventTypeIn {
    /// The type, as events carry it; needed where the path does not say it.
    name: Option<String>,
    /// What it is listed under.
    group: Option<String>,
    /// What it means, by language (BCP 47): `{"en": "…", "es": "…"}`.
    descriptions: Option<BTreeMap<String, String>>,
    /// JSON Schema of the payload. It can reach nothing: a `$ref` leads to itself or to a published draft.
    schema: Option<serde_json::Value>,
    /// A payload as it may look; what test events carry. It must keep to the schema.
    sample: Option<serde_json::Value>,
    /// Whether new subscriptions should choose another.
    deprecated: Option<bool>,
}

/// Which types to describe: exactly one of both.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
pub struct LoadIn {
    /// A built-in catalogue: `workflows`, `aetherflow`, `inboundflow` or `workflux`.
    catalogue: Option<String>,
    /// Types of one's own.
    event_types: Option<Vec<EventTypeIn>>,
}

/// One type as it was read.
pub(super) struct Read {
    pub(super) name: String,
    pub(super) wish: Wish,
}

fn raw(raw: &RawValue, _pointer: &str, _faults: &mut Faults) -> Option<Box<RawValue>> {
    Some(raw.to_owned())
}

/// Reads one type. `named` is the name that the path says.
pub(super) fn read(body: &JsonBody, named: Option<String>) -> Result<Read, Problem> {
    let mut faults = Faults::default();
    let read = one(body.text(), "", named, &mut faults)?;
    Ok(faults.or(read)?)
}

fn one(text: &str, base: &str, named: Option<String>, faults: &mut Faults) -> Result<Read, json::Unreadable> {
    let mut wishes = Wishes {
        fields: Fields::of(text, base)?,
        faults,
    };
    let name: Option<String> = wishes.fields.text("name", wishes.faults);
    let name = match (named, name) {
        (Some(named), Some(name)) if named != name => {
            let pointer = wishes.fields.pointer("name");
            wishes.faults.add(
                pointer,
                "is another one than in the path; a type cannot be renamed",
            );
            named
        }
        (Some(name), _) | (None, Some(name)) => name,
        // Told where the whole is checked.
        (None, None) => String::new(),
    };
    let wish = Wish {
        group: wishes.set("group", "a string"),
        descriptions: wishes.set("descriptions", "an object of strings, by language"),
        schema: wishes.set_with("schema", raw),
        sample: wishes.set_with("sample", raw),
        deprecated: wishes.set("deprecated", "true or false"),
    };
    wishes.fields.finish(wishes.faults);
    Ok(Read { name, wish })
}

/// Reads what to load.
pub(super) fn definitions(body: &JsonBody) -> Result<Vec<Definition>, Problem> {
    let mut faults = Faults::default();
    let mut fields = Fields::of(body.text(), "")?;
    let named = fields.text("catalogue", &mut faults);
    let own = match fields.given("event_types") {
        Given::Value(raw) => Some(list(raw, &fields.pointer("event_types"), &mut faults)),
        Given::Absent | Given::Null => None,
    };
    // What describes the document itself, so that a built-in catalogue can be the pattern of one's own.
    for about in ["name", "title", "language", "note"] {
        let _unused = fields.text(about, &mut faults);
    }
    let _unused: Option<Vec<String>> = fields.read("printed_samples", "an array of strings", &mut faults);
    fields.finish(&mut faults);
    let definitions = match (named, own) {
        (Some(name), None) => match catalogue::built_in(&name) {
            Some(catalogue) => catalogue.event_types.clone(),
            None => {
                let known: Vec<&str> = catalogue::built_ins()
                    .iter()
                    .map(|one| one.name.as_str())
                    .collect();
                let detail = format!("is not a built-in catalogue; these are {}", known.join(", "));
                faults.add("/catalogue", detail);
                Vec::new()
            }
        },
        (None, Some(own)) => own,
        (Some(_), Some(_)) => {
            faults.add("/catalogue", "cannot be given beside `event_types`");
            Vec::new()
        }
        (None, None) => {
            if faults.is_empty() {
                faults.add("", "must have `catalogue` or `event_types`");
            }
            Vec::new()
        }
    };
    Ok(faults.or(definitions)?)
}

fn list(raw: &RawValue, base: &str, faults: &mut Faults) -> Vec<Definition> {
    let items = kept(json::items(raw.get(), base, catalogue::TYPES_MAX), faults).unwrap_or_default();
    let read = items.into_iter().enumerate().filter_map(|(place, item)| {
        let read = one(item.get(), &format!("{base}/{place}"), None, faults);
        let Read { name, wish } = kept(read, faults)?;
        Some(definition(name, wish))
    });
    read.collect()
}

/// In a document, what is not given is not there.
fn definition(name: String, wish: Wish) -> Definition {
    fn given<T>(set: Set<T>) -> Option<T> {
        match set {
            Set::To(value) => Some(value),
            Set::Keep | Set::Clear => None,
        }
    }
    Definition {
        name,
        group: given(wish.group),
        descriptions: given(wish.descriptions).unwrap_or_default(),
        schema: given(wish.schema),
        sample: given(wish.sample),
        deprecated: given(wish.deprecated).unwrap_or_default(),
    }
}
