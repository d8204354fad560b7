//! A subscription as creating it would make it, checked and compiled, of which nothing is kept.

use std::sync::Arc;

use super::super::set::Set;
use super::{Control, Result, Wish, blank, check_url, first_secret, lay, recompiled};
use crate::egress::UrlFault;
use crate::id::TenantId;
use crate::routing::Route;
use crate::secret::Secret;
use crate::subscription::{SigningSecret, Status, Subscription};

/// The name of a draft that was given none.
const NAME: &str = "test";
/// Stands for a URL that our own guard refuses, while everything else of a draft is checked.
const ELSEWHERE: &str = "https://example.com/";

/// A subscription that is not stored.
pub struct Draft {
    /// The whole of it.
    pub route: Arc<Route>,
    /// Its secret, if it was made here.
    pub generated: Option<Secret>,
}

impl Control {
    /// Checks a wish as creating a subscription does, and stores nothing. A URL that only our own guard
    /// refuses is no fault: a test of it says so, with the line that allows it. So is no key that is taken:
    /// a draft may be a change of the one that has it.
    pub async fn draft_subscription(&self, tenant: TenantId, mut wish: Wish) -> Result<Draft> {
        wish.key = Set::Keep;
        if matches!(wish.name, Set::Keep | Set::Clear) {
            wish.name = Set::To(NAME.to_owned());
        }
        let now = self.parts.clock.now();
        let default = self.default_profile(tenant);
        let id = self.parts.ids.next(now);
        let mut new = blank(id, tenant, now, self.parts.max_in_flight, default.clone());
        let given = wish.secret.clone();
        lay(wish, &mut new, now, self.parts.max_in_flight, default);
        new.status = Status::Enabled;
        let made_here = matches!(given, Set::Keep);
        let secret = first_secret(given, self.look(&new).as_deref())?;
        let generated = secret.clone().filter(|_| made_here);
        new.endpoint.secrets = secret.map(SigningSecret::newest).into_iter().collect();
        let refused = matches!(
            check_url(new.endpoint.url.reveal(), &self.parts.policy),
            Err(UrlFault::Address(_) | UrlFault::InsideName { .. })
        );
        if !refused {
            let route = self.checked(new).await?;
            return Ok(Draft { route, generated });
        }
        let url = std::mem::replace(&mut new.endpoint.url, Secret::new(ELSEWHERE));
        let elsewhere = self.checked(new).await?;
        let mut there = Subscription::clone(elsewhere.subscription());
        there.endpoint.url = url;
        let route = recompiled(there, &elsewhere)?;
        Ok(Draft { route, generated })
    }
}
