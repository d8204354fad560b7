//! What can be wrong with a filter, told when it is saved: each text says what would be right instead.

use super::{NESTING_MAX, NODES_MAX};
use crate::subscription::FILTER_BYTES_MAX;

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterFault {
    /// Nothing there.
    #[error("the filter is empty; leave it out to let every event pass")]
    Empty,
    /// Too long.
    #[error("the filter is longer than {FILTER_BYTES_MAX} bytes")]
    TooLong,
    /// Nested too deep.
    #[error("the filter is nested deeper than {NESTING_MAX} levels")]
    TooDeep,
    /// Too many nodes.
    #[error("the filter has more than {NODES_MAX} parts; let a plugin decide instead")]
    TooMany,
    /// Not CEL.
    #[error("the filter is not a CEL expression: {detail}")]
    Syntax {
        /// The CEL library's words.
        detail: String,
    },
    /// An unknown variable.
    #[error("`{name}` is unknown; a filter knows `event`, `type` and `data`")]
    Variable {
        /// Which.
        name: String,
    },
    /// An unknown attribute.
    #[error("`event.{name}` is unknown; an event has id, source, type, subject, time, extensions and data")]
    Attribute {
        /// Which.
        name: String,
    },
    /// `event` as a value.
    #[error("`event` can only be used with an attribute, as in `event.type`")]
    WholeEvent,
    /// An unknown function.
    #[error("the function `{name}` is unknown to filters")]
    Function {
        /// Which.
        name: String,
    },
    /// A regular expression that cannot be bounded, or is none.
    #[error("matches(): {detail}")]
    Regex {
        /// What is wrong.
        detail: String,
    },
    /// A comprehension that cannot be bounded.
    #[error("all, exists, exists_one, filter and map: {detail}")]
    Comprehension {
        /// What is wrong.
        detail: &'static str,
    },
    /// Something of CEL that filters have no use for.
    #[error("{what} cannot be used in a filter")]
    Unsupported {
        /// What.
        what: &'static str,
    },
    /// The CEL library panicked.
    #[error("the filter could not be read: a fault in the filter engine")]
    Panicked,
}
