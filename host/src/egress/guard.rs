//! The resolver of the client: looks names up and lets through only what may be dialled.
//!
//! This is where the verdict on a name falls, at the moment of connecting: what was resolved when a
//! subscription was saved says nothing about now. One forbidden answer refuses all of them, because a
//! name that has both kinds is an attack or a mistake. The client connects to exactly the addresses that
//! are given back here and resolves nothing by itself.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::vec;

use hyper_util::client::legacy::connect::dns::Name;
use tokio::sync::Semaphore;
use tower::Service;

use super::policy::{Policy, Refusal};

/// Most addresses of one name that are tried; all are judged.
pub const ANSWERS_MAX: usize = 16;
/// Most lookups at once. The system's resolver takes a thread for each, of 512 that the runtime has for
/// everything that blocks.
pub const LOOKUPS_MAX: usize = 256;

/// The addresses of a name.
pub type LookupFuture = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Looks names up. The one thing behind the guard that tests replace.
pub trait Lookup: Send + Sync + 'static {
    /// All addresses of a name, in the order to try them.
    fn lookup(&self, name: &str) -> LookupFuture;
}

/// The resolver of the operating system.
#[derive(Debug)]
pub struct SystemLookup {
    permits: Arc<Semaphore>,
}

impl Default for SystemLookup {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        }
    }
}

impl Lookup for SystemLookup {
    fn lookup(&self, name: &str) -> LookupFuture {
        let (name, permits) = (name.to_owned(), Arc::clone(&self.permits));
        Box::pin(async move {
            let permit = permits.acquire_owned().await.map_err(io::Error::other)?;
            // A lookup cannot be stopped. It keeps its permit until it ends, also where the request that
            // asked for it has timed out.
            let lookup = tokio::spawn(async move {
                let _permit = permit;
                let answers = tokio::net::lookup_host((name.as_str(), 0)).await?;
                Ok(answers.map(|answer| answer.ip()).collect())
            });
            lookup.await.map_err(io::Error::other)?
        })
    }
}

/// Why a name could not be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum GuardError {
    #[error(transparent)]
    Refused(Refusal),
    #[error("the name has no address")]
    NoAddress,
    #[error("the name could not be looked up")]
    Lookup(#[source] io::Error),
}

/// A [`Lookup`] behind a [`Policy`].
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) policy: Arc<Policy>,
    pub(super) lookup: Arc<dyn Lookup>,
}

impl Guard {
    pub(super) async fn addresses(
        policy: &Policy,
        lookup: LookupFuture,
        name: &str,
    ) -> Result<Vec<SocketAddr>, GuardError> {
        let answers = lookup.await.map_err(GuardError::Lookup)?;
        if answers.is_empty() {
            return Err(GuardError::NoAddress);
        }
        for answer in &answers {
            policy.check_address(name, *answer).map_err(GuardError::Refused)?;
        }
        let first = answers.into_iter().take(ANSWERS_MAX);
        // The client puts the port of the URL in the place of 0.
        Ok(first.map(|address| SocketAddr::new(address, 0)).collect())
    }
}

/// Whether a name can be looked up and leads only where requests may go. For who wants to know before
/// anything is sent; a sending asks anew.
pub async fn look_up(policy: &Policy, name: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let lookup = SystemLookup::default().lookup(name);
    Guard::addresses(policy, lookup, name).await?;
    Ok(())
}

impl Service<Name> for Guard {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = GuardError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, GuardError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), GuardError>> {
        // Who may look up is decided where it is done, by permits.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let policy = Arc::clone(&self.policy);
        let lookup = self.lookup.lookup(name.as_str());
        Box::pin(async move {
            let addresses = Self::addresses(&policy, lookup, name.as_str()).await?;
            Ok(addresses.into_iter())
        })
    }
}
