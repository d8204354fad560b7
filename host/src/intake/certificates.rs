//! Certificates that services sign with (PayPal): fetched from hosts that the source allows, through the
//! one guarded client, and kept for a day.
//!
//! The address comes out of an unverified request, so everything about it is bounded: the scheme's list
//! of hosts has been checked before, few fetches run at once, failures are remembered for a while, and
//! the store of certificates has a fixed size.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use lru::LruCache;
use tokio::sync::Semaphore;
use url::Url;

use crate::clock::Clock;
use crate::delivery::AttemptResult;
use crate::egress::{Egress, Outbound};
use crate::time::Timestamp;

/// Certificates that are kept. A service has one or two at a time.
const KEPT_MAX: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not zero");
/// How long one is kept: a day, as services change theirs within months.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a failure is remembered.
const FAILED_FOR: Duration = Duration::from_secs(30);
/// Fetches at once.
const FETCHES_MAX: usize = 4;
/// Longest wait for one. The sender waits for its answer meanwhile.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Largest answer. A chain of four certificates has some 8 KiB.
const BYTES_MAX: usize = 64 * 1_024;

/// What a fetch gave.
type Fetched = Result<Bytes, String>;

/// Certificates, fetched and kept.
#[derive(Clone)]
pub struct Certificates {
    egress: Egress,
    clock: Clock,
    kept: Arc<Mutex<LruCache<Url, (Timestamp, Fetched)>>>,
    fetches: Arc<Semaphore>,
}

impl Certificates {
    /// None yet.
    pub fn new(egress: Egress, clock: Clock) -> Self {
        Self {
            egress,
            clock,
            kept: Arc::new(Mutex::new(LruCache::new(KEPT_MAX))),
            fetches: Arc::new(Semaphore::new(FETCHES_MAX)),
        }
    }

    /// What is at this address, or why it cannot be had.
    pub async fn at(&self, url: &Url) -> Fetched {
        if let Some(known) = self.known(url) {
            return known;
        }
        // Who does not get a permit in time would not get its answer in time either.
        let Ok(Ok(_permit)) = tokio::time::timeout(TIMEOUT, self.fetches.acquire()).await else {
            return Err("too many certificates are being fetched".to_owned());
        };
        // Whoever was here before may have fetched it.
        if let Some(known) = self.known(url) {
            return known;
        }
        let fetched = self.fetch(url).await;
        let entry = (self.clock.now(), fetched.clone());
        self.lock().put(url.clone(), entry);
        fetched
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<Url, (Timestamp, Fetched)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, url: &Url) -> Option<Fetched> {
        let now = self.clock.now();
        let mut kept = self.lock();
        let (at, fetched) = kept.get(url)?;
        let keep = if fetched.is_ok() { KEPT_FOR } else { FAILED_FOR };
        (now.since(*at) < keep).then(|| fetched.clone())
    }

    async fn fetch(&self, url: &Url) -> Fetched {
        let request = Outbound {
            method: Method::GET,
            url: url.clone(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: TIMEOUT,
            response_body_max: BYTES_MAX,
        };
        match self.egress.send(request).await.result {
            AttemptResult::Response {
                status: 200,
                body,
                truncated: false,
                ..
            } => Ok(body),
            AttemptResult::Response { truncated: true, .. } => {
                Err(format!("the certificate is larger than {BYTES_MAX} bytes"))
            }
            AttemptResult::Response { status, .. } => {
                Err(format!("the certificate was answered with {status}"))
            }
            AttemptResult::Error { detail, .. } => {
                Err(format!("the certificate cannot be fetched: {detail}"))
            }
        }
    }
}
