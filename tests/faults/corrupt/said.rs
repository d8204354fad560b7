//! A write-ahead log in which something stands, and what doctor and the start say of one that ends before its
//! end.

use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use hookway::checkup::Outcome;
use hookway::config::Config;
use hookway::doctor::stopped::Patient;
use hookway::time::Timestamp;

/// Longest wait for a log to be emptied; a router that has nothing to do takes half a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads the database from now on, so that whatever is written stays in its log until this is dropped. What was
/// written before, such as the schema, is in the database: that is how one looks that is older than a second.
pub(super) async fn log_stays(data: &Path) -> rusqlite::Connection {
    let log = data.join("hookway.db-wal");
    let emptied = async {
        while log.metadata().is_ok_and(|log| log.len() > 0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let emptied = tokio::time::timeout(PATIENCE, emptied).await;
    assert!(emptied.is_ok(), "the log is never emptied");
    let reader = rusqlite::Connection::open(data.join("hookway.db")).expect("it can be read");
    let begun = reader.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema");
    begun.expect("a state to read");
    reader
}

/// What was logged as a warning or worse.
static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOGGED.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// From now on what this process logs is kept.
pub(super) fn listen() {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .with_writer(|| Lines)
        .init();
}

/// Forgets what was logged.
pub(super) fn forget() {
    LOGGED.lock().unwrap().clear();
}

fn names_it(text: &str) -> bool {
    text.contains("hookway.db-wal ends early, at frame ")
        || text.contains("hookway.db-wal has a damaged header")
}

/// Whether something was logged about it since.
pub(super) fn by_start() -> bool {
    let logged = String::from_utf8_lossy(&LOGGED.lock().unwrap()).into_owned();
    logged
        .lines()
        .any(|line| names_it(line) && line.contains("keep a copy of the data directory"))
}

/// Whether a look at the stopped router says it.
pub(super) fn by_doctor(data: &Path) -> bool {
    let mut config = Config::default();
    data.clone_into(&mut config.data_dir);
    let checkup = Patient::lock(config).checkup(Timestamp::from_millis(0));
    let mut checks = checkup.checks.iter();
    checks.any(|check| check.name == "wal" && check.outcome == Outcome::Warn && names_it(&check.what))
}
