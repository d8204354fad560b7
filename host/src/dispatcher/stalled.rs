//! Outcomes that find no room in the store: they wait, and while any waits nothing new is started.
//!
//! What was sent and is not recorded is sent again after a crash, so sending more would only add to that.
//! Of all that wait one tries, every [`AGAIN`]; when it gets through, the others follow at once, together.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::store;

/// Pause before a full or busy store is asked again to record an outcome.
const AGAIN: Duration = Duration::from_millis(500);

/// Who waits.
#[derive(Debug, Default)]
pub struct Stalled {
    waiting: AtomicUsize,
    written: AtomicU64,
    turn: tokio::sync::Mutex<()>,
}

impl Stalled {
    /// Whether an outcome waits to be recorded.
    pub(super) fn is_stalled(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// Writes, as often as it takes, until the store does anything but to say that it has no room now.
    pub(super) async fn written<T, W>(&self, write: impl Fn() -> W) -> store::Result<T>
    where
        W: Future<Output = store::Result<T>>,
    {
        let first = write().await;
        match &first {
            Err(error) if has_no_room(error) => self.wait(error),
            _ => return first,
        }
        let _waits = Waits(self);
        loop {
            let before = self.written.load(Ordering::Acquire);
            let turn = self.turn.lock().await;
            let ours = self.written.load(Ordering::Acquire) == before;
            if ours {
                tokio::time::sleep(AGAIN).await;
            } else {
                drop(turn);
            }
            match write().await {
                Err(error) if has_no_room(&error) => {}
                other => {
                    self.written.fetch_add(1, Ordering::AcqRel);
                    return other;
                }
            }
        }
    }

    fn wait(&self, error: &store::Error) {
        if self.waiting.fetch_add(1, Ordering::AcqRel) == 0 {
            let error: &dyn std::error::Error = error;
            tracing::error!(
                error,
                "outcomes cannot be recorded; nothing is started until they are"
            );
        }
    }
}

/// One that waits, however it ends.
struct Waits<'s>(&'s Stalled);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if self.0.waiting.fetch_sub(1, Ordering::AcqRel) == 1 {
            tracing::info!("all outcomes that waited are recorded");
        }
    }
}

fn has_no_room(error: &store::Error) -> bool {
    matches!(error, store::Error::Full(_) | store::Error::Busy)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;

    fn full() -> store::Error {
        store::Error::Full("no room".into())
    }

    #[tokio::test]
    async fn one_tries_for_all_and_then_all_get_through() {
        let (stalled, full_now) = (Arc::new(Stalled::default()), Arc::new(AtomicBool::new(true)));
        let (tries, mut tried) = tokio::sync::watch::channel(0);
        let all: Vec<_> = (0..100)
            .map(|number| {
                let (stalled, full_now, tries) = (stalled.clone(), full_now.clone(), tries.clone());
                let write = move || {
                    tries.send_modify(|tries| *tries += 1);
                    let full_now = full_now.load(Ordering::SeqCst);
                    std::future::ready(if full_now { Err(full()) } else { Ok(number) })
                };
                tokio::spawn(async move { stalled.written(write).await.unwrap() })
            })
            .collect();
        // Each tried once; then one every half second, for all of them.
        tried.wait_for(|tries| *tries >= 102).await.unwrap();
        assert!(stalled.is_stalled());
        full_now.store(false, Ordering::SeqCst);
        for (number, task) in all.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), number);
        }
        assert!(!stalled.is_stalled());
        let tries = *tried.borrow();
        assert!((202..=204).contains(&tries), "{tries}");
    }

    #[tokio::test]
    async fn what_is_no_want_of_room_is_told_at_once() {
        let stalled = Stalled::default();
        let gone = stalled
            .written(|| std::future::ready(Err::<(), _>(store::Error::Closed)))
            .await;
        assert!(matches!(gone, Err(store::Error::Closed)));
        assert!(!stalled.is_stalled());
    }
}
