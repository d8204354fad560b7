//! The threads on which guests run.
//!
//! Guests run synchronously and must find their whole stack: on a thread with an unknown one, a deep
//! guest would abort the process. So these threads are made here, with a stack of known size, more of
//! them than cores: a guest that loops holds its thread until its time-out. One subscription may hold
//! a quarter of them and one plugin half, so that a looping one leaves room for the others.
//!
//! Most runs take microseconds, and waking a thread costs as much. So no more threads are awake than there
//! are cores, as long as what they run is brief: who finds that many at work is taken by the first that is
//! done. A thread whose run is not brief does not count, and the next one is woken in its place, by who
//! comes next or at the next tick. Threads that sleep are woken in reverse order: the last that fell asleep
//! has the warmest caches.
//!
//! Several that loop would still hold all threads. So whose last run was long runs on the second half of them
//! only, which have a lower priority, and one processor is left free of such runs, for priority alone does
//! not keep a kernel from letting who runs finish a slice: those that are quick find the first half free, and
//! a processor too. One quick run, and an owner is quick again. Answers are given by one task of the runtime,
//! as many as there are at a time.
//!
//! The queue is bounded; who finds it full waits for a place, in order.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::stopwatch;
use crate::digest::Digest;
use crate::id::SubscriptionId;

/// The stack of a guest thread is this many times the guest's: the rest is the host's own functions,
/// which a guest can call at its deepest.
const STACK_FACTOR: usize = 8;
/// A run that takes longer is not brief: its thread does not count among those that will be free soon.
/// Twenty times what a plugin needs that reshapes a kilobyte.
const BRIEF: Duration = Duration::from_millis(1);
/// A run that took longer was long, whatever took it so long. A usual one takes a twentieth of a
/// millisecond; the rest is room for a machine that is busy.
const LONG: Duration = Duration::from_millis(20);
/// How much lower the priority of the second half is.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;
/// Most owners that are remembered as slow. With more of them all are forgotten, and found again.
const SLOW_OWNERS_MAX: usize = 10_000;

/// Whose work it is, for fairness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    pub(super) plugin: Digest,
    /// None for work that no subscription asked for, such as `describe`.
    pub(super) subscription: Option<SubscriptionId>,
}

/// Tells the caller what came of its work.
type Answer = Box<dyn FnOnce() + Send>;

struct Work {
    owner: Owner,
    run: Box<dyn FnOnce() -> Option<Answer> + Send>,
    _place: OwnedSemaphorePermit,
}

/// How many threads there are, and how many of them at once are worth waking.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Threads.
    pub(super) count: usize,
    /// Threads that are awake while runs are brief: as many as cores.
    pub(super) awake: usize,
    /// Work that may wait for a thread.
    pub(super) queue: usize,
    /// Stack of a guest, in bytes.
    pub(super) guest_stack_bytes: usize,
}

/// The pool of threads. They end when it is dropped and the work in hand is done.
pub(super) struct Threads {
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
    count: usize,
}

/// What a thread takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    /// Only work of owners that are quick.
    Quick,
    /// All work; of owners that are quick only what no thread of the first half is free for.
    Any,
}

/// What an owner was when its run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    Quick,
    Slow,
}

struct Shared {
    queue: Mutex<Queue>,
    awake: usize,
    /// Runs at once of owners that are slow.
    slow_most: usize,
    plugin_most: usize,
    subscription_most: usize,
    answers: mpsc::Sender<Answer>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Work>,
    plugins: HashMap<Digest, usize>,
    subscriptions: HashMap<SubscriptionId, usize>,
    /// Owners whose last run was long.
    slow: HashSet<Owner>,
    /// Runs of such owners that are under way.
    slow_running: usize,
    /// Of each thread, since when it runs work of an owner that is quick, or was woken to.
    busy: Vec<Option<Instant>>,
    /// Threads of the first half that sleep, the last that fell asleep at the end.
    asleep_quick: Vec<Sleeper>,
    /// The same of the second half.
    asleep_any: Vec<Sleeper>,
    ended: bool,
}

/// A thread that sleeps.
struct Sleeper {
    number: usize,
    thread: Thread,
}

/// The work was given up: its thread panicked, or the pool is gone.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the thread that ran the plugin ended without an answer")]
pub(super) struct Lost;

impl Threads {
    /// Starts the threads, in the runtime whose tasks will wait for them.
    pub(super) fn start(size: Size) -> std::io::Result<Self> {
        let Size {
            count, awake, queue, ..
        } = size;
        let most = queue + count;
        // Every work has a place in the queue until it is answered, so there is room for all answers.
        let (answers, mut given) = mpsc::channel::<Answer>(most);
        let runtime = Handle::try_current().map_err(std::io::Error::other)?;
        runtime.spawn(async move {
            while let Some(answer) = given.recv().await {
                answer();
            }
        });
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                busy: vec![None; count],
                ..Queue::default()
            }),
            awake: awake.clamp(1, count.max(1)),
            slow_most: awake.saturating_sub(1).max(1),
            plugin_most: (count / 2).max(1),
            subscription_most: (count / 4).max(1),
            answers,
        });
        let threads = Self {
            shared: Arc::clone(&shared),
            places: Arc::new(Semaphore::new(most)),
            count,
        };
        for number in 0..count {
            let shared = Arc::clone(&shared);
            let half = if number < count / 2 {
                Half::Quick
            } else {
                Half::Any
            };
            thread::Builder::new()
                .name(format!("plugin-{number}"))
                .stack_size(size.guest_stack_bytes.saturating_mul(STACK_FACTOR))
                .spawn(move || shared.serve(number, half))?;
        }
        Ok(threads)
    }

    /// Something that makes a thread wake for work that nobody will be free for soon. To be called with
    /// every tick while guests run.
    pub(super) fn ticking(&self) -> impl Fn() + Send + 'static {
        let shared = Arc::downgrade(&self.shared);
        move || {
            if let Some(shared) = shared.upgrade() {
                shared.tick();
            }
        }
    }

    /// How many threads there are.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// How many of them run something now, and how much waits for one.
    pub(super) fn busy(&self) -> (usize, usize) {
        let queue = self.shared.lock();
        (queue.plugins.values().sum(), queue.waiting.len())
    }

    /// Runs this on one of the threads. If the caller goes away before it began, it never begins.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        owner: Owner,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Lost> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| Lost)?;
        let (answer, answered) = oneshot::channel();
        let run = Box::new(move || {
            if answer.is_closed() {
                return None;
            }
            let value = run();
            // The caller may have gone away meanwhile; then nobody wants the answer.
            Some(Box::new(move || drop(answer.send(value))) as Answer)
        });
        self.shared.add(Work {
            owner,
            run,
            _place: place,
        });
        answered.await.map_err(|_| Lost)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.ended = true;
        queue.waiting.clear();
        let Queue {
            asleep_quick,
            asleep_any,
            ..
        } = &mut *queue;
        for sleeper in asleep_quick.drain(..).chain(asleep_any.drain(..)) {
            sleeper.thread.unpark();
        }
    }
}

impl Queue {
    /// Threads that will be free soon.
    fn brief(&self, now: Instant) -> usize {
        let since = self.busy.iter().flatten();
        since
            .filter(|since| now.saturating_duration_since(**since) < BRIEF)
            .count()
    }

    /// The threads of a half that sleep.
    fn asleep(&mut self, half: Half) -> &mut Vec<Sleeper> {
        match half {
            Half::Quick => &mut self.asleep_quick,
            Half::Any => &mut self.asleep_any,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it is held, and the queue is whole between any two statements.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, work: Work) {
        let mut queue = self.lock();
        let owner = work.owner;
        queue.waiting.push_back(work);
        let woken = self.may_run(&queue, owner).then(|| self.wake(&mut queue, owner));
        drop(queue);
        if let Some(sleeper) = woken.flatten() {
            sleeper.thread.unpark();
        }
    }

    /// Wakes a thread for what waits for one, of each kind.
    fn tick(&self) {
        let mut queue = self.lock();
        let of_kind = |queue: &Queue, slow| {
            let mut owners = queue.waiting.iter().map(|work| work.owner);
            owners.find(|owner| queue.slow.contains(owner) == slow && self.may_run(queue, *owner))
        };
        let owners = [of_kind(&queue, false), of_kind(&queue, true)];
        let woken = owners.map(|owner| self.wake(&mut queue, owner?));
        drop(queue);
        for sleeper in woken.into_iter().flatten() {
            sleeper.thread.unpark();
        }
    }

    /// The thread that is to be woken for work of this owner: none where enough will be free soon. It counts
    /// as busy from now on.
    fn wake(&self, queue: &mut Queue, owner: Owner) -> Option<Sleeper> {
        if queue.slow.contains(&owner) {
            let may_begin = queue.slow_running < self.slow_most;
            return may_begin.then(|| queue.asleep_any.pop()).flatten();
        }
        if queue.asleep_quick.is_empty() && queue.asleep_any.is_empty() {
            return None;
        }
        let now = stopwatch::now();
        if queue.brief(now) >= self.awake {
            return None;
        }
        let sleeper = queue.asleep_quick.pop().or_else(|| queue.asleep_any.pop())?;
        queue.busy[sleeper.number] = Some(now);
        Some(sleeper)
    }

    fn serve(&self, number: usize, half: Half) {
        yield_to_others(half);
        // WASI's blocking functions want a tokio runtime around them, and its timers panic in one without time.
        // Ours never wait, so the smallest will do, and it starts no threads of its own.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        let _entered = runtime.as_ref().ok().map(|runtime| runtime.enter());
        while let Some((work, pace)) = self.next(number, half) {
            let (owner, started) = (work.owner, stopwatch::now());
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work.run)) {
                // A runtime that has ended has nobody left who waits.
                Ok(Some(answer)) => drop(self.answers.try_send(answer)),
                Ok(None) => {}
                Err(_) => {
                    // The caller sees `Lost`; the panic hook has said where.
                    tracing::error!(plugin.digest = %owner.plugin, "a plugin thread panicked; please report it");
                }
            }
            self.done(
                owner,
                pace,
                stopwatch::now().saturating_duration_since(started) > LONG,
            );
        }
    }

    /// The next work for this thread, which sleeps while there is none. Nothing when all is over.
    fn next(&self, number: usize, half: Half) -> Option<(Work, Pace)> {
        let mut queue = self.lock();
        loop {
            if queue.ended {
                return None;
            }
            let free = queue.waiting.iter().position(|work| {
                let slow = queue.slow.contains(&work.owner);
                let is_mine = match half {
                    Half::Quick => !slow,
                    Half::Any if slow => queue.slow_running < self.slow_most,
                    Half::Any => queue.asleep_quick.is_empty(),
                };
                is_mine && self.may_run(&queue, work.owner)
            });
            if let Some(work) = free.and_then(|place| queue.waiting.remove(place)) {
                *queue.plugins.entry(work.owner.plugin).or_default() += 1;
                if let Some(subscription) = work.owner.subscription {
                    *queue.subscriptions.entry(subscription).or_default() += 1;
                }
                let pace = match queue.slow.contains(&work.owner) {
                    true => Pace::Slow,
                    false => Pace::Quick,
                };
                queue.busy[number] = (pace == Pace::Quick).then(stopwatch::now);
                queue.slow_running += usize::from(pace == Pace::Slow);
                return Some((work, pace));
            }
            queue.busy[number] = None;
            // What this thread leaves to the other half must find somebody awake there.
            let mut owners = queue.waiting.iter().map(|work| work.owner);
            let left = owners.find(|owner| self.may_run(&queue, *owner));
            if let Some(sleeper) = left.and_then(|owner| self.wake(&mut queue, owner)) {
                sleeper.thread.unpark();
            }
            queue.asleep(half).push(Sleeper {
                number,
                thread: thread::current(),
            });
            // It may wake for nothing; who wakes it on purpose takes it out of the list.
            while queue.asleep(half).iter().any(|sleeper| sleeper.number == number) {
                drop(queue);
                thread::park();
                queue = self.lock();
            }
        }
    }

    fn may_run(&self, queue: &Queue, owner: Owner) -> bool {
        let of_plugin = queue.plugins.get(&owner.plugin).copied().unwrap_or(0);
        let of_subscription = owner
            .subscription
            .and_then(|s| queue.subscriptions.get(&s).copied());
        of_plugin < self.plugin_most && of_subscription.unwrap_or(0) < self.subscription_most
    }

    fn done(&self, owner: Owner, pace: Pace, long: bool) {
        let mut queue = self.lock();
        queue.slow_running -= usize::from(pace == Pace::Slow);
        release(&mut queue.plugins, &owner.plugin);
        if let Some(subscription) = owner.subscription {
            release(&mut queue.subscriptions, &subscription);
        }
        if !long {
            // The usual case, in which nothing changes: this thread takes what was passed over.
            if !queue.slow.is_empty() {
                queue.slow.remove(&owner);
            }
            return;
        }
        if queue.slow.len() < SLOW_OWNERS_MAX {
            queue.slow.insert(owner);
        } else {
            queue.slow.clear();
        }
        drop(queue);
        // What waits of this owner is for the other half now.
        self.tick();
    }
}

/// Lowers the priority of the thread that calls this, where it is one of the second half. On Linux a thread
/// has one of its own; elsewhere it would be that of the router.
fn yield_to_others(half: Half) {
    #[cfg(target_os = "linux")]
    if half == Half::Any {
        // A system that does not allow it runs them at the usual priority.
        let _ignored = rustix::process::nice(NICENESS);
    }
    #[cfg(not(target_os = "linux"))]
    let _same_priority = half;
}

fn release<K: Eq + std::hash::Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
