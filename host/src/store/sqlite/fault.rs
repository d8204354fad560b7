//! What SQLite's errors mean to the store, and which of them end the writer.
//!
//! A full disk is survived. A failed read, write or sync, or a damaged file, is not: after a failed
//! sync the kernel may have dropped the pages and the next sync would succeed without them, so
//! nothing is tried again in this process and the next start decides by the WAL.
//!
//! A quota that is used up is a full disk with another number. SQLite tells the two apart: the one is
//! `SQLITE_FULL`, the other a failed write. It leaves the file and the transaction the same way in both
//! cases.

use rusqlite::{ErrorCode, ffi};

use crate::store::files::DATABASE;
use crate::store::{Error, WHOLE_DATABASE};

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        if wants_room(&error) {
            return Self::Full(error.into());
        }
        match error.sqlite_error_code() {
            // A reading that lasted while the log grew too large.
            Some(ErrorCode::OperationInterrupted) => Self::Busy,
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged {
                what: WHOLE_DATABASE.to_owned(),
            },
            Some(_) => Self::Backend(error.into()),
            None if is_unreadable(&error) => Self::Damaged {
                what: format!("a value in {DATABASE}: {error}"),
            },
            None => Self::Backend(error.into()),
        }
    }
}

/// Whether there was no room for what was to be written. Then nothing was, and the transaction is undone.
fn wants_room(error: &rusqlite::Error) -> bool {
    match error.sqlite_error().map(|error| error.extended_code) {
        // The index of the log lies in a file too.
        Some(ffi::SQLITE_FULL | ffi::SQLITE_IOERR_SHMSIZE) => true,
        Some(ffi::SQLITE_IOERR_WRITE) => quota_is_used_up(),
        _ => false,
    }
}

/// Whether the write that has just failed on this thread did so for a quota. The write itself has set the
/// thread's error, so it cannot be that of an earlier call; and where a later one has changed it, the write
/// counts as any other that failed, which is the safe side. (`sqlite3_system_errno` tells the same, read a
/// moment earlier.)
fn quota_is_used_up() -> bool {
    std::io::Error::last_os_error().kind() == std::io::ErrorKind::QuotaExceeded
}

/// Whether a value is not of the kind that its column has. Every value was of that kind when it was written.
const fn is_unreadable(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    matches!(
        error,
        FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..)
    )
}

/// Whether the writer may go on after this error.
pub(super) fn ends_writer(error: &Error) -> bool {
    let Error::Backend(source) = error else {
        return matches!(error, Error::Damaged { what } if what == WHOLE_DATABASE);
    };
    let code = source
        .downcast_ref::<rusqlite::Error>()
        .and_then(rusqlite::Error::sqlite_error_code);
    matches!(
        code,
        Some(
            ErrorCode::SystemIoFailure
                | ErrorCode::NotADatabase
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::OutOfMemory
        )
    )
}
