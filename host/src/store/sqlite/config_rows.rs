//! Rows of what is configured: subscriptions, tenants, keys, plugins.
//!
//! They are few and change rarely. A subscription is a JSON document, and beside it, sealed by the
//! vault, what may be secret: its endpoint and the configuration of its plugins. Both are made by the
//! caller's task. A component is kept as long as a version or a subscription that names its digest
//! uses it; the one statement that looks after that runs with every change that can end a use.
//!
//! Each row has a [`sum`], which is made anew from the row after each change; a row that is damaged is not
//! changed.

use std::borrow::Cow;
use std::num::NonZeroU16;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::sum;
use super::work::Work;
use crate::digest::Digest;
use crate::id::{KeyId, SubscriptionId, TenantId};
use crate::profile::Choice;
use crate::retry::Schedule;
use crate::store::{self, Error, Key, PluginVersion, Result, Tenant};
use crate::subscription::{Endpoint, Envelope, Isolation, PluginStep, Status, Subscription};
use crate::time::Timestamp;
use crate::vault::{Nonce, Place, Vault};

/// The rows that a change is about.
pub(super) const BY_ID: &str = "id = ?";
pub(super) const BY_NAME: &str = "tenant = ? AND name = ?";

/// The open part of a subscription as it is stored. Fields may be added with a default, never renamed.
#[derive(Serialize, Deserialize)]
struct Document {
    name: String,
    status: Status,
    events: Vec<String>,
    filter: Option<String>,
    profile: Choice,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry: Option<Schedule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout_seconds: Option<NonZeroU16>,
    envelope: Envelope,
    isolation: Isolation,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// The sealed part. Fields may be added with a default, never renamed.
#[derive(Serialize, Deserialize)]
struct Sealed<'a> {
    endpoint: Cow<'a, Endpoint>,
    plugins: Cow<'a, [PluginStep]>,
}

/// A subscription, ready to be written.
#[derive(Debug)]
pub(super) struct SubscriptionRow {
    id: i64,
    tenant: i64,
    key: Option<String>,
    version: i64,
    updated_at: Timestamp,
    document: String,
    sealed: Vec<u8>,
    pins: Vec<Digest>,
}

fn backend(error: impl Into<crate::store::BoxError>) -> Error {
    Error::Backend(error.into())
}

pub(super) fn place(tenant: i64, subscription: i64) -> Place<'static> {
    Place {
        tenant,
        object: subscription,
        field: "sealed",
    }
}

impl SubscriptionRow {
    pub(super) fn new(subscription: &Subscription, vault: &Vault) -> Result<Self> {
        let (id, tenant) = (subscription.id.number(), subscription.tenant.number());
        let document = Document {
            name: subscription.name.clone(),
            status: subscription.status.clone(),
            events: subscription.events.clone(),
            filter: subscription.filter.clone(),
            profile: subscription.profile.clone(),
            retry: subscription.retry.clone(),
            timeout_seconds: subscription.timeout_seconds,
            envelope: subscription.envelope,
            isolation: subscription.isolation,
            created_at: subscription.created_at,
            updated_at: subscription.updated_at,
        };
        let secret = Sealed {
            endpoint: Cow::Borrowed(&subscription.endpoint),
            plugins: Cow::Borrowed(&subscription.plugins),
        };
        let secret = Zeroizing::new(serde_json::to_vec(&secret).map_err(backend)?);
        Ok(Self {
            id,
            tenant,
            key: subscription.key.clone(),
            version: i64::try_from(subscription.version).unwrap_or(i64::MAX),
            updated_at: subscription.updated_at,
            document: serde_json::to_string(&document).map_err(backend)?,
            sealed: vault
                .seal(place(tenant, id), &secret, Nonce::random())
                .map_err(backend)?,
            pins: subscription
                .plugins
                .iter()
                .filter_map(|plugin| plugin.digest)
                .collect(),
        })
    }

    fn check_key(&self, work: &Work<'_>) -> Result<()> {
        let sql = "SELECT 1 FROM subscription WHERE tenant = ? AND key = ? AND id <> ?";
        if let Some(key) = &self.key
            && work.statement(sql)?.exists(params![self.tenant, key, self.id])?
        {
            return Err(Error::Taken {
                what: format!("the key {key:?}"),
            });
        }
        Ok(())
    }

    fn write_pins(&self, work: &Work<'_>) -> Result<()> {
        work.conn
            .execute("DELETE FROM pin WHERE subscription = ?", [self.id])?;
        for digest in &self.pins {
            work.conn.execute(
                "INSERT OR IGNORE INTO pin VALUES (?, ?)",
                params![self.id, digest.as_bytes()],
            )?;
        }
        Ok(())
    }

    pub(super) fn add(&self, work: &mut Work<'_>) -> Result<()> {
        self.check_key(work)?;
        if work
            .statement("SELECT 1 FROM subscription WHERE id = ?")?
            .exists([self.id])?
        {
            return Err(Error::Taken {
                what: "the id".to_owned(),
            });
        }
        work.conn.execute(
            "INSERT INTO subscription (id, tenant, key, version, document, sealed)
             VALUES (?, ?, ?, ?, ?, ?)",
            params![
                self.id,
                self.tenant,
                self.key,
                self.version,
                self.document,
                self.sealed
            ],
        )?;
        sum::give(work.conn, "subscription", BY_ID, [self.id])?;
        work.used_elsewhere(self.id);
        self.write_pins(work)
    }

    pub(super) fn update(&self, work: &mut Work<'_>, version: u64, failures: store::Row) -> Result<()> {
        let sql = "SELECT version FROM subscription WHERE id = ? AND tenant = ?";
        let found: Option<i64> = work
            .conn
            .query_row(sql, [self.id, self.tenant], |row| row.get(0))
            .optional()?;
        match found {
            None => return Err(Error::Missing { what: "subscription" }),
            Some(found) if u64::try_from(found).ok() != Some(version) => return Err(Error::Changed),
            Some(_) => self.check_key(work)?,
        }
        sum::refuse_damaged(work.conn, "subscription", BY_ID, [self.id])?;
        work.conn.execute(
            "UPDATE subscription SET key = ?2, version = ?3, document = ?4, sealed = ?5 WHERE id = ?1",
            params![self.id, self.key, self.version, self.document, self.sealed],
        )?;
        sum::give(work.conn, "subscription", BY_ID, [self.id])?;
        if failures == store::Row::BeginsAnew {
            work.begin_row_from(self.id, self.updated_at);
        }
        self.write_pins(work)?;
        drop_unused_components(work)
    }
}

pub(super) fn remove_subscription(work: &mut Work<'_>, id: SubscriptionId) -> Result<()> {
    let removed = work
        .conn
        .execute("DELETE FROM subscription WHERE id = ?", [id.number()])?;
    if removed == 0 {
        return Err(Error::Missing { what: "subscription" });
    }
    work.conn
        .execute("DELETE FROM pin WHERE subscription = ?", [id.number()])?;
    work.forget_row(id.number());
    drop_unused_components(work)
}

pub(super) fn subscriptions(conn: &Connection, vault: &Vault) -> Result<Vec<Subscription>> {
    let mut query = conn.prepare_cached("SELECT * FROM subscription ORDER BY id")?;
    let mut rows = query.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(subscription(row, vault)?);
    }
    Ok(found)
}

fn subscription(row: &Row<'_>, vault: &Vault) -> Result<Subscription> {
    let (id, tenant): (i64, i64) = (row.get(0)?, row.get(1)?);
    let damaged = || Error::Damaged {
        what: SubscriptionId::from_number(id).to_string(),
    };
    sum::check(row, 6, || SubscriptionId::from_number(id).to_string())?;
    let document: Document = serde_json::from_str(&row.get::<_, String>(4)?).map_err(|_| damaged())?;
    let sealed: Vec<u8> = row.get(5)?;
    let secret = vault.open(place(tenant, id), &sealed).map_err(|_| damaged())?;
    let secret: Sealed<'_> = serde_json::from_slice(&secret).map_err(|_| damaged())?;
    Ok(Subscription {
        id: SubscriptionId::from_number(id),
        tenant: TenantId::from_number(tenant),
        key: row.get(2)?,
        name: document.name,
        status: document.status,
        events: document.events,
        filter: document.filter,
        plugins: secret.plugins.into_owned(),
        endpoint: secret.endpoint.into_owned(),
        profile: document.profile,
        retry: document.retry,
        timeout_seconds: document.timeout_seconds,
        envelope: document.envelope,
        isolation: document.isolation,
        version: row.get::<_, i64>(3)?.unsigned_abs(),
        created_at: document.created_at,
        updated_at: document.updated_at,
    })
}

pub(super) fn tenants(conn: &Connection) -> Result<Vec<Tenant>> {
    let mut query = conn.prepare_cached("SELECT * FROM tenant ORDER BY id")?;
    let mut rows = query.query([])?;
    let mut tenants = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, document) = (TenantId::from_number(row.get(0)?), row.get::<_, String>(3)?);
        sum::check(row, 4, || id.to_string())?;
        tenants.push(Tenant {
            id,
            name: row.get(1)?,
            created_at: Timestamp::from_millis(row.get(2)?),
            // What a later version wrote and this one cannot read is as if it had not been said.
            settings: serde_json::from_str(&document).unwrap_or_default(),
        });
    }
    Ok(tenants)
}

pub(super) fn add_tenant(work: &mut Work<'_>, tenant: &Tenant) -> Result<()> {
    let taken = work
        .statement("SELECT 1 FROM tenant WHERE name = ? OR id = ?")?
        .exists(params![tenant.name, tenant.id.number()])?;
    if taken {
        return Err(Error::Taken {
            what: format!("the name {:?}", tenant.name),
        });
    }
    work.conn.execute(
        "INSERT INTO tenant (id, name, created_at, document) VALUES (?, ?, ?, ?)",
        params![
            tenant.id.number(),
            tenant.name,
            tenant.created_at.as_millis(),
            serde_json::to_string(&tenant.settings).map_err(backend)?
        ],
    )?;
    sum::give(work.conn, "tenant", BY_ID, [tenant.id.number()])?;
    work.used_elsewhere(tenant.id.number());
    Ok(())
}

pub(super) fn update_tenant(work: &mut Work<'_>, tenant: &Tenant) -> Result<()> {
    let settings = serde_json::to_string(&tenant.settings).map_err(backend)?;
    let id = tenant.id.number();
    sum::refuse_damaged(work.conn, "tenant", BY_ID, [id])?;
    let changed = work.conn.execute(
        "UPDATE tenant SET document = ?2 WHERE id = ?1",
        params![id, settings],
    )?;
    match changed {
        0 => Err(Error::Missing { what: "tenant" }),
        _ => Ok(sum::give(work.conn, "tenant", BY_ID, [id])?),
    }
}

pub(super) fn keys(conn: &Connection) -> Result<Vec<Key>> {
    let mut query = conn.prepare_cached("SELECT * FROM key ORDER BY id")?;
    let mut rows = query.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        let id = KeyId::from_number(row.get(0)?);
        sum::check(row, 7, || id.to_string())?;
        keys.push(Key {
            id,
            tenant: row.get::<_, Option<i64>>(1)?.map(TenantId::from_number),
            name: row.get(2)?,
            hash: Digest::from_bytes(row.get(3)?),
            scopes: row.get(4)?,
            created_at: Timestamp::from_millis(row.get(5)?),
            revoked_at: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_millis),
        });
    }
    Ok(keys)
}

pub(super) fn add_key(work: &mut Work<'_>, key: &Key) -> Result<()> {
    let taken = work
        .statement("SELECT 1 FROM key WHERE hash = ? OR id = ?")?
        .exists(params![key.hash.as_bytes(), key.id.number()])?;
    if taken {
        return Err(Error::Taken {
            what: "the key".to_owned(),
        });
    }
    sum::insert(
        &mut *work.statement("INSERT INTO key VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?,
        params![
            key.id.number(),
            key.tenant.map(TenantId::number),
            key.name,
            key.hash.as_bytes(),
            key.scopes,
            key.created_at.as_millis(),
            key.revoked_at.map(Timestamp::as_millis),
        ],
    )?;
    work.used_elsewhere(key.id.number());
    Ok(())
}

pub(super) fn revoke_key(work: &mut Work<'_>, id: KeyId, now: Timestamp) -> Result<bool> {
    if !work
        .statement("SELECT 1 FROM key WHERE id = ?")?
        .exists([id.number()])?
    {
        return Err(Error::Missing { what: "key" });
    }
    sum::refuse_damaged(work.conn, "key", BY_ID, [id.number()])?;
    let revoked = work.conn.execute(
        "UPDATE key SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL",
        params![id.number(), now.as_millis()],
    )?;
    sum::give(work.conn, "key", BY_ID, [id.number()])?;
    Ok(revoked > 0)
}

pub(super) fn plugins(conn: &Connection) -> Result<Vec<PluginVersion>> {
    let mut query = conn.prepare_cached("SELECT * FROM plugin ORDER BY tenant, name, uploaded_at, digest")?;
    let mut rows = query.query([])?;
    let mut plugins = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(1)?;
        sum::check(row, 7, || format!("the plugin {name:?}"))?;
        plugins.push(PluginVersion {
            tenant: TenantId::from_number(row.get(0)?),
            name,
            digest: Digest::from_bytes(row.get(2)?),
            size: row.get::<_, i64>(3)?.unsigned_abs(),
            manifest: row.get(4)?,
            uploaded_at: Timestamp::from_millis(row.get(5)?),
            current: row.get(6)?,
        });
    }
    Ok(plugins)
}

pub(super) fn add_plugin(work: &mut Work<'_>, version: &PluginVersion, component: &[u8]) -> Result<()> {
    let tenant = version.tenant.number();
    work.conn.execute(
        "INSERT OR IGNORE INTO component VALUES (?, ?)",
        params![version.digest.as_bytes(), component],
    )?;
    let others = params![tenant, version.name];
    sum::refuse_damaged(work.conn, "plugin", BY_NAME, others)?;
    work.conn.execute(
        "UPDATE plugin SET current = 0 WHERE tenant = ? AND name = ?",
        others,
    )?;
    work.conn.execute(
        "INSERT OR REPLACE INTO plugin VALUES (?, ?, ?, ?, ?, ?, 1, NULL)",
        params![
            tenant,
            version.name,
            version.digest.as_bytes(),
            i64::try_from(version.size).unwrap_or(i64::MAX),
            version.manifest,
            version.uploaded_at.as_millis(),
        ],
    )?;
    Ok(sum::give(work.conn, "plugin", BY_NAME, others)?)
}

pub(super) fn component(conn: &Connection, digest: Digest) -> Result<Option<Bytes>> {
    let found: Option<Vec<u8>> = conn
        .query_row(
            "SELECT bytes FROM component WHERE digest = ?",
            [digest.as_bytes()],
            |row| row.get(0),
        )
        .optional()?;
    match found {
        Some(bytes) if Digest::of(&bytes) != digest => Err(Error::Damaged {
            what: format!("component {digest}"),
        }),
        found => Ok(found.map(Bytes::from)),
    }
}

pub(super) fn remove_plugin(work: &mut Work<'_>, tenant: TenantId, name: &str) -> Result<()> {
    let removed = work.conn.execute(
        "DELETE FROM plugin WHERE tenant = ? AND name = ?",
        params![tenant.number(), name],
    )?;
    if removed == 0 {
        return Err(Error::Missing { what: "plugin" });
    }
    drop_unused_components(work)
}

fn drop_unused_components(work: &Work<'_>) -> Result<()> {
    work.conn.execute(
        "DELETE FROM component WHERE digest NOT IN (SELECT digest FROM plugin UNION SELECT digest FROM pin)",
        [],
    )?;
    Ok(())
}
