//! Whether the names of endpoints can be looked up, and lead where deliveries may go. Only where somebody
//! asks: it is the one check that speaks to other machines.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{listed, told};
use crate::checkup::Check;
use crate::egress::{self, Policy};
use crate::subscription::Subscription;

/// Names that are looked up; the others are counted.
const NAMES_MAX: usize = 50;
/// Longest wait for one name.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks the names of all endpoints up, as a delivery would.
pub(super) async fn check(policy: &Policy, all: &[Arc<Subscription>]) -> Check {
    let mut names = BTreeSet::new();
    for subscription in all {
        let url = url::Url::parse(subscription.endpoint.url.reveal()).ok();
        if let Some(url::Host::Domain(name)) = url.as_ref().and_then(url::Url::host) {
            names.insert(name.to_owned());
        }
    }
    let count = names.len();
    let lookups = names.into_iter().take(NAMES_MAX).map(|name| async move {
        match tokio::time::timeout(PATIENCE, egress::look_up(policy, &name)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{name}: {}", told(&*error))),
            Err(_) => Some(format!("{name}: no answer within {} s", PATIENCE.as_secs())),
        }
    });
    let faults: Vec<String> = futures_util::future::join_all(lookups)
        .await
        .into_iter()
        .flatten()
        .collect();
    if !faults.is_empty() {
        let todo =
            "see whether the names are right and the resolver of this machine answers (/etc/resolv.conf)";
        return Check::warn("dns", listed(&faults), todo);
    }
    let left = match count.saturating_sub(NAMES_MAX) {
        0 => String::new(),
        left => format!("; {left} more were not looked up"),
    };
    Check::ok(
        "dns",
        format!(
            "{} names of endpoints can be looked up{left}",
            count.min(NAMES_MAX)
        ),
    )
}
