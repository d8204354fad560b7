//! The contract on SQLite, and what only this backend promises.

use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use super::{OpenError, SqliteOptions, SqliteStore};
use crate::store::contract::{self, Backend, Size};
use crate::store::{Store, files};
use crate::time::Timestamp;

/// A data directory that goes with the test.
struct Directory {
    dir: TempDir,
    size: Size,
}

impl Directory {
    fn options(&self, now: Timestamp) -> SqliteOptions {
        let segment_bytes = match self.size {
            Size::Usual => super::SEGMENT_BYTES_DEFAULT,
            Size::Tiny => 2_000,
        };
        SqliteOptions {
            segment_bytes,
            ..SqliteOptions::new(self.dir.path(), now)
        }
    }
}

impl Backend for Directory {
    fn new(size: Size) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            size,
        }
    }

    fn open(&self, now: Timestamp) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&self.options(now)).unwrap())
    }
}

contract::contract_tests! { Directory }
