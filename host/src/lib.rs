//! Hookway: a self-hosted event router with sandboxed WebAssembly plugins.
//!
//! Events come in, meet their subscriptions, are reshaped by plugins, signed and delivered, with every
//! step durable. `ARCHITECTURE.md` in the repository is the map of the rooms below and tells the way of
//! an event through them; [`router::Router`] is where they are put together.

pub mod activity;
pub mod alert;
pub mod api;
pub mod auth;
pub mod backup;
pub mod bucket;
pub mod catalogue;
pub mod checkup;
pub mod cli;
pub mod clock;
pub mod cloudevents;
pub mod config;
pub mod control;
pub mod delivery;
pub mod diagnosis;
pub mod digest;
pub mod disk;
pub mod dispatcher;
pub mod doctor;
pub mod egress;
pub mod event;
pub mod event_type;
pub mod first_party;
pub mod housekeeping;
pub mod id;
pub mod ingest;
pub mod intake;
pub mod json;
pub mod meter;
pub mod metrics;
pub mod network;
pub mod operation;
pub mod outbound;
pub mod own_event;
pub mod plugin;
pub mod process;
pub mod profile;
pub mod reception;
pub mod recovery;
pub mod registry;
pub mod render;
pub mod retry;
pub mod router;
pub mod routing;
pub mod scrape;
pub mod secret;
pub mod sentinel;
pub mod signature;
pub mod source;
pub mod space;
pub mod store;
pub mod subscription;
pub mod telemetry;
pub mod time;
pub mod trial;
pub mod vault;
pub mod verdict;
pub mod workbench;
