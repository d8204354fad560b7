//! From wasmtime's errors to the few kinds of fault that people filter by.

use wasmtime::Trap;
use wasmtime_wasi::I32Exit;

use crate::delivery::FaultKind;

use super::limiter::Refused;
use super::wasi::Waited;

/// A plugin broke a rule of the host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Fault {
    /// Which kind.
    pub kind: FaultKind,
    /// What exactly.
    pub detail: String,
}

/// How wasmtime's exhausted hostcall fuel begins. Its type is private, so the text is all there is; a
/// test fails when it changes, and until then such a fault would only be called by another name.
const FUEL_EXHAUSTED: &str = "too much data is being copied between the host and the guest";

/// How the log line of a panic begins; the SDK's panic hook writes it.
const PANICKED: &str = "panicked at ";

/// How long a call may take, and by which setting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowed {
    /// The setting.
    pub(super) setting: &'static str,
    /// Its value.
    pub(super) ms: u64,
}

/// Sorts an error of a call or an instantiation that was allowed so much time. `refused` is what the
/// limiter said no to in it, `last_error` the newest error line of the plugin's log.
pub(super) fn classify(
    error: &wasmtime::Error,
    allowed: Allowed,
    refused: Option<Refused>,
    last_error: Option<&str>,
) -> Fault {
    let root = error.root_cause().to_string();
    let (kind, what) = if let Some(exit) = error.downcast_ref::<I32Exit>() {
        (
            FaultKind::Trap,
            format!("the plugin ended itself with exit code {}", exit.0),
        )
    } else if error.downcast_ref::<Waited>().is_some() {
        (FaultKind::Trap, Waited.to_string())
    } else {
        match (error.downcast_ref::<Trap>(), refused) {
            (Some(Trap::Interrupt), _) => (
                FaultKind::Timeout,
                format!(
                    "ran longer than its time limit ({} ms, `{}`)",
                    allowed.ms, allowed.setting
                ),
            ),
            (Some(Trap::StackOverflow), _) => (FaultKind::Stack, "used up its stack".to_owned()),
            (_, Some(refused)) => (FaultKind::Memory, refused.to_string()),
            // A panic ends so, and what it said tells more than how it ended.
            (Some(Trap::UnreachableCodeReached), None)
                if last_error.is_some_and(|line| line.starts_with(PANICKED)) =>
            {
                let said = last_error.unwrap_or_default().to_owned();
                return Fault {
                    kind: FaultKind::Trap,
                    detail: said,
                };
            }
            (Some(trap), None) => (FaultKind::Trap, trap.to_string()),
            (None, None) if root.starts_with(FUEL_EXHAUSTED) => (
                FaultKind::OutputTooLarge,
                "its output is larger than `plugins.output_bytes`".to_owned(),
            ),
            (None, None) => (FaultKind::InvalidOutput, root),
        }
    };
    let detail = match last_error {
        Some(line) => format!("{what}; last error in its log: {line}"),
        None => what,
    };
    Fault { kind, detail }
}
