//! Payloads of rows that start without one, read together.
//!
//! Most rows start with the payload that was handed over when it was accepted. Those that come from the
//! ledger do not, and they come by the thousand: after a start, an outage, a pause. Each reading is a
//! transaction on a thread of its own, so what is asked for while one runs is read by the next, in one.

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
        tokio::spawn(serve(store, receiver));
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

async fn serve(store: Arc<dyn Store>, mut receiver: mpsc::Receiver<Wanted>) {
    let mut wanted = Vec::with_capacity(TOGETHER_MAX);
    while receiver.recv_many(&mut wanted, TOGETHER_MAX).await > 0 {
        let ids = wanted.iter().map(|wanted| wanted.id).collect();
        match store.events_by_id(ids).await {
            Ok(events) => {
                for (wanted, event) in wanted.drain(..).zip(events) {
                    // Who asked may have gone: its deliveries are cut off when the router stops.
                    drop(wanted.answer.send(Ok(event)));
                }
            }
            // One that is damaged must not cost the others theirs.
            Err(_) => {
                for Wanted { id, answer } in wanted.drain(..) {
                    let found = store.events_by_id(vec![id]).await;
                    drop(answer.send(found.map(|events| events.into_iter().next().flatten())));
                }
            }
        }
    }
}
