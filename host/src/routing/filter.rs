//! Filters: CEL expressions over one event, compiled when a subscription is saved.
//!
//! An expression sees `event` (`id`, `source`, `type`, `subject`, `time`, `extensions`, `data`) and, as
//! shortcuts, `type` and `data`. `data` is the parsed JSON, or null where the data is not JSON. The result
//! must be `true` or `false`; anything else, and every error, counts as no match and is shown.
//!
//! An expression may be written by somebody who means harm, so its cost is bounded when it is saved
//! ([`check`]): length, nesting and number of nodes; known names and functions only; a comprehension
//! runs over a path in the event and its body sees the element but not the data as a whole, builds no
//! strings or lists, and holds no other comprehension. Together with [`FILTER_DATA_BYTES_MAX`] that
//! makes time and memory linear in nodes times data. What the CEL library might still do wrong, a panic,
//! is caught and becomes an error like any other.

mod check;
mod fault;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use cel::{Context, Env, IdedExpr, Value};

pub use check::{MATCHES_MAX, NODES_MAX, REGEX_BYTES_MAX};
pub use fault::FilterFault;

use super::value;
use crate::event::Event;
use crate::subscription::FILTER_BYTES_MAX;

/// Deepest nesting of an expression, in levels of the grammar's `expr`; each costs the parser stack.
pub const NESTING_MAX: u16 = 24;
/// Largest data that filters read, in bytes. Larger events are matched by their attributes only: a
/// filter that asks for their data fails, visibly.
pub const FILTER_DATA_BYTES_MAX: usize = 256 * 1_024;
/// Longest error text that is shown, in characters.
const ERROR_CHARS_MAX: usize = 300;

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

/// A compiled filter.
#[derive(Debug)]
pub struct Filter {
    expression: IdedExpr,
    reads_data: bool,
}

/// Why a filter gave no answer for an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// The expression failed, such as by asking for a field that is not there.
    #[error("{detail}")]
    Failed {
        /// The CEL library's words.
        detail: String,
    },
    /// The expression gave something that is neither true nor false.
    #[error("the result is {what}, not true or false")]
    NotBool {
        /// What it gave.
        what: &'static str,
    },
    /// The data is too large to be filtered by.
    #[error("the data has {bytes} bytes; filters read data of up to {FILTER_DATA_BYTES_MAX}")]
    DataTooLarge {
        /// How large it is.
        bytes: usize,
    },
    /// The data says that it is JSON and is not.
    #[error("the data is not valid JSON")]
    DataInvalid,
    /// The CEL library panicked.
    #[error("the expression could not be evaluated: a fault in the filter engine")]
    Panicked,
}

/// One event as filters see it; made once per event, and its data is parsed when the first filter asks.
pub struct FilterContext<'e> {
    event: &'e Event,
    context: Option<Context<'static, 'static>>,
    data: Option<Result<(), FilterError>>,
}

impl Filter {
    /// Reads and checks an expression.
    pub fn compile(source: &str) -> Result<Self, FilterFault> {
        if source.trim().is_empty() {
            return Err(FilterFault::Empty);
        }
        if source.len() > FILTER_BYTES_MAX {
            return Err(FilterFault::TooLong);
        }
        check::nesting(source)?;
        let parse = || ENV.parser().max_recursion_depth(NESTING_MAX * 2).parse(source);
        // A panic in the parser is a fault of the library, not a reason for the process to end.
        let parsed = catch_unwind(AssertUnwindSafe(parse)).map_err(|_| FilterFault::Panicked)?;
        let expression = parsed.map_err(|errors| FilterFault::Syntax {
            detail: shortened(&errors.to_string()),
        })?;
        let (expression, reads_data) = check::check(expression)?;
        let filter = Self {
            expression,
            reads_data,
        };
        for pattern in check::regexes(&filter.expression) {
            filter.try_regex(pattern)?;
        }
        Ok(filter)
    }

    /// Whether the event passes.
    pub fn matches(&self, context: &mut FilterContext<'_>) -> Result<bool, FilterError> {
        if self.reads_data {
            context.parse_data()?;
        }
        let context = context.context();
        let evaluate = || Value::resolve(&self.expression, context);
        // The library has panics for states that its parser should never produce; see `compile`.
        match catch_unwind(AssertUnwindSafe(evaluate)) {
            Ok(Ok(Value::Bool(matched))) => Ok(matched),
            Ok(Ok(other)) => Err(FilterError::NotBool {
                what: name_of(&other),
            }),
            Ok(Err(error)) => Err(FilterError::Failed {
                detail: shortened(&error.to_string()),
            }),
            Err(_) => Err(FilterError::Panicked),
        }
    }

    /// Compiles a regular expression once, so that a wrong one is told when the filter is saved.
    fn try_regex(&self, pattern: &str) -> Result<(), FilterFault> {
        let literal = serde_json::Value::from(pattern).to_string();
        let program = ENV.parser().parse(&format!("''.matches({literal})"));
        let result = program.map(|program| Value::resolve(&program, &Context::with_env(Arc::clone(&ENV))));
        match result {
            Ok(Ok(_)) => Ok(()),
            _ => Err(FilterFault::Regex {
                detail: format!("`{pattern}` is not a regular expression that is supported"),
            }),
        }
    }
}

impl<'e> FilterContext<'e> {
    /// Nothing is done yet: an event that nobody filters costs nothing.
    pub const fn new(event: &'e Event) -> Self {
        Self {
            event,
            context: None,
            data: None,
        }
    }

    fn context(&mut self) -> &mut Context<'static, 'static> {
        let event = self.event;
        self.context.get_or_insert_with(|| {
            let mut context = Context::with_env(Arc::clone(&ENV));
            context.add_variable_as_val("type", value::string(&event.event_type));
            context.add_variable_as_val("event.id", value::string(&event.cloudevents_id()));
            context.add_variable_as_val("event.source", value::string(&event.source));
            context.add_variable_as_val("event.subject", value::optional(event.subject.as_deref()));
            context.add_variable_as_val("event.time", value::string(&event.time.to_string()));
            context.add_variable_as_val("event.extensions", value::strings(&event.extensions));
            context
        })
    }

    fn parse_data(&mut self) -> Result<(), FilterError> {
        if let Some(done) = &self.data {
            return done.clone();
        }
        let data = if !self.event.is_json() || self.event.data.is_empty() {
            Ok(value::null())
        } else if self.event.data.len() > FILTER_DATA_BYTES_MAX {
            let bytes = self.event.data.len();
            Err(FilterError::DataTooLarge { bytes })
        } else {
            value::from_json(&self.event.data).map_err(|_| FilterError::DataInvalid)
        };
        let done = data.map(|data| self.context().add_variable_as_val("data", data));
        self.data = Some(done.clone());
        done
    }
}

fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::String(_) => "a string",
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => "a number",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
        _ => "something else",
    }
}

/// Error texts can quote values of any size.
fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(ERROR_CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;
