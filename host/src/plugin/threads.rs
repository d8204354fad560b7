//! The threads on which guests run.
//!
//! Guests run synchronously and must find their whole stack: on a thread with an unknown one, a deep
//! guest would abort the process. So these threads are made here, with a stack of known size, more of
//! them than cores: a guest that loops holds its thread until its time-out. One subscription may hold
//! a quarter of them and one plugin half, so that a looping one leaves room for the others.
//!
//! The queue is bounded; who finds it full waits for a place, in order.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::digest::Digest;
use crate::id::SubscriptionId;

/// The stack of a guest thread is this many times the guest's: the rest is the host's own functions,
/// which a guest can call at its deepest.
const STACK_FACTOR: usize = 8;

/// Whose work it is, for fairness.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) plugin: Digest,
    /// None for work that no subscription asked for, such as `describe`.
    pub(super) subscription: Option<SubscriptionId>,
}

struct Work {
    owner: Owner,
    run: Box<dyn FnOnce() + Send>,
    _place: OwnedSemaphorePermit,
}

/// The pool of threads. They end when it is dropped and the work in hand is done.
pub(super) struct Threads {
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
    count: usize,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    plugin_most: usize,
    subscription_most: usize,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Work>,
    plugins: HashMap<Digest, usize>,
    subscriptions: HashMap<SubscriptionId, usize>,
    ended: bool,
}

/// The work was given up: its thread panicked, or the pool is gone.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the thread that ran the plugin ended without an answer")]
pub(super) struct Lost;

impl Threads {
    /// Starts the threads.
    pub(super) fn start(count: usize, queue: usize, guest_stack_bytes: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            changed: Condvar::new(),
            plugin_most: (count / 2).max(1),
            subscription_most: (count / 4).max(1),
        });
        let threads = Self {
            shared: Arc::clone(&shared),
            places: Arc::new(Semaphore::new(queue + count)),
            count,
        };
        for number in 0..count {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name(format!("plugin-{number}"))
                .stack_size(guest_stack_bytes.saturating_mul(STACK_FACTOR))
                .spawn(move || shared.serve())?;
        }
        Ok(threads)
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
            if !answer.is_closed() {
                // The caller may have gone away meanwhile; then nobody wants the answer.
                drop(answer.send(run()));
            }
        });
        self.shared.lock().waiting.push_back(Work {
            owner,
            run,
            _place: place,
        });
        self.shared.changed.notify_one();
        answered.await.map_err(|_| Lost)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.ended = true;
        queue.waiting.clear();
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it is held, and the queue is whole between any two statements.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        // WASI's blocking functions want a tokio runtime around them; ours never wait, so the smallest
        // will do, and it starts no threads of its own.
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let _entered = runtime.as_ref().ok().map(|runtime| runtime.enter());
        while let Some(work) = self.next() {
            let owner = work.owner;
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work.run));
            if result.is_err() {
                // The caller sees `Lost`; the panic hook has said where.
                tracing::error!(plugin.digest = %owner.plugin, "a plugin thread panicked; please report it");
            }
            self.done(owner);
        }
    }

    fn next(&self) -> Option<Work> {
        let mut queue = self.lock();
        loop {
            if queue.ended {
                return None;
            }
            let free = queue
                .waiting
                .iter()
                .position(|work| self.may_run(&queue, work.owner));
            if let Some(work) = free.and_then(|place| queue.waiting.remove(place)) {
                *queue.plugins.entry(work.owner.plugin).or_default() += 1;
                if let Some(subscription) = work.owner.subscription {
                    *queue.subscriptions.entry(subscription).or_default() += 1;
                }
                return Some(work);
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn may_run(&self, queue: &Queue, owner: Owner) -> bool {
        let of_plugin = queue.plugins.get(&owner.plugin).copied().unwrap_or(0);
        let of_subscription = owner
            .subscription
            .and_then(|s| queue.subscriptions.get(&s).copied());
        of_plugin < self.plugin_most && of_subscription.unwrap_or(0) < self.subscription_most
    }

    fn done(&self, owner: Owner) {
        let mut queue = self.lock();
        release(&mut queue.plugins, &owner.plugin);
        if let Some(subscription) = owner.subscription {
            release(&mut queue.subscriptions, &subscription);
        }
        // Work of the same owner may have been passed over while it was at its share.
        if !queue.waiting.is_empty() {
            self.changed.notify_one();
        }
    }
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
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn owner(plugin: u8, subscription: i64) -> Owner {
        Owner {
            plugin: Digest::from_bytes([plugin; 32]),
            subscription: Some(SubscriptionId::from_number(subscription)),
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_subscription_and_one_plugin_leave_room_for_others() {
        let threads = Arc::new(Threads::start(4, 16, 64 << 10).unwrap());
        let (started, starts) = mpsc::sync_channel(16);
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let stuck = |plugin, subscription| {
            let (threads, started, gate) = (Arc::clone(&threads), started.clone(), Arc::clone(&gate));
            tokio::spawn(async move {
                let run = move || {
                    started.send((plugin, subscription)).unwrap();
                    let mut open = gate.0.lock().unwrap();
                    while !*open {
                        open = gate.1.wait(open).unwrap();
                    }
                };
                threads.run(owner(plugin, subscription), run).await
            })
        };
        let mut waiting = Vec::new();
        for (plugin, subscription) in [(1, 1), (1, 1), (1, 2), (1, 3), (1, 3)] {
            waiting.push(stuck(plugin, subscription));
        }
        // Two threads at the most belong to plugin 1, one to each of its subscriptions.
        let first = [starts.recv().unwrap(), starts.recv().unwrap()];
        assert_ne!(first[0].1, first[1].1);
        assert_eq!(threads.run(owner(2, 9), || 42).await, Ok(42));
        assert!(starts.try_recv().is_err());
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        for task in waiting {
            assert_eq!(task.await.unwrap(), Ok(()));
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_and_the_thread_goes_on() {
        let threads = Threads::start(1, 1, 64 << 10).unwrap();
        let panicked: Result<(), Lost> = threads
            .run(owner(1, 1), || std::panic::resume_unwind(Box::new("test")))
            .await;
        assert_eq!(panicked, Err(Lost));
        assert_eq!(threads.run(owner(1, 1), || 7).await, Ok(7));
    }
}
