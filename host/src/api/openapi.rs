//! `/openapi.json`: the description of this API, derived from its handlers.
//!
//! What every path has in common (authorisation, problems, the tenant header) is added here once, and what
//! the handlers cannot say of their bodies: which are raw bytes, and that a patch needs no field. The
//! paths of subscriptions are there twice, as `webhooks` too, because they are routed twice.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, Content, PathItem, Ref, RefOr, Required, ResponseBuilder};

use super::page::LIMIT_MAX;
use super::problem::{self, Document};
use super::{
    attempts, backup, deliveries, doctor, event_types, events, health, inbound, keys, metrics, operations,
    plugins, profiles, receptions, sources, subscriptions, tail, tenants, trial,
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
        tail::watch, backup::make, doctor::checkup, doctor::recount,
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
        .description(Some(
            "A key. Each operation names the scope that it needs: `ingest`, `metrics`, `read`, `manage` or \
             `admin`; and `router` where the key must be one of the whole router",
        ))
        .build();
    if let Some(components) = &mut document.components {
        components.add_security_scheme("key", SecurityScheme::Http(key));
    }
    let paths = &mut document.paths.paths;
    for (path, item) in paths.iter_mut() {
        for operation in operations(item) {
            refine(operation, path.starts_with(super::PREFIX));
        }
        if let (Some(components), Some(patch)) = (&mut document.components, &mut item.patch) {
            need_no_field(patch, components);
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
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .build();
        operation.parameters.get_or_insert_default().push(tenant.into());
    }
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema
        {
            narrow(&parameter.name, schema);
        }
    }
    for (media_type, content) in contents(operation) {
        if RAW.contains(&media_type) {
            let bytes = ObjectBuilder::new()
                .schema_type(Type::String)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
            content.schema = Some(bytes.into());
        }
    }
}

/// What a parameter may be, where its type says too little or too much.
fn narrow(name: &str, schema: &mut Object) {
    if schema.schema_type == SchemaType::Type(Type::Boolean) {
        // `?all` alone says yes, too.
        schema.schema_type = SchemaType::from_iter([Type::Boolean, Type::String]);
        schema.enum_values = Some(vec![true.into(), false.into(), "".into()]);
    }
    if name == "limit" {
        schema.minimum = Some(1_usize.into());
        schema.maximum = Some(LIMIT_MAX.into());
    }
}

/// What the body of a request may be, by media type.
fn contents(operation: &mut Operation) -> impl Iterator<Item = (&str, &mut Content)> {
    let body = match &mut operation.request_body {
        Some(RefOr::T(body)) => Some(body),
        Some(RefOr::Ref(_)) | None => None,
    };
    let contents = body.into_iter().flat_map(|body| &mut body.content);
    contents.filter_map(|(media_type, content)| match content {
        RefOr::T(content) => Some((media_type.as_str(), content)),
        RefOr::Ref(_) => None,
    })
}

/// Media types of bodies that are bytes, not JSON.
const RAW: [&str; 2] = ["application/wasm", "application/octet-stream"];

/// A patch says what is to change, so that nothing is required of its body: it has a schema of its own,
/// `…Patch`, where the one of the whole thing requires something.
fn need_no_field(operation: &mut Operation, components: &mut Components) {
    for (_, content) in contents(operation) {
        let Some(RefOr::Ref(whole)) = &content.schema else {
            continue;
        };
        let Some(name) = whole.ref_location.rsplit('/').next() else {
            continue;
        };
        if let Some(RefOr::T(Schema::Object(object))) = components.schemas.get(name)
            && !object.required.is_empty()
        {
            let mut object = object.clone();
            object.required.clear();
            let name = format!("{name}Patch");
            content.schema = Some(RefOr::Ref(Ref::from_schema_name(&name)));
            components.schemas.insert(name, RefOr::T(Schema::Object(object)));
        }
    }
}
