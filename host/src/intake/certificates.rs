//! Certificates that services sign with (PayPal): fetched from hosts that the source allows, through the
//! one guarded client, and kept for a day.
//!
//! The address comes out of an unverified request, so everything about it is bounded: the scheme's list
//! of hosts has been checked before, few fetches run at once, failures are remembered for a while, and
//! what is kept has a fixed size. Failures are kept apart, and so is what is no certificate: nobody can
//! push a certificate out with addresses of his own, nor have a page in its place for a day.

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
use crate::egress::{Egress, Outbound, Spelling};
use crate::signature::{CERTIFICATE_BYTES_MAX, is_certificate};
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

/// What a fetch gave.
type Fetched = Result<Bytes, String>;

struct Kept {
    certificates: LruCache<Url, (Timestamp, Bytes)>,
    failures: LruCache<Url, (Timestamp, Fetched)>,
}

/// Certificates, fetched and kept.
#[derive(Clone)]
pub struct Certificates {
    egress: Egress,
    clock: Clock,
    kept: Arc<Mutex<Kept>>,
    fetches: Arc<Semaphore>,
}

impl Certificates {
    /// None yet.
    pub fn new(egress: Egress, clock: Clock) -> Self {
        Self {
            egress,
            clock,
            kept: Arc::new(Mutex::new(Kept {
                certificates: LruCache::new(KEPT_MAX),
                failures: LruCache::new(KEPT_MAX),
            })),
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
        let now = self.clock.now();
        let mut kept = self.lock();
        match &fetched {
            Ok(bytes) if is_certificate(bytes) => {
                kept.certificates.put(url.clone(), (now, bytes.clone()));
            }
            other => {
                kept.failures.put(url.clone(), (now, other.clone()));
            }
        }
        drop(kept);
        fetched
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, url: &Url) -> Option<Fetched> {
        let now = self.clock.now();
        let mut kept = self.lock();
        if let Some((at, bytes)) = kept.certificates.get(url)
            && apart(now, *at) < KEPT_FOR
        {
            return Some(Ok(bytes.clone()));
        }
        let (at, failed) = kept.failures.get(url)?;
        (apart(now, *at) < FAILED_FOR).then(|| failed.clone())
    }

    async fn fetch(&self, url: &Url) -> Fetched {
        let request = Outbound {
            method: Method::GET,
            target: url.clone().into(),
            headers: HeaderMap::new(),
            spelling: Spelling::default(),
            body: Bytes::new(),
            timeout: TIMEOUT,
            response_body_max: CERTIFICATE_BYTES_MAX,
        };
        match self.egress.send(request).await.result {
            AttemptResult::Response {
                status: 200,
                body,
                truncated: false,
                ..
            } => Ok(body),
            AttemptResult::Response { truncated: true, .. } => Err(format!(
                "the certificate is larger than {CERTIFICATE_BYTES_MAX} bytes"
            )),
            AttemptResult::Response { status, .. } => {
                Err(format!("the certificate was answered with {status}"))
            }
            AttemptResult::Error { detail, .. } => {
                Err(format!("the certificate cannot be fetched: {detail}"))
            }
        }
    }
}
/// How far apart two times are, either way: what a clock noted that was set back since does not last for the
/// difference as well.
fn apart(now: Timestamp, then: Timestamp) -> Duration {
    now.since(then).max(then.since(now))
}
