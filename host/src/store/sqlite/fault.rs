//! What SQLite's errors mean to the store, and which of them end the writer.
//!
//! A full disk is survived. A failed read, write or sync, or a damaged file, is not: after a failed
//! sync the kernel may have dropped the pages and the next sync would succeed without them, so
//! nothing is tried again in this process and the next start decides by the WAL.

use rusqlite::ErrorCode;

use crate::store::files::DATABASE;
use crate::store::{Error, WHOLE_DATABASE};

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        // The index of the log lies in a file too. Where that finds no room to grow, nothing was written, and
        // the transaction is undone.
        let extended = error.sqlite_error().map(|error| error.extended_code);
        if extended == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE) {
            return Self::Full(error.into());
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(error.into()),
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
