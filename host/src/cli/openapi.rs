//! `hookway openapi`: the document of the HTTP API, from the code of this binary.

use super::output::write_bytes;
use super::{Context, Failure};

/// Prints the document.
pub(super) fn run(_: &Context) -> Result<(), Failure> {
    let text = crate::api::openapi()
        .to_pretty_json()
        .map_err(|error| Failure::because("the document cannot be written", error))?;
    write_bytes(format!("{text}\n").as_bytes())
}
