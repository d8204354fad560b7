//! `hookway openapi`: the document of the HTTP API, from the code of this binary.

use super::output::write_bytes;
use super::{Context, Failure};

/// Prints the document.
pub(super) fn run(_: &Context) -> Result<(), Failure> {
    write_bytes(format!("{}\n", crate::api::openapi::text()).as_bytes())
}
