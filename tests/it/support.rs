//! What every end-to-end test stands on: a router, a receiver, a client.

pub mod process;
pub mod receiver;
pub mod router;

pub use process::Process;
pub use receiver::{Receiver, Reply};
pub use router::TestRouter;
