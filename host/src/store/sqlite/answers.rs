//! Answers: how those who wait for a commit hear of it.
//!
//! A batch may have hundreds of commands, and each has a task that waits. Were they woken by the writer's
//! thread, every one of them would go through the runtime's shared queue, with its lock, and maybe wake a
//! thread by a system call. So the writer hands the whole batch to one task of the runtime, which answers
//! from within: one wake a batch, and the thread goes on with the next transaction.

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::writer::{Command, Verdicts};

/// Batches that may wait for the task; where it does not keep up, the thread answers.
const BATCHES_MAX: usize = 64;

/// A batch that was committed, or was not.
type Batch = (Vec<Box<dyn Command>>, Verdicts);

/// The way back from the writer.
#[derive(Debug)]
pub(super) enum Answers {
    /// A task of the runtime answers.
    FromTask(mpsc::Sender<Batch>),
    /// There is no runtime: the thread answers by itself.
    FromThread,
}

impl Answers {
    /// Answers from the runtime in which the store is opened, if it is in one.
    pub(super) fn start() -> Self {
        let Ok(runtime) = Handle::try_current() else {
            return Self::FromThread;
        };
        let (sender, mut batches) = mpsc::channel::<Batch>(BATCHES_MAX);
        runtime.spawn(async move {
            while let Some((batch, verdicts)) = batches.recv().await {
                answer(batch, verdicts);
            }
        });
        Self::FromTask(sender)
    }

    /// Tells everybody in a batch what became of it.
    pub(super) fn give(&self, batch: Vec<Box<dyn Command>>, verdicts: Verdicts) {
        let unsent = match self {
            Self::FromTask(sender) => sender
                .try_send((batch, verdicts))
                .map_err(|error| error.into_inner()),
            Self::FromThread => Err((batch, verdicts)),
        };
        if let Err((batch, verdicts)) = unsent {
            answer(batch, verdicts);
        }
    }
}

fn answer(batch: Vec<Box<dyn Command>>, verdicts: Verdicts) {
    match verdicts {
        Verdicts::Done => batch.into_iter().for_each(|command| command.answer(Ok(()))),
        Verdicts::Each(verdicts) => {
            for (command, verdict) in batch.into_iter().zip(verdicts) {
                command.answer(verdict);
            }
        }
    }
}
