//! How event types are shown: described in the caller's language, and in all that there are.

use std::collections::BTreeMap;

use axum::response::Response;
use http::header::{CONTENT_LANGUAGE, VARY};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::api::PREFIX;
use crate::api::versioned::versioned;
use crate::control::event_types::Loaded;
use crate::event_type::catalogue::Catalogue;
use crate::registry::event_types::Known;
use crate::time::Timestamp;

/// A type of events.
#[derive(Serialize, utoipa::ToSchema)]
pub struct EventTypeOut {
    /// The type, as events carry it.
    name: String,
    /// What it is listed under.
    group: Option<String>,
    /// What it means, in the language that the caller likes best (`Accept-Language`).
    description: Option<String>,
    /// What it means, by language.
    descriptions: BTreeMap<String, String>,
    /// Whether new subscriptions should choose another.
    deprecated: bool,
    /// Whether it has a schema.
    has_schema: bool,
    /// Whether it has a sample.
    has_sample: bool,
    /// JSON Schema of the payload; only where one type is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    schema: Option<Box<RawValue>>,
    /// A payload as it may look; only where one type is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    sample: Option<Box<RawValue>>,
    /// Why its schema holds no payload, if it cannot: it was stored by a version with other rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    /// Counts up with every change; also the ETag.
    version: u64,
    /// When it was first described.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When that was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    #[serde(skip)]
    language: Option<String>,
}

impl EventTypeOut {
    pub(super) fn summary(known: &Known, accept_language: &str) -> Self {
        let event_type = &known.event_type;
        let definition = &event_type.definition;
        let chosen = definition.description(accept_language);
        Self {
            name: definition.name.clone(),
            group: definition.group.clone(),
            description: chosen.map(|(_, text)| text.to_owned()),
            language: chosen.map(|(tag, _)| tag.to_owned()),
            descriptions: definition.descriptions.clone(),
            deprecated: definition.deprecated,
            has_schema: definition.schema.is_some(),
            has_sample: definition.sample.is_some(),
            schema: None,
            sample: None,
            fault: known.fault.clone(),
            version: event_type.version,
            created_at: event_type.created_at,
            updated_at: event_type.updated_at,
        }
    }

    pub(super) fn whole(known: &Known, accept_language: &str) -> Self {
        let definition = &known.event_type.definition;
        Self {
            schema: definition.schema.clone(),
            sample: definition.sample.clone(),
            ..Self::summary(known, accept_language)
        }
    }

    pub(super) fn answer(self, status: StatusCode) -> Response {
        // Of what a type may have, only the slash means something else in a path.
        let place = format!("{PREFIX}/event-types/{}", self.name.replace('/', "%2F"));
        let language = self
            .language
            .as_deref()
            .and_then(|tag| HeaderValue::from_str(tag).ok());
        let mut answer = versioned(status, self.version, &place, self);
        let headers = answer.headers_mut();
        headers.insert(VARY, HeaderValue::from_static("accept-language"));
        if let Some(language) = language {
            headers.insert(CONTENT_LANGUAGE, language);
        }
        answer
    }
}

/// What loading did.
#[derive(Serialize, utoipa::ToSchema)]
pub struct LoadedOut {
    /// Types that were not described before.
    added: Vec<String>,
    /// Types that were described otherwise.
    changed: Vec<String>,
    /// Types that were described so already.
    unchanged: Vec<String>,
}

impl From<Loaded> for LoadedOut {
    fn from(loaded: Loaded) -> Self {
        let Loaded {
            added,
            changed,
            unchanged,
        } = loaded;
        Self {
            added,
            changed,
            unchanged,
        }
    }
}

/// A catalogue that comes with the router.
#[derive(Serialize, utoipa::ToSchema)]
pub struct CatalogueOut {
    /// The name by which it is loaded.
    name: &'static str,
    /// The product.
    title: &'static str,
    /// The language of the product's own document.
    language: &'static str,
    /// Where texts, samples and schemas come from.
    note: &'static str,
    /// The types, in the order of the product's document.
    event_types: Vec<&'static str>,
    /// The types whose samples were printed in the product's own document.
    printed_samples: Vec<&'static str>,
}

impl From<&'static Catalogue> for CatalogueOut {
    fn from(catalogue: &'static Catalogue) -> Self {
        let types = catalogue.event_types.iter();
        Self {
            name: &catalogue.name,
            title: &catalogue.title,
            language: &catalogue.language,
            note: &catalogue.note,
            event_types: types.map(|one| one.name.as_str()).collect(),
            printed_samples: catalogue.printed_samples.iter().map(String::as_str).collect(),
        }
    }
}
