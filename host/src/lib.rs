//! Hookway: a self-hosted event router with sandboxed WebAssembly plugins.

pub mod auth;
pub mod clock;
pub mod delivery;
pub mod digest;
pub mod event;
pub mod id;
pub mod json;
pub mod plugin;
pub mod secret;
pub mod store;
pub mod subscription;
pub mod time;
