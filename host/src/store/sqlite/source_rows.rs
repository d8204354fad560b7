//! Rows of sources.
//!
//! A source is a JSON document, and beside it, sealed by the vault, what its sender proves itself with:
//! its secrets and its verify token. The name is a column, because it is unique in its tenant. Both
//! parts are made by the caller's task.

use std::borrow::Cow;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::config_rows::BY_ID;
use super::sum;
use super::work::Work;
use crate::id::{SourceId, TenantId};
use crate::secret::Secret;
use crate::source::{Settings, Source};
use crate::store::{Error, Result};
use crate::subscription::SigningSecret;
use crate::time::Timestamp;
use crate::vault::{Nonce, Place, Vault};

/// The open part of a source as it is stored. Fields may be added with a default, never renamed.
#[derive(Serialize, Deserialize)]
struct Document<'a> {
    description: Option<Cow<'a, str>>,
    enabled: bool,
    preset: Cow<'a, str>,
    settings: Cow<'a, Settings>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// The open part without the settings, which another version may have written in another form: one source
/// that cannot be read must not keep all the others from being.
#[derive(Deserialize)]
struct Rest {
    description: Option<String>,
    enabled: bool,
    preset: String,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Rest> for Document<'_> {
    fn from(rest: Rest) -> Self {
        Self {
            description: rest.description.map(Cow::Owned),
            enabled: rest.enabled,
            preset: Cow::Owned(rest.preset),
            settings: Cow::Owned(Settings::default()),
            created_at: rest.created_at,
            updated_at: rest.updated_at,
        }
    }
}

/// The sealed part. Fields may be added with a default, never renamed.
#[derive(Serialize, Deserialize)]
struct Sealed<'a> {
    secrets: Cow<'a, [SigningSecret]>,
    verify_token: Option<Cow<'a, Secret>>,
}

/// A source, ready to be written.
#[derive(Debug)]
pub(super) struct SourceRow {
    id: i64,
    tenant: i64,
    name: String,
    version: i64,
    document: String,
    sealed: Vec<u8>,
}

fn backend(error: impl Into<crate::store::BoxError>) -> Error {
    Error::Backend(error.into())
}

pub(super) fn place(tenant: i64, source: i64) -> Place<'static> {
    Place {
        tenant,
        object: source,
        field: "source",
    }
}

impl SourceRow {
    pub(super) fn new(source: &Source, vault: &Vault) -> Result<Self> {
        let (id, tenant) = (source.id.number(), source.tenant.number());
        let document = Document {
            description: source.description.as_deref().map(Cow::Borrowed),
            enabled: source.enabled,
            preset: Cow::Borrowed(&source.preset),
            settings: Cow::Borrowed(&source.settings),
            created_at: source.created_at,
            updated_at: source.updated_at,
        };
        let secret = Sealed {
            secrets: Cow::Borrowed(&source.secrets),
            verify_token: source.verify_token.as_ref().map(Cow::Borrowed),
        };
        let secret = Zeroizing::new(serde_json::to_vec(&secret).map_err(backend)?);
        Ok(Self {
            id,
            tenant,
            name: source.name.clone(),
            version: i64::try_from(source.version).unwrap_or(i64::MAX),
            document: serde_json::to_string(&document).map_err(backend)?,
            sealed: vault
                .seal(place(tenant, id), &secret, Nonce::random())
                .map_err(backend)?,
        })
    }

    fn check_name(&self, work: &Work<'_>) -> Result<()> {
        let sql = "SELECT 1 FROM source WHERE tenant = ? AND name = ? AND id <> ?";
        if work
            .statement(sql)?
            .exists(params![self.tenant, self.name, self.id])?
        {
            return Err(Error::Taken {
                what: format!("the name {:?}", self.name),
            });
        }
        Ok(())
    }

    pub(super) fn add(&self, work: &mut Work<'_>) -> Result<()> {
        self.check_name(work)?;
        if work
            .statement("SELECT 1 FROM source WHERE id = ?")?
            .exists([self.id])?
        {
            return Err(Error::Taken {
                what: "the id".to_owned(),
            });
        }
        work.conn.execute(
            "INSERT INTO source (id, tenant, name, version, document, sealed) VALUES (?, ?, ?, ?, ?, ?)",
            params![
                self.id,
                self.tenant,
                self.name,
                self.version,
                self.document,
                self.sealed
            ],
        )?;
        sum::give(work.conn, "source", BY_ID, [self.id])?;
        work.used_elsewhere(self.id);
        Ok(())
    }

    pub(super) fn update(&self, work: &mut Work<'_>, version: u64) -> Result<()> {
        let sql = "SELECT version FROM source WHERE id = ? AND tenant = ?";
        let found: Option<i64> = work
            .conn
            .query_row(sql, [self.id, self.tenant], |row| row.get(0))
            .optional()?;
        match found {
            None => return Err(Error::Missing { what: "source" }),
            Some(found) if u64::try_from(found).ok() != Some(version) => return Err(Error::Changed),
            Some(_) => self.check_name(work)?,
        }
        sum::refuse_damaged(work.conn, "source", BY_ID, [self.id])?;
        work.conn.execute(
            "UPDATE source SET name = ?2, version = ?3, document = ?4, sealed = ?5 WHERE id = ?1",
            params![self.id, self.name, self.version, self.document, self.sealed],
        )?;
        Ok(sum::give(work.conn, "source", BY_ID, [self.id])?)
    }
}

pub(super) fn remove_source(work: &mut Work<'_>, id: SourceId) -> Result<()> {
    let removed = work
        .conn
        .execute("DELETE FROM source WHERE id = ?", [id.number()])?;
    if removed == 0 {
        return Err(Error::Missing { what: "source" });
    }
    Ok(())
}

pub(super) fn sources(conn: &Connection, vault: &Vault) -> Result<Vec<Source>> {
    let mut query = conn.prepare_cached("SELECT * FROM source ORDER BY id")?;
    let mut rows = query.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(source(row, vault)?);
    }
    Ok(found)
}

fn source(row: &Row<'_>, vault: &Vault) -> Result<Source> {
    let (id, tenant): (i64, i64) = (row.get(0)?, row.get(1)?);
    let damaged = || Error::Damaged {
        what: SourceId::from_number(id).to_string(),
    };
    sum::check(row, 6, || SourceId::from_number(id).to_string())?;
    let document: String = row.get(4)?;
    let (document, unread) = match serde_json::from_str::<Document<'_>>(&document) {
        Ok(whole) => (whole, None),
        Err(why) => {
            let rest: Rest = serde_json::from_str(&document).map_err(|_| damaged())?;
            (rest.into(), Some(why.to_string()))
        }
    };
    let sealed: Vec<u8> = row.get(5)?;
    let secret = vault.open(place(tenant, id), &sealed).map_err(|_| damaged())?;
    let secret: Sealed<'_> = serde_json::from_slice(&secret).map_err(|_| damaged())?;
    Ok(Source {
        id: SourceId::from_number(id),
        tenant: TenantId::from_number(tenant),
        name: row.get(2)?,
        description: document.description.map(Cow::into_owned),
        enabled: document.enabled,
        preset: document.preset.into_owned(),
        settings: document.settings.into_owned(),
        unread,
        secrets: secret.secrets.into_owned(),
        verify_token: secret.verify_token.map(Cow::into_owned),
        version: row.get::<_, i64>(3)?.unsigned_abs(),
        created_at: document.created_at,
        updated_at: document.updated_at,
    })
}
