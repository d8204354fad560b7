//! The program `hookway`; everything is in the library.

use std::process::ExitCode;

/// What is allocated on one thread is mostly freed on another here: an event comes in on one, is written by
/// the store's and sent from a third. glibc's allocator takes locks for that and gives pages back and
/// forth.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hookway::cli::main()
}
