//! `hookway plugin build`: from a crate to a component that this router takes.
//!
//! The toolchain is found or installed and called by `hookway-toolchain`, the same code that builds the
//! plugins in this program. What comes out is loaded as an upload would be, so that what cannot work is
//! said here and not later.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use hookway_toolchain::{Crates, Source, Toolchain, Way};

use super::bench::Bench;
use super::crate_dir::CrateDir;
use super::inspect;
use crate::cli::output::{Output, Tone};
use crate::cli::{Context, Failure, input};

/// How crates are built, for every command that builds one.
#[derive(Clone, Debug, Default, clap::Args)]
pub(in crate::cli) struct BuildFlags {
    /// Where cargo works [default: target in the crate]
    #[arg(long, value_name = "DIR")]
    target_dir: Option<PathBuf>,
    /// Use only crates that are on this machine
    #[arg(long)]
    offline: bool,
}

/// Flags of `plugin build`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The crate's folder
    #[arg(default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    flags: BuildFlags,
}

/// A component that was built.
pub(in crate::cli) struct Built {
    /// Where it lies.
    pub(in crate::cli) path: PathBuf,
    /// It.
    pub(in crate::cli) component: Bytes,
}

/// Builds and shows what came of it.
pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let source = CrateDir::open(&args.dir)?;
    let built = build(&source, &args.flags, &context.output).await?;
    let bench = Bench::open(context)?;
    let plugin = bench.load(&source.name, built.component).await?;
    let output = &context.output;
    let shown = shown(&built.path);
    if output.json {
        let mut described = inspect::described(&plugin);
        described["path"] = shown.into();
        return output.json(&described);
    }
    output.line(&format!(
        "{}  {} {}  {}  {}",
        output.tone(Tone::Title, &shown),
        plugin.manifest().name,
        plugin.manifest().version,
        inspect::kilobytes(plugin.bytes()),
        output.tone(Tone::Faint, &inspect::short(&plugin.digest().to_string())),
    ))?;
    output.lines(&inspect::import_lines(output, plugin.imports()))
}

/// Builds a crate. What the compiler says goes to standard error, as it says it.
pub(in crate::cli) async fn build(
    source: &CrateDir,
    flags: &BuildFlags,
    output: &Output,
) -> Result<Built, Failure> {
    let target = flags.target_dir.clone().unwrap_or_else(|| source.target());
    let call = Source {
        manifest: source.path.join("Cargo.toml"),
        package: None,
        target_directory: target.join("wasm"),
        crates: if flags.offline {
            Crates::Offline
        } else {
            Crates::Download
        },
    };
    let (directory, output) = (source.path.clone(), *output);
    let cargo = move || {
        let mut say = |line: &str| output.note(line);
        let forced = Way::forced()?;
        let toolchain = Toolchain::find_or_install(&directory, forced, &mut say)?;
        toolchain.build(&call, &mut say)
    };
    let built = tokio::task::spawn_blocking(cargo)
        .await
        .map_err(|error| Failure::because("the build was interrupted", error))?;
    let failed = |error| Failure::because(format!("{} was not built", source.name), error);
    let built = built.map_err(failed)?;
    // Cargo's own place for it is deep; this one can be typed.
    let path = target.join(format!("{}.wasm", source.name));
    let component = Bytes::from(input::file(&built.to_string_lossy())?);
    // Through another name: who reads it meanwhile must not see half of it.
    let partial = path.with_extension("part");
    std::fs::write(&partial, &component)
        .and_then(|()| std::fs::rename(&partial, &path))
        .map_err(|error| Failure::io(format!("cannot write {}", path.display()), error))?;
    Ok(Built { path, component })
}

/// A path as people would type it: from here, where it lies below.
fn shown(path: &Path) -> String {
    let path = path.strip_prefix(".").unwrap_or(path);
    crate::cli::output::clean(&path.display().to_string())
}
