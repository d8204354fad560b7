//! The program `hookway`; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    hookway::cli::main()
}
