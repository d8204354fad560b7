//! Rows of profiles: every version of every profile, as the document that was given.
//!
//! A version is added once and never changed. Removing a name marks its versions: deliveries that look
//! like one of them go on to do so.

use rusqlite::{Connection, params};

use super::config_rows::BY_NAME;
use super::segments;
use super::sum::{self, Moving};
use super::work::Work;
use crate::id::{SubscriptionId, TenantId};
use crate::profile::Number;
use crate::store::{Error, NewProfile, Result, StoredProfile};
use crate::time::Timestamp;

/// The owner of the router's own profiles. No tenant has so small a number.
const ROUTER: i64 = 0;

fn owner(tenant: Option<TenantId>) -> i64 {
    tenant.map_or(ROUTER, TenantId::number)
}

pub(super) fn profiles(conn: &Connection) -> Result<Vec<StoredProfile>> {
    let mut query = conn.prepare_cached("SELECT * FROM profile ORDER BY n")?;
    let mut rows = query.query([])?;
    let mut profiles = Vec::new();
    while let Some(row) = rows.next()? {
        let (tenant, name): (i64, String) = (row.get(1)?, row.get(2)?);
        sum::check(row, 7, || format!("the profile {name:?}"))?;
        profiles.push(StoredProfile {
            number: Number::new(row.get(0)?),
            tenant: (tenant != ROUTER).then(|| TenantId::from_number(tenant)),
            name,
            version: row.get(3)?,
            document: row.get(4)?,
            created_at: Timestamp::from_millis(row.get(5)?),
            removed_at: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_millis),
        });
    }
    Ok(profiles)
}

pub(super) fn add_profile(work: &mut Work<'_>, new: &NewProfile) -> Result<Number> {
    let tenant = owner(new.tenant);
    let taken = work
        .statement("SELECT 1 FROM profile WHERE tenant = ? AND name = ? AND version = ?")?
        .exists(params![tenant, new.name, new.version])?;
    if taken {
        let what = format!("version {} of the profile {:?}", new.version, new.name);
        return Err(Error::Taken { what });
    }
    let mut insert = work.statement(
        "INSERT INTO profile (tenant, name, version, document, created_at) VALUES (?, ?, ?, ?, ?)",
    )?;
    let number = insert.insert(params![
        tenant,
        new.name,
        new.version,
        new.document,
        new.created_at.as_millis()
    ])?;
    sum::give(work.conn, "profile", "n = ?", [number])?;
    for subscription in &new.rule_changes {
        work.begin_row_from(subscription.number(), new.created_at);
    }
    Ok(Number::new(number))
}

/// Says that deliveries from before there were versions have got theirs.
const PINNED: &str = "profiles pinned";

/// Gives every delivery from before there were versions the one that its subscription had then. Once: it
/// looks at every delivery that there is.
pub(super) fn pin_profiles(work: &mut Work<'_>, versions: &[(SubscriptionId, Number)]) -> Result<()> {
    if work
        .statement("SELECT 1 FROM meta WHERE name = ?")?
        .exists([PINNED])?
    {
        return Ok(());
    }
    work.conn.execute_batch(
        "CREATE TEMP TABLE version_of (subscription INTEGER PRIMARY KEY, profile INTEGER NOT NULL)",
    )?;
    let mut insert = work.conn.prepare("INSERT INTO version_of VALUES (?, ?)")?;
    for (subscription, number) in versions {
        insert.execute(params![subscription.number(), number.get()])?;
    }
    drop(insert);
    let mut tables = vec!["pending".to_owned()];
    tables.extend(
        segments::load(work.conn)?
            .iter()
            .map(|segment| format!("delivery_{}", segment.n)),
    );
    for table in tables {
        let version =
            format!("(SELECT profile FROM version_of WHERE version_of.subscription = {table}.subscription)");
        let sum = sum::moved(
            &[Moving::Profile],
            &format!("coalesce({version}, 0) * {}", Moving::Profile.weight()),
        );
        work.conn.execute_batch(&format!(
            "UPDATE {table} SET profile = {version}, sum = {sum} WHERE profile IS NULL"
        ))?;
    }
    work.conn.execute_batch("DROP TABLE version_of")?;
    work.conn
        .execute("INSERT INTO meta VALUES (?, x'01')", [PINNED])?;
    Ok(())
}

pub(super) fn remove_profile(
    work: &mut Work<'_>,
    tenant: TenantId,
    name: &str,
    now: Timestamp,
) -> Result<()> {
    let named = params![owner(Some(tenant)), name];
    sum::refuse_damaged(work.conn, "profile", BY_NAME, named)?;
    let removed = work.conn.execute(
        "UPDATE profile SET removed_at = ?3 WHERE tenant = ?1 AND name = ?2 AND removed_at IS NULL",
        params![owner(Some(tenant)), name, now.as_millis()],
    )?;
    match removed {
        0 => Err(Error::Missing { what: "profile" }),
        _ => Ok(sum::give(work.conn, "profile", BY_NAME, named)?),
    }
}
