//! Why a command failed, and the exit code that says so.

use std::process::ExitCode;

use super::problem::Problem;
use crate::config;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The call was wrong; trying it again as it is will not help.
    #[error("{0}")]
    Usage(String),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// Nobody answered.
    #[error(
        "no answer from {url}: is a router running there? `hookway serve` starts one; --server or HOOKWAY_URL \
         says where another is"
    )]
    Unreachable {
        /// Where nobody answered; scheme, host and port.
        url: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The router said no.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// Something else went wrong.
    #[error("{what}")]
    Other {
        /// What was tried.
        what: String,
        /// Why it failed, where something else says so.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Nobody reads what is written any more (`hookway events list | head`). Not worth a word.
    #[error("nobody reads the output")]
    OutputClosed,
}

impl Failure {
    /// The call was wrong.
    pub fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// Something went wrong that has no further cause.
    pub fn other(what: impl Into<String>) -> Self {
        Self::Other {
            what: what.into(),
            source: None,
        }
    }

    /// Something went wrong because of this.
    pub fn because(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Other {
            what: what.into(),
            source: Some(source.into()),
        }
    }

    /// The system refused something.
    pub fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::because(what, source)
    }

    /// What the process says to who started it.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::OutputClosed => ExitCode::SUCCESS,
            Self::Problem(_) | Self::Other { .. } => ExitCode::from(1),
            Self::Usage(_) | Self::Config(_) => ExitCode::from(2),
            Self::Unreachable { .. } => ExitCode::from(3),
        }
    }

    /// The sentence and its causes, one a line.
    pub fn chain(&self) -> Vec<String> {
        let mut lines = vec![self.to_string()];
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let line = error.to_string();
            // Libraries like to repeat the text of their cause in their own.
            if lines.last().is_none_or(|last| !last.contains(&line)) {
                lines.push(line);
            }
            cause = error.source();
        }
        lines
    }
}
