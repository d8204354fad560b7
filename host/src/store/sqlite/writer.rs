//! The writer: one thread, one connection, one transaction after another.
//!
//! It takes what is queued, writes it in one transaction, commits (and by that syncs), and answers
//! everybody who waits. While one commit flushes, the next batch forms; on a fast disk that is not enough,
//! so transactions keep a [`pace`](super::pace). Commands
//! find their conflicts before they write, so the common transaction needs no savepoints; if one
//! fails all the same, the transaction is undone and written again with a savepoint around each, so
//! that one bad command costs only itself. With a full disk another round writes outcomes only:
//! they are few, and what is delivered frees room.
//!
//! After a failed read, write or sync the thread ends and the store is closed; see
//! [`super::fault`]. It never tries again.

mod transaction;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};

use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

use self::transaction::{Transaction, apart};
use super::answers::Answers;
use super::checkpoint::Checkpoints;
use super::fault;
use super::pace::{Pace, Pressure};
use super::readers::Readers;
use super::seen::{Keys, Step};
use super::totals::Told;
use super::work::{Fixed, Tally, Work};
use crate::store::files::DataDir;
use crate::store::{Committed, Error, Result};

/// Commands in one transaction.
const BATCH_COMMANDS_MAX: usize = 1_024;
/// Bytes in one transaction, by what the commands say of themselves.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Commands that may wait.
const QUEUE_MAX: usize = 8_192;
/// Places in the queue that only outcomes may take: ingest cannot keep them from being written.
const QUEUE_FOR_OUTCOMES: usize = 2_048;
/// Bytes that may wait, by what the commands say of themselves.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// After one that found no room, so many transactions write nothing but what they were asked for: what is left
/// is for them, and putting ids in order can wait.
const TRANSACTIONS_ALONE: u16 = 1_000;

/// What a command is about; it decides who goes first when there is not room for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Something new comes in.
    Ingest,
    /// Something ends, or room is made.
    Outcome,
}

/// A command that waits for its commit.
pub(super) trait Command: Send {
    /// Who goes first.
    fn kind(&self) -> Kind;
    /// About how many bytes it writes.
    fn weight(&self) -> usize;
    /// Writes. May be called again: what the call before wrote was undone then.
    fn apply(&mut self, work: &mut Work<'_>) -> Result<()>;
    /// Answers, with what [`Command::apply`] gave or with an error.
    fn answer(self: Box<Self>, verdict: Result<()>);
}

/// What became of the commands of a batch.
pub(super) enum Verdicts {
    /// All are committed.
    Done,
    /// One for each.
    Each(Vec<Result<()>>),
}

struct Call<T, F> {
    kind: Kind,
    weight: usize,
    run: F,
    value: Option<T>,
    answer: oneshot::Sender<Result<T>>,
}

impl<T: Send, F: FnMut(&mut Work<'_>) -> Result<T> + Send> Command for Call<T, F> {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn weight(&self) -> usize {
        self.weight
    }

    fn apply(&mut self, work: &mut Work<'_>) -> Result<()> {
        self.value = Some((self.run)(work)?);
        Ok(())
    }

    fn answer(self: Box<Self>, verdict: Result<()>) {
        let Self { value, answer, .. } = *self;
        // Where nobody waits any more, what was written stays written.
        let _ = answer.send(verdict.and_then(|()| value.ok_or(Error::Closed)));
    }
}

/// Who waits for the end.
type Closing = oneshot::Sender<Result<()>>;

enum Message {
    Command(Box<dyn Command>),
    Close(Closing),
}

/// The way to the writer.
#[derive(Debug)]
pub(super) struct Queue {
    sender: SyncSender<Message>,
    pressure: Arc<Pressure>,
    told: Arc<Told>,
    /// Its other end is the thread's; nothing is ever sent.
    alive: watch::Receiver<()>,
}

impl Queue {
    /// Has something written. Durable when it answers.
    pub(super) async fn call<T, F>(&self, kind: Kind, weight: usize, run: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Work<'_>) -> Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        self.send(Box::new(Call {
            kind,
            weight,
            run,
            value: None,
            answer,
        }))?;
        answered.await.unwrap_or(Err(Error::Closed))
    }

    fn send(&self, command: Box<dyn Command>) -> Result<()> {
        let weight = command.weight();
        let (commands, bytes) = self.pressure.entered(weight);
        let sent = match command.kind() {
            // One that is larger than all the room may wait alone.
            Kind::Ingest
                if commands >= QUEUE_MAX - QUEUE_FOR_OUTCOMES
                    || bytes > 0 && bytes + weight > QUEUE_BYTES_MAX =>
            {
                Err(Error::Busy)
            }
            Kind::Ingest | Kind::Outcome => match self.sender.try_send(Message::Command(command)) {
                Ok(()) => Ok(()),
                Err(TrySendError::Full(_)) => Err(Error::Busy),
                Err(TrySendError::Disconnected(_)) => Err(Error::Closed),
            },
        };
        if sent.is_err() {
            self.pressure.left(weight);
        } else {
            self.pressure.wake_if_enough(commands + 1);
        }
        sent
    }

    /// Waits until the thread has ended.
    pub(super) async fn ended(&self) {
        let mut alive = self.alive.clone();
        while alive.changed().await.is_ok() {}
    }

    /// Commands that wait, and about how many bytes they write.
    pub(super) fn waiting(&self) -> (u64, u64) {
        self.pressure.waiting()
    }

    /// Waits until a segment was closed since the last time that this was waited for.
    pub(super) async fn closed_segment(&self) {
        self.told.closed_segment().await;
    }

    /// Whether there was no room for what was to be written last.
    pub(super) fn is_full(&self) -> bool {
        self.told.is_full()
    }

    /// What was committed since the start.
    pub(super) fn committed(&self) -> Committed {
        self.told.read()
    }

    /// Writes what is queued, checkpoints and ends the thread. Blocks while the queue is full.
    pub(super) fn close(&self) -> oneshot::Receiver<Result<()>> {
        let (answer, answered) = oneshot::channel();
        // If the thread has ended, the answer is dropped with the message, which is an answer too.
        let _ = self.sender.send(Message::Close(answer));
        answered
    }
}

/// The thread's own.
struct Writer {
    conn: Connection,
    fixed: Fixed,
    tally: Tally,
    keys: Keys,
    checkpoints: Checkpoints,
    readers: Arc<Readers>,
    /// Whether the last one did; that one did not is said once.
    checkpoints_find_room: bool,
    /// Transactions with which ids are not put in order, because there was no room.
    alone: u16,
    receiver: Receiver<Message>,
    answers: Answers,
    pressure: Arc<Pressure>,
    pace: Pace,
    told: Arc<Told>,
    _alive: watch::Sender<()>,
    /// Released when the thread ends, after the connection: fields go in this order.
    _dir: DataDir,
}

/// Whether the thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    GoOn,
    End,
}

/// Starts the thread.
pub(super) fn start(
    conn: Connection,
    fixed: Fixed,
    tally: Tally,
    keys: Keys,
    readers: Arc<Readers>,
    dir: DataDir,
) -> std::io::Result<(Queue, std::thread::JoinHandle<()>)> {
    let (sender, receiver) = sync_channel(QUEUE_MAX);
    let pressure = Arc::new(Pressure::default());
    let told = Arc::new(Told::default());
    let (thread_alive, alive) = watch::channel(());
    let queue = Queue {
        sender,
        pressure: Arc::clone(&pressure),
        told: Arc::clone(&told),
        alive,
    };
    let checkpoints = Checkpoints::new();
    let writer = Writer {
        conn,
        fixed,
        tally,
        keys,
        checkpoints,
        readers,
        checkpoints_find_room: true,
        alone: 0,
        receiver,
        answers: Answers::start(),
        pressure: Arc::clone(&pressure),
        pace: Pace::default(),
        told,
        _alive: thread_alive,
        _dir: dir,
    };
    let thread = std::thread::Builder::new()
        .name("store-writer".to_owned())
        .spawn(move || writer.run())?;
    pressure.wakes(thread.thread().clone());
    Ok((queue, thread))
}

impl Writer {
    fn run(mut self) {
        loop {
            let first = match self.checkpoints.wait() {
                None => self.receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(time) => self.receiver.recv_timeout(time),
            };
            let first = match first {
                Ok(first) => first,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    let done = self.checkpoints.when_idle(&self.conn);
                    if self.after_checkpoint(done) == Flow::End {
                        return;
                    }
                    continue;
                }
            };
            if matches!(first, Message::Command(_)) {
                self.pace.wait(&self.pressure);
            }
            let (batch, closing) = self.gather(first);
            self.pace.begin(batch.len());
            if !batch.is_empty() && self.write(batch) == Flow::End {
                return;
            }
            if let Some(answer) = closing {
                let done = self.checkpoints.when_idle(&self.conn);
                drop(self);
                let _ = answer.send(done);
                return;
            }
            let done = self.checkpoints.after_commit(&self.conn, &self.readers);
            if self.after_checkpoint(done) == Flow::End {
                return;
            }
        }
    }

    /// What is in the WAL is safe there, so a checkpoint that finds no room is tried again after the next
    /// commit. Any other failure may be a failed sync.
    fn after_checkpoint(&mut self, done: Result<()>) -> Flow {
        match done {
            Ok(()) => {
                self.checkpoints_find_room = true;
                Flow::GoOn
            }
            Err(Error::Full(_)) => {
                if std::mem::replace(&mut self.checkpoints_find_room, false) {
                    tracing::warn!("the disk is full; the write-ahead log cannot be moved into the database");
                }
                Flow::GoOn
            }
            Err(error) => {
                ended(&error);
                Flow::End
            }
        }
    }

    /// What is queued, up to the bounds of a transaction.
    fn gather(&self, first: Message) -> (Vec<Box<dyn Command>>, Option<Closing>) {
        let mut batch = Vec::new();
        let mut bytes = 0_usize;
        let mut next = Some(first);
        while let Some(message) = next {
            let command = match message {
                Message::Command(command) => command,
                Message::Close(answer) => return (batch, Some(answer)),
            };
            self.pressure.left(command.weight());
            bytes = bytes.saturating_add(command.weight());
            batch.push(command);
            let full = batch.len() >= BATCH_COMMANDS_MAX || bytes >= BATCH_BYTES_MAX;
            next = if full { None } else { self.receiver.try_recv().ok() };
        }
        (batch, None)
    }

    fn write(&mut self, mut batch: Vec<Box<dyn Command>>) -> Flow {
        let error = match self.together(&mut batch) {
            Ok(()) => {
                self.told.found_room(true);
                self.answers.give(batch, Verdicts::Done);
                return Flow::GoOn;
            }
            Err(error) => error,
        };
        let full = matches!(error, Error::Full(_));
        self.told.found_room(!full);
        if full {
            self.alone = TRANSACTIONS_ALONE;
        }
        if fault::ends_writer(&error) || matches!(error, Error::Fenced) {
            return self.refuse_all(batch, &error);
        }
        let done = match self.one_by_one(&mut batch, &error) {
            // Another command had failed before anybody came to the end of the room.
            Err(error @ Error::Full(_)) if !full => {
                self.told.found_room(false);
                self.alone = TRANSACTIONS_ALONE;
                self.one_by_one(&mut batch, &error)
            }
            done => done,
        };
        match done {
            Ok(verdicts) => {
                self.answers.give(batch, Verdicts::Each(verdicts));
                Flow::GoOn
            }
            Err(error) => self.refuse_all(batch, &error),
        }
    }

    fn refuse_all(&self, batch: Vec<Box<dyn Command>>, error: &Error) -> Flow {
        let verdicts = batch.iter().map(|_| Err(error.again())).collect();
        self.answers.give(batch, Verdicts::Each(verdicts));
        if fault::ends_writer(error) {
            ended(error);
            Flow::End
        } else {
            Flow::GoOn
        }
    }

    fn together(&mut self, batch: &mut [Box<dyn Command>]) -> Result<()> {
        let transaction = Transaction::begin(&self.conn)?;
        let mut work = Work::new(&self.conn, &self.fixed, &self.keys, &self.tally)?;
        for command in batch {
            command.apply(&mut work)?;
        }
        let tally = work.finish()?;
        let beside = match self.alone {
            0 => self.keys.step(&self.conn, &tally.seen, tally.fresh.len())?,
            _ => None,
        };
        self.alone = self.alone.saturating_sub(1);
        transaction.commit()?;
        self.committed(tally, beside);
        Ok(())
    }

    /// What the batch brought is the writer's own now.
    fn committed(&mut self, mut tally: Tally, beside: Option<Step>) {
        let fresh = std::mem::take(&mut tally.fresh);
        self.keys.follow(fresh, beside, &tally.seen);
        self.told.tell(tally.totals);
        if tally.open != self.tally.open {
            self.told.segment_was_closed();
        }
        self.tally = tally;
    }

    fn one_by_one(&mut self, batch: &mut [Box<dyn Command>], first: &Error) -> Result<Vec<Result<()>>> {
        let transaction = Transaction::begin(&self.conn)?;
        let mut work = Work::new(&self.conn, &self.fixed, &self.keys, &self.tally)?;
        let mut verdicts = Vec::with_capacity(batch.len());
        for command in batch {
            if matches!(first, Error::Full(_)) && command.kind() == Kind::Ingest {
                verdicts.push(Err(first.again()));
                continue;
            }
            let before = work.tally.clone();
            let verdict = apart(&self.conn, || command.apply(&mut work))?;
            if verdict.is_err() {
                work.tally = before;
            }
            verdicts.push(verdict);
        }
        let tally = work.finish()?;
        // Else nothing would be put in order for as long as each batch has a command that fails. And where it
        // is this that failed, it costs no command.
        let step = || self.keys.step(&self.conn, &tally.seen, tally.fresh.len());
        let beside = match self.alone {
            0 => apart(&self.conn, step)?.unwrap_or_default(),
            _ => None,
        };
        self.alone = self.alone.saturating_sub(1);
        transaction.commit()?;
        self.committed(tally, beside);
        Ok(verdicts)
    }
}

fn ended(error: &Error) {
    let error: &(dyn std::error::Error + 'static) = error;
    tracing::error!(
        error,
        "the store has stopped writing; restart the process when the disk is well"
    );
}
