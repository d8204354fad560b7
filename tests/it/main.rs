//! End-to-end tests: the real router over real sockets and a real database, with a scripted receiver
//! and a clock that the test moves.

#![allow(unreachable_pub, reason = "nothing outside this crate can see any of it")]

mod support;

mod bad_input;
mod delivery;
mod ingest;
mod plugins;
mod restart;
mod security;

mod tidy;
mod wit;
