//! Panics of this process, on whatever thread: none of the router's may go unseen because a task swallowed
//! it.

use std::sync::Mutex;

/// What was said.
static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// From now on every panic is remembered, and shown as it comes.
pub fn remember() {
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("{panic}");
        SEEN.lock().unwrap().push(panic.to_string());
    }));
}

/// There was none since.
#[track_caller]
pub fn none() {
    let seen = SEEN.lock().unwrap();
    assert!(seen.is_empty(), "{seen:#?}");
}
