//! What a plugin says of itself: taken from its `Cargo.toml`, its trait and its configuration type,
//! so that nothing is written twice.

use crate::export::Exported;
use schemars::generate::SchemaSettings;

/// What `Cargo.toml` says, put in by [`crate::export!`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package {
    /// The plugin's name: the crate's, or the one given to `export!`.
    pub name: &'static str,
    /// The crate's version.
    pub version: &'static str,
    /// The crate's description.
    pub summary: &'static str,
}

/// The answer of `describe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Name, version and summary.
    pub package: Package,
    /// JSON Schema (draft 2020-12) of the configuration.
    pub config_schema: String,
    /// See [`crate::Plugin::WANTS_HEADERS`].
    pub wants_headers: Vec<String>,
    /// See [`crate::Plugin::EVENT_TYPES`].
    pub event_types: Vec<String>,
}

impl Manifest {
    /// The manifest of an exported plugin.
    pub fn of<P: Exported>() -> Self {
        let schema = SchemaSettings::draft2020_12()
            .into_generator()
            .into_root_schema_for::<P::Config>();
        Self {
            package: P::PACKAGE,
            config_schema: schema.as_value().to_string(),
            wants_headers: P::WANTS_HEADERS
                .iter()
                .map(|name| name.to_ascii_lowercase())
                .collect(),
            event_types: P::EVENT_TYPES
                .iter()
                .map(|&pattern| pattern.to_owned())
                .collect(),
        }
    }
}
