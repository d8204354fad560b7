//! End-to-end tests: the real router over real sockets and a real database, with a scripted receiver
//! and a clock that the test moves.

mod support;

mod tidy;
mod wit;
