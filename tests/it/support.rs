//! What every end-to-end test and fault test stands on: a router, a receiver, a client.
//!
//! Two test binaries read this file, one of them by path; hence the paths below.

#[path = "support/client.rs"]
pub mod client;
#[path = "support/process.rs"]
pub mod process;
#[path = "support/receiver.rs"]
pub mod receiver;
#[path = "support/router.rs"]
pub mod router;
#[path = "support/wire.rs"]
pub mod wire;

pub use process::Process;
pub use receiver::{Receiver, Reply};
pub use router::TestRouter;
