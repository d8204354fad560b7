//! The one trait of a plugin.
//!
//! A value of the type is one configured plugin: an instance belongs to one subscription, is
//! configured once and then given its events one after another. It may be thrown away between any
//! two of them, so what it keeps is a cache and never a fact.

use crate::event::{Context, Event};
use crate::outcome::{Failure, Outcome};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::fmt;

/// A plugin that reshapes events into requests.
pub trait Plugin: Sized + 'static {
    /// The configuration, as a subscription gives it: a type marked with
    /// [`#[config]`](crate::config), or [`NoConfig`].
    type Config: DeserializeOwned + JsonSchema;

    /// Headers of the event's request that the plugin wants among the attributes, lower-case:
    /// `&["x-github-event"]`, then [`Event::header`]. Only events of sources have headers. They are
    /// not free; without this none come.
    const WANTS_HEADERS: &'static [&'static str] = &[];

    /// Event types that the plugin can do something with, as patterns (`alert.created`, `alert.*`,
    /// `*`). Empty means all.
    const EVENT_TYPES: &'static [&'static str] = &[];

    /// Makes a plugin out of a configuration that has the right shape. Called once per instance,
    /// and when a subscription is saved: whatever is slow (compiling a template) belongs here, and
    /// whatever is wrong is said here, to the person who can change it.
    ///
    /// # Errors
    /// Every fault that was found, each with its place.
    fn configure(config: Self::Config) -> Result<Self, Vec<Problem>>;

    /// Reshapes one event. It must give the same answer for the same event, because it may be
    /// asked again.
    ///
    /// # Errors
    /// A [`Failure`] that says whether another run could help.
    fn transform(&self, event: &Event, context: &Context) -> Result<Outcome, Failure>;
}

/// A fault in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: a JSON Pointer (RFC 6901) into the configuration, empty for the whole.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

impl Problem {
    /// A fault at a place, such as `/channel`.
    pub fn at(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            detail: detail.into(),
        }
    }

    /// A fault of the configuration as a whole.
    pub fn new(detail: impl Into<String>) -> Self {
        Self::at("", detail)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() {
            formatter.write_str(&self.detail)
        } else {
            write!(formatter, "{}: {}", self.pointer, self.detail)
        }
    }
}

/// The configuration of a plugin that has none: an empty object.
#[crate::config]
#[derive(Clone, Copy, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}
