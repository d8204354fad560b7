//! Fault tests: what the router promises, with the world taken away under it. A process that is killed,
//! a disk that lies, fills or fails, clocks that jump, neighbours that misbehave.
//!
//! Each test names the guard that it is about and has a negative control: the same check with the guard
//! taken away, which must come out red. The quick form of everything runs within ten minutes; with
//! `HOOKWAY_FAULTS=long` each runs for as long as it takes to be sure. Tests that need Linux namespaces
//! start themselves again inside of some, and fail with what to do where none can be had.
//!
//! `cargo xtask faults` runs them; they are no part of `cargo xtask test`.

#![allow(unreachable_pub, reason = "nothing outside this crate can see any of it")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected should stop there"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a test has its own client, beside the router's"
)]
#![allow(
    clippy::field_reassign_with_default,
    reason = "a test says only what it changes"
)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a fault test prints its figures"
)]

#[path = "../it/support.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the end-to-end tests use more of it than these do"
)]
mod support;

mod account;
mod backup;
mod chance;
mod clock;
mod compile;
mod corrupt;
mod counting;
mod daemon;
mod durable;
mod extent;
mod full;
mod fuzz;
mod guests;
mod headers;
mod kill;
mod month;
mod namespaces;
mod nth_error;
mod panics;
mod percentile;
mod power;
mod private_network;
mod producers;
mod receivers;
mod secrets;
mod seed;
mod senders;
mod small_disk;
mod ssrf;
mod term;
mod twins;
mod under_load;
mod vfs;

#[path = "../guests/wrap.rs"]
#[allow(dead_code, reason = "the end-to-end tests need more of it")]
mod wrap;
