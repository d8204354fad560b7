//! `/openapi.json`: the description of this API, derived from its handlers.
//!
//! What every path has in common (authorisation, problems, the tenant header) is added here once. The
//! paths of subscriptions are there twice, as `webhooks` too, because they are routed twice.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, PathItem, Ref, RefOr, Required, ResponseBuilder};

use super::problem::{self, Document};
use super::{
    attempts, backup, deliveries, event_types, events, health, inbound, keys, metrics, operations, plugins,
    profiles,
    receptions, sources, subscriptions, tail, tenants, trial,
};
use crate::json::Fault;

/// The handlers.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Hookway",
        description = "A self-hosted event router with sandboxed WebAssembly plugins.",
        license(name = "Apache-2.0 OR MIT")
    ),
    paths(
        events::create, events::list, events::show, events::matches,
        subscriptions::create, subscriptions::list, subscriptions::show, subscriptions::update,
        subscriptions::remove, subscriptions::enable, subscriptions::disable, subscriptions::rotate_secret,
        subscriptions::stats::show, trial::unsaved, trial::stored,
        deliveries::list_of_subscription, deliveries::list, deliveries::causes::list, deliveries::show,
        deliveries::resend, operations::recover, operations::replay, operations::begin, operations::list,
        operations::show, operations::cancel, operations::once::replay_event, operations::once::resend,
        plugins::list, plugins::show, plugins::upload, plugins::remove, plugins::run::run,
        keys::create, keys::list, keys::revoke,
        tenants::create, tenants::list, tenants::show, tenants::update,
        profiles::list, profiles::show, profiles::put, profiles::remove,
        sources::create, sources::list, sources::show, sources::update, sources::remove, sources::enable,
        sources::disable, sources::rotate_secret, sources::presets,
        event_types::create, event_types::list, event_types::show, event_types::put, event_types::update,
        event_types::remove, event_types::load, event_types::catalogues,
        receptions::list_of_source, receptions::list, receptions::show,
        inbound::receive, inbound::receive_of_tenant,
        tail::watch, backup::make,
        health::alive, health::ready, metrics::show, document,
        problem::pages::index, problem::pages::show,
    ),
    components(schemas(Document<'_>, Fault, attempts::LogOut)),
    security(("key" = []))
)]
struct Described;

/// The document as it is served; it never changes while the process runs.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| whole().to_json().unwrap_or_default());

/// Describes this API.
#[utoipa::path(
    get, path = "/openapi.json", tag = "health", operation_id = "openapi", security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value))
)]
pub async fn document() -> Response {
    let mut answer = DOCUMENT.as_str().into_response();
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// The document as text, for `hookway openapi`.
pub fn text() -> &'static str {
    &DOCUMENT
}

fn whole() -> utoipa::openapi::OpenApi {
    let mut document = Described::openapi();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    let key = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("hw_…")
        .build();
    if let Some(components) = &mut document.components {
        components.add_security_scheme("key", SecurityScheme::Http(key));
    }
    let paths = &mut document.paths.paths;
    for (path, item) in paths.iter_mut() {
        for operation in operations(item) {
            refine(operation, path.starts_with(super::PREFIX));
        }
    }
    let aliases: Vec<(String, PathItem)> = paths
        .iter()
        .filter_map(|(path, item)| {
            let rest = path.strip_prefix(super::PREFIX)?.strip_prefix("/subscriptions")?;
            let mut item = item.clone();
            for operation in operations(&mut item) {
                let id = operation.operation_id.take().unwrap_or_default();
                operation.operation_id = Some(id.replace("subscription", "webhook"));
                operation.tags = Some(vec!["webhooks".to_owned()]);
            }
            Some((format!("{}/webhooks{rest}", super::PREFIX), item))
        })
        .collect();
    paths.extend(aliases);
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.patch,
        &mut item.delete,
    ]
    .into_iter()
    .flatten()
}

/// Adds what all operations have in common.
fn refine(operation: &mut Operation, in_api: bool) {
    let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
    let problem = ResponseBuilder::new()
        .description("A refusal (RFC 9457)")
        .content(problem::MEDIA_TYPE, Content::new(Some(schema)));
    operation
        .responses
        .responses
        .insert("default".to_owned(), problem.build().into());
    if in_api {
        let tenant: Parameter = ParameterBuilder::new()
            .name("Hookway-Tenant")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "The tenant, by name or id, for keys that act for any; `default` where nothing is said",
            ))
            .build();
        operation.parameters.get_or_insert_default().push(tenant.into());
    }
}
