//! Write plugins for Hookway.
//!
//! A plugin takes one event and answers with the requests that are sent to a subscription's
//! endpoint, or says why nothing is sent. It is one type, one trait and one macro:
//!
//! ```
//! use hookway_plugin::prelude::*;
//!
//! #[config]
//! struct Greeter { channel: String }
//!
//! #[data]
//! struct Lead<'a> { name: &'a str }
//!
//! impl Plugin for Greeter {
//!     type Config = Self;
//!     fn configure(config: Self) -> Result<Self, Vec<Problem>> { Ok(config) }
//!     fn transform(&self, event: &Event, _: &Context) -> Result<Outcome, Failure> {
//!         let lead: Lead = event.json()?;
//!         deliver(Request::json(&json!({"channel": self.channel, "text": lead.name}))?)
//!     }
//! }
//! hookway_plugin::export!(Greeter);
//! # fn main() {}
//! ```
//!
//! `hookway plugin new NAME` makes a crate around it. `hookway-plugin` is the only dependency. In
//! `Cargo.toml` the library is a `cdylib` (the component) and an `rlib` (for tests):
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib", "rlib"]
//! ```
//!
//! Off WebAssembly the same code compiles natively, so `cargo test` needs neither a target nor
//! Hookway; [`testing`] runs a plugin on an event and gives back what it decided and logged.
//! Name, version and summary of the plugin come from `Cargo.toml`, the schema of its configuration
//! from the type, and the descriptions in it from documentation comments.
//!
//! What a guest may do besides computing is what its component imports. This SDK imports one thing,
//! the log ([`log`]).

// The attributes `config` and `data` name this crate as its users do.
extern crate self as hookway_plugin;

mod event;
mod form;
mod manifest;
mod outcome;
mod plugin;
mod request;

#[doc(hidden)]
pub mod export;
#[doc(hidden)]
pub mod heap;
pub mod log;
pub mod testing;

pub use event::{Context, Event};
pub use hookway_plugin_macros::{config, data};
pub use manifest::{Manifest, Package};
pub use outcome::{Failure, OrFail, Outcome, deliver, filtered, misconfigured, reject, retry, retry_after};
pub use plugin::{NoConfig, Plugin, Problem};
pub use request::{EmittedEvent, Method, Output, Request};
pub use {schemars, serde, serde_json};

/// What a plugin needs, in one line.
pub mod prelude {
    pub use crate::log;
    pub use crate::serde_json::{Value, json};
    pub use crate::{
        Context, EmittedEvent, Event, Failure, Method, NoConfig, OrFail, Outcome, Output, Plugin, Problem,
        Request, config, data, deliver, filtered, misconfigured, reject, retry, retry_after,
    };
}

/// The recipes of the cookbook are compiled and tested as they stand there.
#[cfg(doctest)]
#[doc = include_str!("../../docs/cookbook.md")]
pub struct Cookbook;

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
