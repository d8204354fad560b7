//! Hookway: a self-hosted event router with sandboxed WebAssembly plugins.

pub mod activity;
pub mod api;
pub mod auth;
pub mod catalogue;
pub mod clock;
pub mod control;
pub mod delivery;
pub mod digest;
pub mod egress;
pub mod event;
pub mod id;
pub mod ingest;
pub mod json;
pub mod plugin;
pub mod profile;
pub mod registry;
pub mod retry;
pub mod routing;
pub mod secret;
pub mod signature;
pub mod store;
pub mod subscription;
pub mod time;
pub mod verdict;
pub mod vault;
