//! What a store says about itself, for `hookway doctor`.

use futures_util::future::BoxFuture;

use super::Result;
use crate::checkup::Check;
use crate::checkup::stride::{Place, Stride};
use crate::time::Timestamp;

/// A store looks at itself. Nothing is changed by it.
pub trait Inspection {
    /// How it is, as far as a moment tells: what grows with what is stored is not read.
    fn checks(&self, now: Timestamp) -> BoxFuture<'_, Result<Vec<Check>>>;

    /// One stride through everything that is stored: bounded work on one state, beside all other calls.
    fn recount(&self, from: Place) -> BoxFuture<'_, Result<Stride>>;
}
