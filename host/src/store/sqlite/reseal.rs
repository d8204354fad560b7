//! Sealing everything anew under another key, for one that has become known.
//!
//! Under the lock of the data directory, so no router serves. What is sealed changes in one transaction, the
//! canary with it: it tells which key the database belongs to, whatever a crash left ([`settled`]). The next
//! key is on the disk before that transaction and takes the name of the old one behind it.

use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::opening::{self, OpenError, ROUTER_FIELDS, router_place};
use super::{checkpoint, config_rows, schema, source_rows, sum};
use crate::store::files::DataDir;
use crate::vault::{Nonce, Place, Vault};

/// Seals everything that is secret in a data directory anew, under another key; says how many values. For one
/// that no process has open. Blocks.
pub fn reseal(dir: &Path) -> Result<usize, OpenError> {
    // Looked for first: taking the lock would make the directory.
    let path = dir.join(crate::store::files::DATABASE);
    if !path.exists() {
        return Err(OpenError::Nothing { path });
    }
    let dir = DataDir::lock(dir)?;
    let key = dir.secrets_key()?;
    let mut conn = Connection::open(dir.database())?;
    conn.busy_timeout(checkpoint::READERS_WAIT)?;
    schema::prepare_writer(&mut conn)?;
    // What was sealed under the old key does not stay behind in pages that are free.
    let _: i64 = conn.pragma_update_and_check(None, "secure_delete", true, |row| row.get(0))?;
    let old = settled(&dir, &conn, Vault::new(&key))?;
    if !opening::key_fits(&conn, &old)? {
        return Err(OpenError::WrongKey);
    }
    let new = Vault::new(&*dir.make_next_key()?);
    let step = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let count = all(&step, &old, &new)?;
    step.commit()?;
    dir.take_next_key()?;
    // And the log keeps nothing of it either.
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(count)
}

/// The vault of a database, after what a crash may have left of a change of its key.
pub(super) fn settled(dir: &DataDir, conn: &Connection, vault: Vault) -> Result<Vault, OpenError> {
    let Some(next) = dir.next_key()? else {
        return Ok(vault);
    };
    let next = Vault::new(&next);
    if opening::key_fits(conn, &next)? {
        dir.take_next_key()?;
        return Ok(next);
    }
    // Where neither fits nothing is removed: a person has to look.
    if opening::key_fits(conn, &vault)? {
        dir.drop_next_key()?;
    }
    Ok(vault)
}

fn all(step: &Transaction<'_>, old: &Vault, new: &Vault) -> Result<usize, OpenError> {
    let again = |place: Place<'_>, sealed: &[u8]| {
        let plain = old.open(place, sealed).map_err(|_| OpenError::WrongKey)?;
        Ok::<_, OpenError>(new.seal(place, &plain, Nonce::random())?)
    };
    let mut count = 0;
    for name in ROUTER_FIELDS {
        let sql = "SELECT value FROM meta WHERE name = ?";
        let sealed: Vec<u8> = step.query_row(sql, [name], |row| row.get(0))?;
        let sealed = again(router_place(name), &sealed)?;
        count += step.execute(
            "UPDATE meta SET value = ?2 WHERE name = ?1",
            params![name, sealed],
        )?;
    }
    for (table, place) in [
        (
            "subscription",
            config_rows::place as fn(i64, i64) -> Place<'static>,
        ),
        ("source", source_rows::place),
    ] {
        sum::refuse_damaged(step, table, "TRUE", [])?;
        let mut query = step.prepare(&format!("SELECT id, tenant, sealed FROM {table}"))?;
        let mut update = step.prepare(&format!("UPDATE {table} SET sealed = ?2 WHERE id = ?1"))?;
        let mut found = Vec::new();
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let (id, tenant): (i64, i64) = (row.get(0)?, row.get(1)?);
            found.push((id, again(place(tenant, id), &row.get::<_, Vec<u8>>(2)?)?));
        }
        for (id, sealed) in found {
            count += update.execute(params![id, sealed])?;
        }
        sum::give(step, table, "TRUE", [])?;
    }
    Ok(count)
}
