//! The door for HTTP: reads requests, authorises, asks [`Ingest`], [`Control`] or the store, and
//! shows what they say. Nothing is decided here.
//!
//! [`router`] is the whole of it: one table of paths, one frame around them ([`frame`]). Handlers take
//! what they need as values ([`extract`]) and give a value or a [`problem::Problem`]. The OpenAPI
//! document is derived from the same handlers, and a test keeps it and the table in step.

pub mod attempts;
pub mod backup;
pub mod bodies;
pub mod deliveries;
pub mod doctor;
pub mod event_types;
pub mod events;
pub mod extract;
pub mod frame;
pub mod health;
pub mod inbound;
pub mod keys;
pub mod metrics;
pub mod openapi;
pub mod operations;
pub mod page;
pub mod plugins;
pub mod problem;
pub mod profiles;
pub mod rate_limit;
pub mod receptions;
pub mod remote;
pub mod server;
pub mod sources;
pub mod subscriptions;
pub mod tail;
pub mod tenants;
#[cfg(test)]
mod tests;
pub mod traffic;
pub mod trial;
mod versioned;
mod wishes;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, any, get, post};
use bytes::Bytes;
use ipnet::IpNet;
use tokio::sync::watch;

use crate::activity::Feed;
use crate::backup::Backups;
use crate::clock::Clock;
use crate::control::{self, Control};
use crate::doctor::Doctor;
use crate::ingest::{Ingest, Wake};
use crate::intake::Intake;
use crate::meter::Meters;
use crate::recovery::Recovery;
use crate::registry::Registry;
use crate::scrape::Scrape;
use crate::store::Store;
use crate::telemetry::Budget;
use crate::trial::Trial;
use bodies::Room;
use problem::{Kind, Problem};
use traffic::Traffic;

/// What handlers work on; built by the wiring.
pub struct State {
    /// The verbs on configuration, keys and tenants.
    pub control: Arc<Control>,
    /// The way in for events.
    pub ingest: Arc<Ingest>,
    /// Tries subscriptions.
    pub trial: Trial,
    /// The way in for other services' webhooks.
    pub intake: Intake,
    /// Memory for the bodies of webhooks.
    pub bodies: Room,
    /// Lines in the log about refused requests.
    pub refusals: Budget,
    /// History.
    pub store: Arc<dyn Store>,
    /// Which subscriptions there are and what they match.
    pub registry: Arc<Registry>,
    /// What happens now.
    pub feed: Feed,
    /// Tells the time.
    pub clock: Clock,
    /// Is told of rows that are due because a person asked for it.
    pub wake: Arc<dyn Wake>,
    /// How subscriptions do.
    pub meters: Arc<Meters>,
    /// Makes backups.
    pub backups: Backups,
    /// Carries out background operations.
    pub recovery: Arc<Recovery>,
    /// Looks at the router.
    pub doctor: Doctor,
    /// Turns true when the router shuts down: `/readyz` says so, and streams end.
    pub draining: watch::Receiver<bool>,
    /// Counts requests.
    pub traffic: Traffic,
    /// What `/metrics` shows.
    pub scrape: Scrape,
    /// Who may see it.
    pub metrics_for: metrics::Readers,
    /// What a request may cost.
    pub limits: Limits,
}

/// The state as handlers get it.
pub type Shared = Arc<State>;

/// What a request may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest body, in bytes, but for components.
    pub body_bytes_max: usize,
    /// Largest component, in bytes (`plugins.component_bytes`).
    pub component_bytes_max: usize,
    /// Most events in one call.
    pub events_max: usize,
    /// Within this time a body must have arrived.
    pub body_timeout: Duration,
    /// Within this time an answer must begin; long enough for a large component to be compiled.
    pub answer_timeout: Duration,
    /// Most people who may watch `/tail` at once.
    pub watchers_max: usize,
    /// Proxies that are believed about who sent a request.
    pub trusted_proxies: Vec<IpNet>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 1024 * 1024,
            component_bytes_max: 8 * 1024 * 1024,
            events_max: 1_000,
            body_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(120),
            watchers_max: 64,
            trusted_proxies: Vec::new(),
        }
    }
}

/// A request as it goes, or went, over the wire.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The method.
    pub method: String,
    /// The whole URL: a secret.
    pub url: String,
    /// All headers; those that the subscription added are secrets.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// The prefix of the API.
pub const PREFIX: &str = "/api/v1";

/// Every path, relative to [`PREFIX`]. Those of subscriptions are there twice: also as `webhooks`.
fn table() -> Vec<(&'static str, MethodRouter<Shared>)> {
    vec![
        ("/events", post(events::create).get(events::list)),
        ("/events/{id}", get(events::show)),
        ("/events/{id}/matches", get(events::matches)),
        ("/events/{id}/replay", post(operations::once::replay_event)),
        ("/deliveries", get(deliveries::list)),
        ("/deliveries/causes", get(deliveries::causes::list)),
        ("/deliveries/{id}", get(deliveries::show)),
        ("/deliveries/{id}/resend", post(deliveries::resend)),
        ("/deliveries/resend", post(operations::once::resend)),
        ("/operations", post(operations::begin).get(operations::list)),
        ("/operations/{id}", get(operations::show)),
        ("/operations/{id}/cancel", post(operations::cancel)),
        ("/plugins", get(plugins::list)),
        (
            "/plugins/{name}",
            get(plugins::show).put(plugins::upload).delete(plugins::remove),
        ),
        ("/plugins/{name}/run", post(plugins::run::run)),
        ("/keys", post(keys::create).get(keys::list)),
        ("/keys/{id}", axum::routing::delete(keys::revoke)),
        ("/tenants", post(tenants::create).get(tenants::list)),
        ("/tenants/{id}", get(tenants::show).patch(tenants::update)),
        ("/profiles", get(profiles::list)),
        (
            "/profiles/{name}",
            get(profiles::show).put(profiles::put).delete(profiles::remove),
        ),
        ("/sources", post(sources::create).get(sources::list)),
        (
            "/sources/{id}",
            get(sources::show).patch(sources::update).delete(sources::remove),
        ),
        ("/sources/{id}/enable", post(sources::enable)),
        ("/sources/{id}/disable", post(sources::disable)),
        ("/sources/{id}/rotate-secret", post(sources::rotate_secret)),
        ("/sources/{id}/receptions", get(receptions::list_of_source)),
        ("/source-presets", get(sources::presets)),
        ("/event-types", post(event_types::create).get(event_types::list)),
        ("/event-types/load", post(event_types::load)),
        (
            "/event-types/{name}",
            get(event_types::show)
                .put(event_types::put)
                .patch(event_types::update)
                .delete(event_types::remove),
        ),
        ("/event-type-catalogues", get(event_types::catalogues)),
        ("/receptions", get(receptions::list)),
        ("/receptions/{id}", get(receptions::show)),
        ("/backup", get(backup::make)),
        ("/tail", get(tail::watch)),
        ("/doctor", get(doctor::checkup)),
        ("/doctor/recount", get(doctor::recount)),
    ]
}

/// The paths of a subscription, behind `/subscriptions` and `/webhooks`.
fn subscription_table() -> Vec<(&'static str, MethodRouter<Shared>)> {
    vec![
        ("", post(subscriptions::create).get(subscriptions::list)),
        ("/test", post(trial::unsaved)),
        (
            "/{id}",
            get(subscriptions::show)
                .patch(subscriptions::update)
                .delete(subscriptions::remove),
        ),
        ("/{id}/test", post(trial::stored)),
        ("/{id}/enable", post(subscriptions::enable)),
        ("/{id}/disable", post(subscriptions::disable)),
        ("/{id}/rotate-secret", post(subscriptions::rotate_secret)),
        ("/{id}/deliveries", get(deliveries::list_of_subscription)),
        ("/{id}/recover", post(operations::recover)),
        ("/{id}/replay", post(operations::replay)),
        ("/{id}/stats", get(subscriptions::stats::show)),
    ]
}

/// The paths outside the prefix.
fn open_table() -> Vec<(&'static str, MethodRouter<Shared>)> {
    vec![
        ("/healthz", get(health::alive)),
        ("/readyz", get(health::ready)),
        ("/metrics", get(metrics::show)),
        ("/openapi.json", get(openapi::document)),
        ("/webhooks/{source}", any(inbound::receive)),
        ("/webhooks/{tenant}/{source}", any(inbound::receive_of_tenant)),
        ("/problems", get(problem::pages::index)),
        ("/problems/{slug}", get(problem::pages::show)),
    ]
}

/// Every whole path with its methods.
fn routes() -> Vec<(String, MethodRouter<Shared>)> {
    let mut all: Vec<(String, MethodRouter<Shared>)> = Vec::new();
    all.extend(
        open_table()
            .into_iter()
            .map(|(path, methods)| (path.to_owned(), methods)),
    );
    all.extend(
        table()
            .into_iter()
            .map(|(path, methods)| (format!("{PREFIX}{path}"), methods)),
    );
    for name in ["subscriptions", "webhooks"] {
        let paths = subscription_table().into_iter();
        all.extend(paths.map(|(path, methods)| (format!("{PREFIX}/{name}{path}"), methods)));
    }
    all
}

/// The API.
pub fn router(state: State) -> Router {
    let state: Shared = Arc::new(state);
    let mut router = Router::new();
    for (path, methods) in routes() {
        router = router.route(&path, methods);
    }
    router
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        // Bodies are bounded where they are read, each by its own limit.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Arc::clone(&state), frame::frame))
        .with_state(state)
}

impl From<control::Error> for Problem {
    fn from(error: control::Error) -> Self {
        match error {
            control::Error::Faults(faults) => Self::invalid(faults),
            control::Error::Missing(what) => Self::not_found(what),
            control::Error::Conflict { detail, breaks } => {
                Self::new(Kind::Conflict, detail).with_faults(breaks)
            }
            control::Error::Changed => Self::new(Kind::Changed, "read it again, then change it"),
            control::Error::Store(error) => error.into(),
            error @ control::Error::Plugin(_) => Self::internal(error),
        }
    }
}
