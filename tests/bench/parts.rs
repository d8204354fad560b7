//! What the parts of the hot path cost, one by one: matching, signing, a plugin's run, a batch in the store.
//!
//! `cargo bench --package hookway` prints it, and with a word behind it only what has that word in its name.
//! The whole path is the business of `cargo xtask bench`.

#![allow(missing_docs, reason = "the macros of the harness write functions without")]

#[path = "parts/plugin.rs"]
mod plugin;
#[path = "parts/pure.rs"]
mod pure;
#[path = "parts/sample.rs"]
mod sample;
#[path = "parts/store.rs"]
mod store;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    parts,
    pure::matching,
    pure::reading,
    pure::sending,
    plugin::running,
    store::accepting,
    store::recording
);
criterion_main!(parts);
