//! A subscription as creating it would make it, checked and compiled, of which nothing is kept.

use std::sync::Arc;

use super::super::set::Set;
use super::{Control, Result, Wish, check_url, kept};
use crate::egress::UrlFault;
use crate::id::TenantId;
use crate::routing::Route;
use crate::secret::Secret;
use crate::subscription::{Status, Subscription};

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
        let made_here = matches!(wish.secret, Set::Keep);
        let mut new = self.laid_new(tenant, wish)?;
        new.status = Status::Enabled;
        let first = new.endpoint.secrets.first().filter(|_| made_here);
        let generated = first.map(|made| made.secret.clone());
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
        let route = kept(there, &elsewhere);
        Ok(Draft { route, generated })
    }
}
