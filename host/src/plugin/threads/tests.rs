//! The shares, the halves and the waking of threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, mpsc};

use super::*;

fn start(count: usize, awake: usize) -> Threads {
    Threads::start(Size {
        count,
        awake,
        queue: 16,
        guest_stack_bytes: 64 << 10,
    })
    .unwrap()
}

fn owner(plugin: u8, subscription: i64) -> Owner {
    Owner {
        plugin: Digest::from_bytes([plugin; 32]),
        subscription: Some(SubscriptionId::from_number(subscription)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_subscription_and_one_plugin_leave_room_for_others() {
    let threads = Arc::new(start(4, 4));
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_not_brief_is_replaced_with_the_next_tick() {
    let threads = Arc::new(start(4, 1));
    let tick = threads.ticking();
    let (started, starts) = mpsc::sync_channel(1);
    let (open, gate) = mpsc::sync_channel::<()>(1);
    let long = threads.clone();
    let long = tokio::spawn(async move {
        let run = move || {
            started.send(()).unwrap();
            gate.recv().unwrap();
        };
        long.run(owner(1, 1), run).await
    });
    starts.recv().unwrap();
    let mut brief = std::pin::pin!(threads.run(owner(2, 2), || 5));
    let ticking = async {
        loop {
            tick();
            tokio::task::yield_now().await;
        }
    };
    // Only one is awake and it is busy; without a tick nobody would ever come.
    let answer = tokio::select! {
        answer = &mut brief => answer,
        () = ticking => unreachable!("it ticks for ever"),
    };
    assert_eq!(answer, Ok(5));
    open.send(()).unwrap();
    assert_eq!(long.await.unwrap(), Ok(()));
}

/// Eight owners that are slow hold no more than one half of the threads and all processors but one.
#[expect(clippy::disallowed_methods, reason = "a run is long by taking long")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_are_slow_together_leave_half() {
    let threads = Arc::new(start(4, 2));
    for number in 0..8 {
        let long = || thread::sleep(LONG * 2);
        threads.run(owner(number, number.into()), long).await.unwrap();
    }
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let began = Arc::new(AtomicUsize::new(0));
    let mut stuck = Vec::new();
    for number in 0..8 {
        let (threads, gate, began) = (Arc::clone(&threads), Arc::clone(&gate), Arc::clone(&began));
        let run = move || {
            began.fetch_add(1, Ordering::SeqCst);
            let mut open = gate.0.lock().unwrap();
            while !*open {
                open = gate.1.wait(open).unwrap();
            }
        };
        stuck.push(tokio::spawn(async move {
            threads.run(owner(number, number.into()), run).await
        }));
    }
    while began.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    for number in 0..100 {
        assert_eq!(threads.run(owner(100, 100 + number), || 42).await, Ok(42));
    }
    assert_eq!(
        began.load(Ordering::SeqCst),
        1,
        "of two processors one is left free"
    );
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    for task in stuck {
        assert_eq!(task.await.unwrap(), Ok(()));
    }
}

#[tokio::test]
async fn a_panic_is_an_answer_and_the_thread_goes_on() {
    let threads = start(1, 1);
    let panicked: Result<(), Lost> = threads
        .run(owner(1, 1), || std::panic::resume_unwind(Box::new("test")))
        .await;
    assert_eq!(panicked, Err(Lost));
    assert_eq!(threads.run(owner(1, 1), || 7).await, Ok(7));
}
