//! How a store is: what whoever runs it wants to see on a dashboard.

/// How a store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Size of the database, in bytes.
    pub database_bytes: u64,
    /// Size of what is written ahead of it, in bytes.
    pub log_bytes: u64,
    /// Bytes that are free on its disk for programs without special rights.
    pub free_bytes: u64,
    /// Segments of history.
    pub segments: u64,
    /// Writes that wait for the writer.
    pub waiting: u64,
    /// About how many bytes they write.
    pub waiting_bytes: u64,
    /// What was committed since it was opened.
    pub committed: Committed,
}

/// What was committed since the store was opened. It only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Transactions.
    pub transactions: u64,
    /// Deliveries that were created.
    pub created: u64,
    /// Deliveries that were delivered, each time that they were.
    pub delivered: u64,
    /// Deliveries that were filtered.
    pub filtered: u64,
    /// Deliveries that failed, each time that they did.
    pub failed: u64,
}
