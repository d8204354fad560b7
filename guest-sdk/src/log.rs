//! Lines for people, kept with the delivery.
//!
//! `log::info!("sent {} fields", count)` costs nothing where the level is not kept: the host is
//! asked once per run which levels are, and text is only made for those. Off WebAssembly, lines go
//! to the test that runs the plugin ([`crate::testing`]) and otherwise nowhere.

use std::cell::{Cell, RefCell};
use std::fmt;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// What helps its author.
    Debug,
    /// What an operator may want to know.
    Info,
    /// What looks wrong but was coped with.
    Warn,
    /// What went wrong.
    Error,
}

/// Where lines go: the host's import in a guest, a buffer in a test.
pub(crate) trait Sink {
    /// Takes a line.
    fn write(&mut self, level: Level, text: &str);
    /// The lowest level that is kept.
    fn lowest(&mut self) -> Level;
}

thread_local! {
    static SINK: RefCell<Option<Box<dyn Sink>>> = const { RefCell::new(None) };
    static LOWEST: Cell<Option<Level>> = const { Cell::new(None) };
}

/// Replaces the sink and gives back the one before it.
pub(crate) fn replace_sink(sink: Option<Box<dyn Sink>>) -> Option<Box<dyn Sink>> {
    new_run();
    SINK.with_borrow_mut(|current| std::mem::replace(current, sink))
}

/// Whether a sink is there.
#[cfg(target_family = "wasm")]
pub(crate) fn has_sink() -> bool {
    SINK.with_borrow(Option::is_some)
}

/// Forgets which levels are kept, because the operator may have changed it between two runs.
pub(crate) fn new_run() {
    LOWEST.set(None);
}

/// Whether lines of this level are kept.
pub fn enabled(level: Level) -> bool {
    let lowest = LOWEST.get().or_else(|| {
        let asked = SINK.with(|sink| Some(sink.try_borrow_mut().ok()?.as_mut()?.lowest()));
        LOWEST.set(asked);
        asked
    });
    lowest.is_some_and(|lowest| level >= lowest)
}

/// Adds a line, if its level is kept. The macros are the shorter way.
pub fn write(level: Level, text: fmt::Arguments<'_>) {
    if !enabled(level) {
        return;
    }
    let line = text
        .as_str()
        .map_or_else(|| text.to_string().into(), std::borrow::Cow::Borrowed);
    SINK.with(|sink| {
        // A panic while a line is being written must not panic again in the panic hook.
        if let Ok(mut sink) = sink.try_borrow_mut()
            && let Some(sink) = sink.as_mut()
        {
            sink.write(level, &line);
        }
    });
}

/// Adds a line of the level `trace`, formatted as by `format!`.
#[doc(hidden)]
#[macro_export]
macro_rules! __trace {
    ($($text:tt)+) => { $crate::log::write($crate::log::Level::Trace, ::core::format_args!($($text)+)) };
}

/// Adds a line of the level `debug`, formatted as by `format!`.
#[doc(hidden)]
#[macro_export]
macro_rules! __debug {
    ($($text:tt)+) => { $crate::log::write($crate::log::Level::Debug, ::core::format_args!($($text)+)) };
}

/// Adds a line of the level `info`, formatted as by `format!`.
#[doc(hidden)]
#[macro_export]
macro_rules! __info {
    ($($text:tt)+) => { $crate::log::write($crate::log::Level::Info, ::core::format_args!($($text)+)) };
}

/// Adds a line of the level `warn`, formatted as by `format!`.
#[doc(hidden)]
#[macro_export]
macro_rules! __warn {
    ($($text:tt)+) => { $crate::log::write($crate::log::Level::Warn, ::core::format_args!($($text)+)) };
}

/// Adds a line of the level `error`, formatted as by `format!`.
#[doc(hidden)]
#[macro_export]
macro_rules! __error {
    ($($text:tt)+) => { $crate::log::write($crate::log::Level::Error, ::core::format_args!($($text)+)) };
}

#[doc(inline)]
pub use crate::{
    __debug as debug, __error as error, __info as info, __trace as trace, __warn as warn,
};
