//! A disk that can be taken away: SQLite's files, watched, failed on purpose, and cut off from power.
//!
//! ```text
//! SQLite ─► shim (a VFS, the process's default) ─► SQLite's own VFS ─► the file system
//!              └─► Disk: counts calls, fails the n-th, keeps what is durable and what is not yet
//!                    └─► Cut: both at one moment ─► images: the directory as it could be after the power came back
//! ```
//!
//! [`Disk::below`] watches the databases below one directory; every other file of the process goes through
//! untouched, so an image is opened as any router opens its data. Only `vfs/shim.rs` has unsafe code.
//!
//! What a power cut is here. A file is what it was at its last sync, plus, for each change since, whatever
//! the seed says: none, all, a beginning, a subset in which later writes survive earlier ones, or single
//! sectors of 512 bytes. A sync that has begun and not returned protects nothing; one that failed has lost
//! its changes for good, whatever later syncs say (that is what Linux does). Sectors beside a write stay as
//! they are, which SQLite takes for granted.
//!
//! Names are kept simply: a file that was made is there after its own first sync or one of the directory,
//! and may be missing before; one that was removed may be there again until the directory is synced, which
//! SQLite's VFS does with the first sync of each log or journal that it opens. A file that is made anew
//! under a name starts without a past. The index of the log (`-shm`) is in no image: it is made from the
//! log. Files that are not SQLite's (the key) are copied as they are: the router syncs the key and its
//! directory when it makes it.

mod disk;
mod image;
mod shim;

pub use disk::{Cut, Cutting, Disk, Fault, Lasting, Odds, Op, Syncs};
pub use image::copy_of;
pub use shim::QUOTA;
