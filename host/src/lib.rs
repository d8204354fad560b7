//! Hookway: a self-hosted event router with sandboxed WebAssembly plugins.

pub mod clock;
pub mod config;
pub mod delivery;
pub mod digest;
pub mod event;
pub mod id;
pub mod profile;
pub mod retry;
pub mod secret;
pub mod signature;
pub mod store;
pub mod subscription;
pub mod telemetry;
pub mod time;
pub mod verdict;
