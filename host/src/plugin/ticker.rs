//! The clock hand that stops guests: a thread that advances the engine's epoch while guests run.
//!
//! It sleeps in `park` while nothing runs, so an idle router spends no processor time on it, and it
//! ends with the runtime. It is a thread of its own because everything else may be busy or blocked
//! exactly when a guest must be stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use wasmtime::Engine;

/// Owns the thread.
#[derive(Debug)]
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    handle: Thread,
}

#[derive(Debug, Default)]
struct Shared {
    running: AtomicUsize,
    ended: AtomicBool,
}

/// While one of these lives, the epoch advances.
#[derive(Debug)]
pub(super) struct Running<'a>(&'a Shared);

impl Ticker {
    /// Starts the thread. `also` is called with every tick and must not wait.
    pub(super) fn start(
        engine: &Engine,
        tick: Duration,
        also: impl Fn() + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (engine, seen) = (engine.clone(), Arc::clone(&shared));
        let thread = thread::Builder::new()
            .name("plugin-ticker".to_owned())
            .spawn(move || {
                while !seen.ended.load(Ordering::SeqCst) {
                    if seen.running.load(Ordering::SeqCst) == 0 {
                        thread::park();
                    } else {
                        #[expect(clippy::disallowed_methods, reason = "ticking is what this thread is for")]
                        thread::sleep(tick);
                        engine.increment_epoch();
                        also();
                    }
                }
            })?;
        let handle = thread.thread().clone();
        Ok(Self {
            shared,
            thread: Some(thread),
            handle,
        })
    }

    /// Says that a guest is about to run.
    pub(super) fn run(&self) -> Running<'_> {
        if self.shared.running.fetch_add(1, Ordering::SeqCst) == 0 {
            self.handle.unpark();
        }
        Running(&self.shared)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.handle.unpark();
        if let Some(thread) = self.thread.take() {
            // Its only way to fail is a panic, which `increment_epoch` has no cause for.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::engine;

    #[test]
    fn it_ends_whether_guests_ran_or_not() {
        let engine = engine::compiler().unwrap();
        let tick = Duration::from_millis(1);
        drop(Ticker::start(&engine, tick, || {}).unwrap());
        let ticker = Ticker::start(&engine, tick, || {}).unwrap();
        let (one, other) = (ticker.run(), ticker.run());
        assert_eq!(ticker.shared.running.load(Ordering::SeqCst), 2);
        drop((one, other));
        assert_eq!(ticker.shared.running.load(Ordering::SeqCst), 0);
        drop(ticker);
    }
}
