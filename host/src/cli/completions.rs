//! `hookway completions`: scripts that teach a shell the command line.

use clap_complete::Shell;

use super::Failure;
use super::output::write_bytes;

/// Flags of `completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookway completions bash > ~/.local/share/bash-completion/completions/hookway
  hookway completions zsh > \"${fpath[1]}/_hookway\"")]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub(super) fn run(args: Args, command: &mut clap::Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "hookway", &mut script);
    write_bytes(&script)
}
