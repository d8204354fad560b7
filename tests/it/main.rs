//! End-to-end tests: the real router over real sockets and a real database, with a scripted receiver
//! and a clock that the test moves.

#![allow(unreachable_pub, reason = "nothing outside this crate can see any of it")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected should stop there"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a test has its own client, beside the router's"
)]
#![allow(
    clippy::field_reassign_with_default,
    reason = "a test says only what it changes"
)]

#[allow(dead_code, reason = "the fault tests use more of it than these do")]
mod support;

mod alerts;
mod author;
mod authorisation;
mod auto_disable;
mod backup;
mod bad_input;
mod behaviour;
mod cloudevents;
mod delivery;
mod doctor;
mod documents;
mod event_types;
mod health;
mod history;
mod ingest;
mod interference;
mod keys;
mod life_cycle;
mod limits;
mod listening;
mod looks;
mod metrics;
mod operating;
mod operations;
mod own_events;
mod own_names;
mod pinned;
mod plugins;
mod products;
mod profiles;
mod requirements;
mod restart;
mod rotation;
mod security;
mod signing;
mod sources;
mod stable_json;
mod terminal;
mod terminal_operations;
mod terminal_setup;
mod terminal_sources;
mod trial;
mod triggering;
mod watching;

mod tidy;
mod wit;
