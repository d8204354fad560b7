//! The program in a folder outside the workspace, and `hookway dev` as it runs.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::support::TestRouter;
use crate::support::router::ADMIN_KEY;

/// Compiling a plugin takes this long at the most, on a machine that runs other tests beside it and
/// compiles what the plugin depends on for the first time.
pub const PATIENCE: Duration = Duration::from_secs(500);
/// Wall time on a busy machine: what the limits do is not what these tests are about.
pub const SLOW: [(&str, &str); 2] = [
    ("HOOKWAY_PLUGINS__TRANSFORM_MS", "5s"),
    ("HOOKWAY_PLUGINS__CONFIGURE_MS", "5s"),
];

/// The workspace's own target directory: what `cargo xtask plugins` compiled is used again.
pub fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")
}

/// A folder outside the workspace, and the program in it.
pub struct Author {
    folder: tempfile::TempDir,
    router: Option<String>,
}

impl Author {
    pub fn new(router: Option<&TestRouter>) -> Self {
        Self {
            folder: tempfile::tempdir().expect("a directory"),
            router: router.map(|router| router.url("")),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookway"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .envs(SLOW)
            .kill_on_drop(true);
        if let Some(url) = &self.router {
            command.env("HOOKWAY_URL", url).env("HOOKWAY_KEY", ADMIN_KEY);
        }
        command
    }

    pub async fn call(&self, arguments: &[&str]) -> Output {
        let output = tokio::time::timeout(PATIENCE, self.command(arguments).output());
        output.await.expect("in time").expect("it starts")
    }

    /// What a command printed, which must have worked.
    pub async fn run(&self, arguments: &[&str]) -> String {
        let output = self.call(arguments).await;
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{arguments:?}\n{out}\n{error}");
        out
    }

    /// What a command printed that must have failed with this exit code.
    pub async fn fail(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.call(arguments).await;
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{said}");
        said
    }

    /// Makes a plugin with the SDK of this workspace, and pins what it depends on to what the workspace
    /// has: nothing newer is fetched while a test runs.
    pub async fn make(&self, name: &str, template: &str) -> String {
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-sdk");
        let sdk = sdk.to_str().expect("a path").to_owned();
        let made = self
            .run(&["plugin", "new", name, "--template", template, "--sdk-path", &sdk])
            .await;
        let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
        std::fs::copy(lock, self.path(name).join("Cargo.lock")).expect("it can be copied");
        made
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Changes a file of a crate.
pub fn edit(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).expect("a file");
    assert!(text.contains(from), "{from} is not in {}", file.display());
    std::fs::write(file, text.replace(from, to)).expect("it can be written");
}

/// A running `hookway dev`.
pub struct Dev {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    seen: Vec<String>,
}

impl Dev {
    pub async fn start(author: &Author, arguments: &[&str]) -> Self {
        let mut command = author.command(arguments);
        command
            .env("HOOKWAY_ADMIN_KEY", ADMIN_KEY)
            .stdout(std::process::Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self {
            _child: child,
            lines,
            seen: Vec::new(),
        }
    }

    /// Waits for a line with this text.
    pub async fn until(&mut self, text: &str) -> String {
        let found = async {
            while let Some(line) = self.lines.next_line().await.expect("text") {
                self.seen.push(line.clone());
                if line.contains(text) {
                    return Some(line);
                }
            }
            None
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        let seen = &self.seen;
        found
            .ok()
            .flatten()
            .unwrap_or_else(|| panic!("no line says `{text}`: {seen:#?}"))
    }
}
