//! Says when the code of a crate has changed: once for a change of many files, and not for what a build
//! writes itself.

use std::path::{Component, Path};
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use crate::cli::Failure;

/// So long nothing may happen before a change counts as done: editors write a file in several steps,
/// and a change of branch touches many.
const QUIET: Duration = Duration::from_millis(250);
/// Folders of a crate in which nothing is code. A data directory may lie in it too.
const NOT_CODE: [&str; 4] = ["target", "fixtures", ".git", "hookway-data"];

/// Watches one crate for as long as it lives.
pub(super) struct Watch {
    changed: Arc<Notify>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Watches a folder and those in it that hold code.
    pub(super) fn start(directory: &Path) -> Result<Self, Failure> {
        let failed = |error| Failure::because(format!("cannot watch {}", directory.display()), error);
        let root = directory
            .canonicalize()
            .map_err(|error| Failure::io(format!("cannot find {}", directory.display()), error))?;
        let changed = Arc::new(Notify::new());
        let (tell, base) = (Arc::clone(&changed), root.clone());
        let handler = move |event: notify::Result<notify::Event>| {
            // What could not be watched is better built once too often.
            let is_code = event.map_or(true, |event| {
                let changes = !matches!(event.kind, EventKind::Access(_));
                changes && event.paths.iter().any(|path| is_code(&base, path))
            });
            if is_code {
                tell.notify_one();
            }
        };
        let mut watcher = notify::recommended_watcher(handler).map_err(failed)?;
        watcher
            .watch(&root, RecursiveMode::NonRecursive)
            .map_err(failed)?;
        // Not all in one: what was built is thousands of folders, and each would cost a watch.
        let entries = std::fs::read_dir(&root).into_iter().flatten().flatten();
        let folders = entries.map(|entry| entry.path()).filter(|path| path.is_dir());
        for folder in folders.filter(|folder| is_code(&root, folder)) {
            watcher.watch(&folder, RecursiveMode::Recursive).map_err(failed)?;
        }
        Ok(Self {
            changed,
            _watcher: watcher,
        })
    }

    /// Waits for the next change and until it is done. A change while nobody waits is not missed.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
        while tokio::time::timeout(QUIET, self.changed.notified()).await.is_ok() {}
    }
}

/// Whether a path is code: not built, no lock file that cargo writes, nothing of an editor.
fn is_code(root: &Path, path: &Path) -> bool {
    let Ok(below) = path.strip_prefix(root) else {
        return false;
    };
    let mut parts = below.components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    let first = parts.next().unwrap_or_default();
    let name = parts.next_back().unwrap_or(first);
    let of_editor =
        name.starts_with('.') || name.ends_with('~') || name.starts_with('#') || name.ends_with(".swp");
    !(NOT_CODE.contains(&first) || name == "Cargo.lock" || name.is_empty() || of_editor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_counts() {
        let root = Path::new("/c");
        for code in [
            "/c/src/lib.rs",
            "/c/Cargo.toml",
            "/c/src/a/b.rs",
            "/c/build.rs",
            "/c/src",
        ] {
            assert!(is_code(root, Path::new(code)), "{code}");
        }
        for other in [
            "/c/target/wasm/x",
            "/c/Cargo.lock",
            "/c/fixtures/a.json",
            "/c/.git/HEAD",
            "/c/src/.lib.rs.swp",
            "/c/src/lib.rs~",
            "/c/src/#lib.rs#",
            "/c",
            "/d/src/lib.rs",
        ] {
            assert!(!is_code(root, Path::new(other)), "{other}");
        }
    }

    #[tokio::test]
    async fn changes_are_told_when_they_are_done() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("src")).unwrap();
        let watch = Watch::start(directory.path()).unwrap();
        for text in ["a", "ab", "abc"] {
            std::fs::write(directory.path().join("src/lib.rs"), text).unwrap();
        }
        tokio::time::timeout(Duration::from_secs(20), watch.changed())
            .await
            .expect("the change is seen");
        // One that comes while nobody waits is not missed.
        std::fs::write(directory.path().join("Cargo.toml"), "x").unwrap();
        tokio::time::timeout(Duration::from_secs(20), watch.changed())
            .await
            .expect("the next change is seen, too");
    }
}
