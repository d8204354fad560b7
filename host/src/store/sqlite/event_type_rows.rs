//! Rows of event types: a JSON document each, found by tenant and name.
//!
//! Several are written in one command. It looks at all of them before it writes the first, so that a
//! refused one leaves nothing of the others.

use std::borrow::Cow;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::config_rows::BY_NAME;
use super::sum;
use super::work::Work;
use crate::event_type::{Definition, EventType};
use crate::id::TenantId;
use crate::store::{Error, Result};
use crate::time::Timestamp;

/// What is stored of an event type. Fields may be added with a default, never renamed.
#[derive(Serialize, Deserialize)]
struct Document<'a> {
    definition: Cow<'a, Definition>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

struct Row {
    tenant: i64,
    name: String,
    version: i64,
    document: String,
}

/// Event types, ready to be written.
pub(super) struct Prepared(Vec<Row>);

impl Prepared {
    pub(super) fn new(types: &[Arc<EventType>]) -> Result<Self> {
        let row = |event_type: &Arc<EventType>| {
            let document = Document {
                definition: Cow::Borrowed(&event_type.definition),
                created_at: event_type.created_at,
                updated_at: event_type.updated_at,
            };
            Ok(Row {
                tenant: event_type.tenant.number(),
                name: event_type.definition.name.clone(),
                version: i64::try_from(event_type.version).unwrap_or(i64::MAX),
                document: serde_json::to_string(&document).map_err(|error| Error::Backend(error.into()))?,
            })
        };
        types.iter().map(row).collect::<Result<_>>().map(Self)
    }

    pub(super) fn weight(&self) -> usize {
        self.0.iter().map(|row| row.document.len() + 64).sum()
    }

    pub(super) fn put(&self, work: &mut Work<'_>) -> Result<()> {
        self.0.iter().try_for_each(|row| row.check(work))?;
        for row in &self.0 {
            let key = params![row.tenant, row.name];
            sum::refuse_damaged(work.conn, "event_type", BY_NAME, key)?;
            work.conn.execute(
                "INSERT INTO event_type (tenant, name, version, document) VALUES (?, ?, ?, ?)
                 ON CONFLICT (tenant, name) DO UPDATE SET version = excluded.version, document = excluded.document",
                params![row.tenant, row.name, row.version, row.document],
            )?;
            sum::give(work.conn, "event_type", BY_NAME, key)?;
        }
        Ok(())
    }
}

impl Row {
    fn check(&self, work: &Work<'_>) -> Result<()> {
        let sql = "SELECT version FROM event_type WHERE tenant = ? AND name = ?";
        let found: Option<i64> = work
            .conn
            .query_row(sql, params![self.tenant, self.name], |row| row.get(0))
            .optional()?;
        match (self.version, found) {
            (1, None) => Ok(()),
            (1, Some(_)) => Err(Error::Taken {
                what: format!("the event type {:?}", self.name),
            }),
            (_, None) => Err(Error::Missing { what: "event type" }),
            (next, Some(found)) if found.checked_add(1) == Some(next) => Ok(()),
            (_, Some(_)) => Err(Error::Changed),
        }
    }
}

pub(super) fn remove(work: &mut Work<'_>, tenant: TenantId, name: &str) -> Result<()> {
    let removed = work.conn.execute(
        "DELETE FROM event_type WHERE tenant = ? AND name = ?",
        params![tenant.number(), name],
    )?;
    match removed {
        0 => Err(Error::Missing { what: "event type" }),
        _ => Ok(()),
    }
}

pub(super) fn event_types(conn: &Connection) -> Result<Vec<EventType>> {
    let mut query = conn.prepare_cached("SELECT * FROM event_type ORDER BY tenant, name")?;
    let mut rows = query.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (name, document): (String, String) = (row.get(1)?, row.get(3)?);
        sum::check(row, 4, || format!("the event type {name:?}"))?;
        let document: Document<'_> = serde_json::from_str(&document).map_err(|_| Error::Damaged {
            what: format!("the event type {name:?}"),
        })?;
        found.push(EventType {
            tenant: TenantId::from_number(row.get(0)?),
            definition: document.definition.into_owned(),
            version: row.get::<_, i64>(2)?.unsigned_abs(),
            created_at: document.created_at,
            updated_at: document.updated_at,
        });
    }
    Ok(found)
}
