//! Compiling, in a process of its own.
//!
//! A compiler that is given hostile input may need minutes, gigabytes or an abort; wasmtime does not
//! call that a fault. So the router starts itself once more (`hookway compile-worker`) for every
//! component: the child limits its own address space, processor time and files before it reads a byte
//! of the component, has no environment, and is killed when it takes too long. One compiles at a time.
//!
//! Through the child's standard input go its limits as one line of JSON and then the component; the
//! artefact comes back through its standard output, a complaint through its standard error.

use std::ffi::OsString;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Resource, Rlimit};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::engine;
use super::limits::PluginLimits;

/// Most that is read of a child's complaint, in bytes.
const COMPLAINT_BYTES_MAX: u64 = 4 * 1_024;
/// How much lower than the router's the child's priority is.
const NICENESS: i32 = 5;
/// What the child ends with when the component could not be compiled.
const FAILED: u8 = 1;

/// Who compiles.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// A process of its own: the router itself, with a hidden verb.
    Child {
        /// The program, mostly the one that runs.
        program: PathBuf,
        /// Its arguments.
        args: Vec<OsString>,
    },
    /// This process. No limits: for tests with components of their own.
    InProcess,
}

/// A component that could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The compiling process could not be started or talked to.
    #[error("cannot run the compiling process")]
    Process(#[source] io::Error),
    /// It took too long.
    #[error("compiling took longer than `plugins.compile_wall_ms` allows ({0} ms)")]
    Time(u64),
    /// The artefact is too large.
    #[error("the compiled plugin is larger than `plugins.artefact_bytes` allows ({0})")]
    Size(usize),
    /// It was killed by its own limits: `plugins.compile_cpu_seconds` or
    /// `plugins.compile_address_space_bytes`.
    #[error("compiling went beyond its limits ({detail})")]
    Limits {
        /// How the process ended.
        detail: String,
    },
    /// The compiler refused it.
    #[error("the component cannot be compiled: {detail}")]
    Refused {
        /// The compiler's words.
        detail: String,
    },
}

/// What the child may use; the first line of its input.
#[derive(Debug, Serialize, Deserialize)]
struct Budget {
    address_space_bytes: u64,
    cpu_seconds: u64,
    component_bytes: u64,
}

/// Compiles a component that was checked.
pub(super) async fn compile(
    compiler: &Compiler,
    component: Bytes,
    limits: &PluginLimits,
) -> Result<Vec<u8>, CompileError> {
    match compiler {
        Compiler::Child { program, args } => {
            let mut command = Command::new(program);
            command.args(args);
            let wall = Duration::from_millis(limits.compile_wall_ms);
            let child = in_child(command, &component, limits);
            let late = |_| CompileError::Time(limits.compile_wall_ms);
            tokio::time::timeout(wall, child).await.map_err(late)?
        }
        Compiler::InProcess => {
            let compile = move || engine::compiler()?.precompile_component(&component);
            let result = tokio::task::spawn_blocking(compile).await;
            let result = result.map_err(|error| CompileError::Process(io::Error::other(error)))?;
            result.map_err(|error| CompileError::Refused {
                detail: format!("{error:#}"),
            })
        }
    }
}

async fn in_child(
    mut command: Command,
    component: &[u8],
    limits: &PluginLimits,
) -> Result<Vec<u8>, CompileError> {
    let mut child = command
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(CompileError::Process)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let budget = Budget {
        address_space_bytes: limits.compile_address_space_bytes,
        cpu_seconds: limits.compile_cpu_seconds,
        component_bytes: component.len() as u64,
    };
    let mut line = serde_json::to_vec(&budget).map_err(|error| CompileError::Process(error.into()))?;
    line.push(b'\n');
    let write = async {
        if let Some(mut stdin) = stdin {
            stdin.write_all(&line).await?;
            stdin.write_all(component).await?;
        }
        Ok::<_, io::Error>(())
    };
    // One byte more than allowed shows that it is too large.
    let artefact = capped(stdout, limits.artefact_bytes as u64 + 1);
    let complaint = capped(stderr, COMPLAINT_BYTES_MAX);
    // A child that stops reading breaks the pipe; its end says why better than that.
    let (_written, artefact, complaint) = tokio::join!(write, artefact, complaint);
    let (artefact, complaint) = (
        artefact.map_err(CompileError::Process)?,
        complaint.map_err(CompileError::Process)?,
    );
    if artefact.len() > limits.artefact_bytes {
        return Err(CompileError::Size(limits.artefact_bytes));
    }
    let status = child.wait().await.map_err(CompileError::Process)?;
    let detail = super::log::clean(String::from_utf8_lossy(&complaint).trim(), limits.reason_bytes);
    match status.code() {
        Some(0) => Ok(artefact),
        Some(code) if code == i32::from(FAILED) => Err(CompileError::Refused { detail }),
        _ => Err(CompileError::Limits {
            detail: format!("{status} {detail}").trim_end().to_owned(),
        }),
    }
}

async fn capped(stream: Option<impl AsyncRead + Unpin>, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(most).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// The compiling process: limits itself, reads a component, writes its artefact. Answers the exit code.
pub fn compile_worker() -> u8 {
    match work() {
        Ok(()) => 0,
        Err(detail) => {
            // There is nobody else to tell when even this fails.
            drop(io::stderr().write_all(detail.as_bytes()));
            FAILED
        }
    }
}

fn work() -> Result<(), String> {
    let mut input = io::stdin().lock();
    let mut line = String::new();
    let cannot = |what: &str, error: &dyn std::fmt::Display| format!("cannot {what}: {error}");
    (&mut input)
        .take(COMPLAINT_BYTES_MAX)
        .read_line(&mut line)
        .map_err(|error| cannot("read the limits", &error))?;
    let budget: Budget = serde_json::from_str(&line).map_err(|error| cannot("read the limits", &error))?;
    confine(&budget).map_err(|error| cannot("limit itself", &error))?;
    let mut component = Vec::new();
    input
        .take(budget.component_bytes)
        .read_to_end(&mut component)
        .map_err(|error| cannot("read the component", &error))?;
    let artefact = engine::compiler()
        .and_then(|engine| engine.precompile_component(&component))
        .map_err(|error| format!("{error:#}"))?;
    let mut output = io::stdout().lock();
    output
        .write_all(&artefact)
        .and_then(|()| output.flush())
        .map_err(|error| cannot("write the artefact", &error))
}

fn confine(budget: &Budget) -> io::Result<()> {
    let limits = [
        (Resource::As, budget.address_space_bytes),
        (Resource::Cpu, budget.cpu_seconds),
        // It writes to a pipe only.
        (Resource::Fsize, 0),
        (Resource::Core, 0),
    ];
    for (resource, most) in limits {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        rustix::process::setrlimit(resource, limit)?;
    }
    // A system that does not allow it compiles at the usual priority.
    let _ignored = rustix::process::nice(NICENESS);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the router makes of a compiling process that does this.
    async fn child(script: &str, wall_ms: u64) -> Result<Vec<u8>, CompileError> {
        let compiler = Compiler::Child {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
        };
        let limits = PluginLimits {
            compile_wall_ms: wall_ms,
            artefact_bytes: 1_000,
            ..PluginLimits::default()
        };
        compile(&compiler, Bytes::from_static(b"component"), &limits).await
    }

    #[tokio::test]
    async fn whatever_becomes_of_the_child_has_a_name() {
        let minute = 60_000;
        // The first line is the budget, the rest the component.
        assert_eq!(
            child("read budget; exec cat", minute).await.unwrap(),
            b"component"
        );
        let refused = child("echo no such section >&2; exit 1", minute).await;
        assert!(matches!(refused, Err(CompileError::Refused { detail }) if detail == "no such section"));
        let killed = child("kill -9 $$", minute).await;
        assert!(matches!(killed, Err(CompileError::Limits { detail }) if detail.contains('9')));
        let large = child("head -c 5000 /dev/zero", minute).await;
        assert!(matches!(large, Err(CompileError::Size(1_000))));
        let late = child("while :; do :; done", 50).await;
        assert!(matches!(late, Err(CompileError::Time(50))));
        let environment = child("if [ -n \"$CARGO_MANIFEST_DIR$HOME\" ]; then exit 9; fi", minute).await;
        assert_eq!(environment.unwrap(), b"");
        let program = Compiler::Child {
            program: "/no/such/program".into(),
            args: Vec::new(),
        };
        let none = compile(&program, Bytes::new(), &PluginLimits::default()).await;
        assert!(matches!(none, Err(CompileError::Process(_))));
    }
}
