//! What the router says about itself: structured lines on standard error.
//!
//! Standard output belongs to the answers of commands. Lines carry ids, never payloads, secrets or
//! endpoint URLs; whoever writes a line keeps to that.

mod budget;
mod lines;

pub use budget::Budget;
pub use lines::Lines;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Log, LogFormat};

/// Why lines cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is not one.
    #[error("log.filter {filter:?} is not a level or a list of target=level")]
    Filter {
        /// What was given.
        filter: String,
        /// Why.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Something else in the process writes lines already.
    #[error("logging is set up already")]
    Twice(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Colours in text lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// For a terminal.
    On,
    /// For files, pipes and people who do not want them.
    Off,
}

/// Starts writing lines, for the whole process, once.
pub fn start(log: &Log, colour: Colour) -> Result<(), Error> {
    let filter = filter_from(&log.filter)?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let done = match log.format {
        LogFormat::Text => lines
            .with_ansi(colour == Colour::On)
            .finish()
            .with(lines::Counting)
            .try_init(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .finish()
            .with(lines::Counting)
            .try_init(),
    };
    done.map_err(|twice| Error::Twice(twice.into()))
}

fn filter_from(filter: &str) -> Result<EnvFilter, Error> {
    EnvFilter::try_new(filter).map_err(|source| Error::Filter {
        filter: filter.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_levels_and_lists() {
        for good in ["info", "warn,hookway=debug", "hookway::store=trace"] {
            assert!(filter_from(good).is_ok(), "{good}");
        }
        assert!(matches!(filter_from("hookway=loud"), Err(Error::Filter { .. })));
    }
}
