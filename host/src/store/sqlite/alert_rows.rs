//! Alerts that were raised and are not over: one row each, so that a restart raises none of them again.

use rusqlite::{Connection, params};

use super::work::Work;
use crate::alert::{About, Condition, Episode};
use crate::id::{SubscriptionId, TenantId};
use crate::store::Result;
use crate::time::Timestamp;

/// The subject of an alert that is about no subscription. No generator makes this number.
const NO_SUBSCRIPTION: i64 = 0;

fn subject(about: About) -> i64 {
    about.subscription.map_or(NO_SUBSCRIPTION, SubscriptionId::number)
}

/// All of them, in the order of their key.
pub(super) fn alerts(conn: &Connection) -> Result<Vec<Episode>> {
    let mut query = conn.prepare_cached("SELECT tenant, name, subject, since FROM alert ORDER BY 1, 2, 3")?;
    let mut rows = query.query([])?;
    let mut episodes = Vec::new();
    while let Some(row) = rows.next()? {
        let (name, subject): (String, i64) = (row.get(1)?, row.get(2)?);
        // A newer version may have raised what this one does not know.
        let Some(condition) = Condition::named(&name) else {
            continue;
        };
        let about = About {
            tenant: TenantId::from_number(row.get(0)?),
            condition,
            subscription: (subject != NO_SUBSCRIPTION).then(|| SubscriptionId::from_number(subject)),
        };
        let since = Timestamp::from_millis(row.get(3)?);
        episodes.push(Episode { about, since });
    }
    Ok(episodes)
}

/// Keeps one, unless one about the same is kept.
pub(super) fn raise(work: &Work<'_>, episode: Episode) -> Result<()> {
    let Episode { about, since } = episode;
    let mut insert = work.statement("INSERT OR IGNORE INTO alert VALUES (?, ?, ?, ?)")?;
    insert.execute(params![
        about.tenant.number(),
        about.condition.as_str(),
        subject(about),
        since.as_millis()
    ])?;
    Ok(())
}

/// Forgets one.
pub(super) fn end(work: &Work<'_>, about: About) -> Result<()> {
    let mut delete = work.statement("DELETE FROM alert WHERE tenant = ? AND name = ? AND subject = ?")?;
    delete.execute(params![
        about.tenant.number(),
        about.condition.as_str(),
        subject(about)
    ])?;
    Ok(())
}
