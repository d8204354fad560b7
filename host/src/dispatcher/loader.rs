//! Payloads of rows that start without one, read together.
//!
//! Most rows start with the payload that was handed over when it was accepted. Those that come from the
//! ledger do not, and they come by the thousand: after a start, an outage, a pause. Each reading is a
//! transaction on a thread of its own, so what is asked for while one runs is read by the next, in one.
//! Where something in it is damaged, each is asked for alone, so that all others are read. Any other error is
//! the store's and not one event's: it is everybody's answer, and nothing is asked again.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::event::Event;
use crate::id::EventId;
use crate::store::{Error, Result, Store};

/// Events read in one transaction; a few milliseconds, for which the write-ahead log is held.
const TOGETHER_MAX: usize = 256;

/// What became of one reading: nothing where the event has expired.
type Found = Result<Option<Arc<Event>>>;

struct Wanted {
    id: EventId,
    answer: oneshot::Sender<Found>,
}

/// The way to ask. The task behind it ends with it.
#[derive(Debug)]
pub struct Loader(mpsc::Sender<Wanted>);

impl Loader {
    /// Starts the task that reads.
    pub fn start(store: Arc<dyn Store>) -> Self {
        let (sender, receiver) = mpsc::channel(TOGETHER_MAX);
        let read = move |ids| {
            let store = Arc::clone(&store);
            async move { store.events_by_id(ids).await }
        };
        tokio::spawn(serve(read, receiver));
        Self(sender)
    }

    /// The event with this id, unless it has expired.
    pub(super) async fn event(&self, id: EventId) -> Found {
        let (answer, answered) = oneshot::channel();
        if self.0.send(Wanted { id, answer }).await.is_err() {
            return Err(Error::Closed);
        }
        answered.await.unwrap_or(Err(Error::Closed))
    }
}

async fn serve<R, F>(read: R, mut receiver: mpsc::Receiver<Wanted>)
where
    R: Fn(Vec<EventId>) -> F,
    F: Future<Output = Result<Vec<Option<Arc<Event>>>>>,
{
    let mut wanted = Vec::with_capacity(TOGETHER_MAX);
    while receiver.recv_many(&mut wanted, TOGETHER_MAX).await > 0 {
        let ids = wanted.iter().map(|wanted| wanted.id).collect();
        // Who asked may have gone: its deliveries are cut off when the router stops.
        match read(ids).await {
            Ok(events) => {
                for (wanted, event) in wanted.drain(..).zip(events) {
                    drop(wanted.answer.send(Ok(event)));
                }
            }
            // One that is damaged must not cost the others theirs.
            Err(Error::Damaged { .. }) if wanted.len() > 1 => {
                for Wanted { id, answer } in wanted.drain(..) {
                    let found = read(vec![id]).await;
                    drop(answer.send(found.map(|events| events.into_iter().next().flatten())));
                }
            }
            Err(error) => {
                for wanted in wanted.drain(..) {
                    drop(wanted.answer.send(Err(error.again())));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::id::Id;

    /// What becomes of everybody in a reading of so many, and how often it was read for that.
    async fn asked(
        count: i64,
        read: impl Fn(&[EventId]) -> Result<()> + Send + 'static,
    ) -> (Vec<Found>, usize) {
        let (sender, receiver) = mpsc::channel(TOGETHER_MAX);
        let mut answers = Vec::new();
        for number in 1..=count {
            let (answer, answered) = oneshot::channel();
            let id = Id::from_number(number);
            sender.send(Wanted { id, answer }).await.unwrap();
            answers.push(answered);
        }
        drop(sender);
        let readings = AtomicUsize::new(0);
        let read = |ids: Vec<EventId>| {
            readings.fetch_add(1, Ordering::Relaxed);
            std::future::ready(read(&ids).map(|()| vec![None; ids.len()]))
        };
        serve(read, receiver).await;
        let mut found = Vec::new();
        for answered in answers {
            found.push(answered.await.unwrap());
        }
        (found, readings.into_inner())
    }

    #[tokio::test]
    async fn one_that_is_damaged_costs_the_others_nothing() {
        let (found, readings) = asked(5, |ids| match ids.contains(&Id::from_number(3)) {
            true => Err(Error::Damaged { what: "3".to_owned() }),
            false => Ok(()),
        })
        .await;
        let whole: Vec<bool> = found.iter().map(Found::is_ok).collect();
        assert_eq!(whole, [true, true, false, true, true]);
        assert!(matches!(&found[2], Err(Error::Damaged { what }) if what == "3"));
        assert_eq!(readings, 6);
        // One that is alone is not asked for twice.
        let damaged = |_: &[EventId]| Err(Error::Damaged { what: "1".to_owned() });
        let (found, readings) = asked(1, damaged).await;
        assert!(matches!(&found[0], Err(Error::Damaged { .. })));
        assert_eq!(readings, 1);
    }

    #[tokio::test]
    async fn a_store_that_is_gone_or_busy_is_asked_once() {
        let many = i64::try_from(TOGETHER_MAX).unwrap();
        for error in [
            Error::Closed,
            Error::Busy,
            Error::Backend("the disk is gone".into()),
        ] {
            let expected = error.to_string();
            let (found, readings) = asked(many, move |_| Err(error.again())).await;
            assert_eq!((found.len(), readings), (TOGETHER_MAX, 1), "{expected}");
            for found in found {
                assert_eq!(found.unwrap_err().to_string(), expected);
            }
        }
    }
}
