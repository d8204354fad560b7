//! The way in for other services' webhooks: one request to a source, from its first byte to its answer.
//!
//! In this order, cheapest first: address → rate → body within its limit → handshakes that need no proof
//! → method → verification of the raw bytes → handshakes that need it → drafts → one transaction with
//! the events, their de-duplication keys and the reception. Only then the sender hears "received". What
//! is refused is refused before anything of it is stored but the reception with the reason, so nothing
//! (no nonce, no id) is used up by a request that the sender will repeat.

mod certificates;
mod record;
mod table;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::activity::{Activity, Feed, What};
use crate::clock::Clock;
use crate::digest::Digest;
use crate::event::Draft;
use crate::id::{EventId, Generator};
use crate::ingest::{self, Ingest};
use crate::reception::{Outcome, Reception, Refusal};
use crate::signature::{Failure, Incoming, Verified, VerifyError};
use crate::source::{self, AnswerParts, Answered, Request, Verification, kept_headers, shared_headers};
use crate::space;
use crate::telemetry::Budget;
use crate::time::Timestamp;

pub use certificates::Certificates;
pub use record::Recorder;
pub use table::{Entry, Sources, unknown_preset};

/// When to come again after a certificate could not be fetched.
const CERTIFICATE_AGAIN: Duration = Duration::from_secs(30);
/// Largest body of a refused request that is kept, where a source keeps them. Anybody can send such bodies,
/// and what they fill is history's.
const KEPT_REFUSED_BYTES_MAX: usize = 256 * 1_024;
/// When to come again where too many bodies are in memory.
const ROOM_AGAIN: Duration = Duration::from_secs(1);
/// When to come again to a source that has to be changed by a person first.
const UNUSABLE_AGAIN: Duration = Duration::from_secs(300);

/// A request without its body.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its query, as it was sent.
    pub query: Option<&'a str>,
    /// Its path.
    pub path: &'a str,
    /// Who sent it.
    pub remote: IpAddr,
}

/// What the sender is told.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It was taken.
    Taken {
        /// As the source says.
        response: AnswerParts,
        /// The first of its events.
        first: EventId,
    },
    /// It was a handshake.
    Handshake(AnswerParts),
    /// It was refused, but its sender must not know.
    Silenced(AnswerParts),
    /// It was refused.
    Refused(Refused),
}

/// Why a request was refused.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Why, as a word.
    pub reason: Refusal,
    /// Why, for people.
    pub detail: String,
    /// When the sender may come again, where it may.
    pub retry_after: Option<Duration>,
}

/// A body that did not come whole.
#[derive(Clone, Debug)]
pub struct BodyFault {
    /// Why, as a word.
    pub reason: Refusal,
    /// What is wrong.
    pub detail: String,
}

/// What a request may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest body of a source that says nothing about it, in bytes.
    pub body_bytes_max: usize,
    /// Longest wait for the commit.
    pub commit_timeout: Duration,
    /// Most events of one request.
    pub events_max: usize,
}

/// The way in.
pub struct Intake {
    /// Which sources there are.
    pub sources: Arc<Sources>,
    /// The way in for all events.
    pub ingest: Arc<Ingest>,
    /// Certificates that services sign with.
    pub certificates: Certificates,
    /// Keeps what was refused.
    pub recorder: Recorder,
    /// Makes ids.
    pub ids: Arc<Generator>,
    /// Tells the time.
    pub clock: Clock,
    /// Hears of every request.
    pub feed: Feed,
    /// Lines in the log about what could not be stored.
    pub failures: Budget,
    /// Where the router is reached from outside, if the operator said so.
    pub public_url: Option<String>,
    /// What a request may cost.
    pub limits: Limits,
}

impl Refused {
    fn new(reason: Refusal, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            retry_after: None,
        }
    }
}

impl From<VerifyError> for Refused {
    fn from(error: VerifyError) -> Self {
        let reason = match error.failure() {
            Failure::Missing => Refusal::Unsigned,
            // A certificate that was named or sent, but cannot prove anything.
            Failure::Malformed | Failure::Certificate => Refusal::MalformedSignature,
            Failure::Mismatch => Refusal::Mismatch,
            Failure::Stale => Refusal::Stale,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<source::Refused> for Refused {
    fn from(refused: source::Refused) -> Self {
        Self::new(refused.reason, refused.detail)
    }
}

/// Senders of webhooks repeat what is answered so; few of them know 507.
fn no_room() -> Refused {
    Refused {
        retry_after: Some(space::AGAIN),
        ..Refused::new(
            Refusal::Unavailable,
            "there is no room for it now; send it again later",
        )
    }
}

/// How far a request came.
struct Seen {
    bytes: u64,
    digest: Option<Digest>,
    body: Option<Bytes>,
}

/// A request that is no refused one.
enum Good {
    Handshake(Answered),
    Events(Vec<Draft>),
}

impl Intake {
    /// Most bytes that this source takes.
    pub fn body_bytes_max(&self, entry: &Entry) -> usize {
        let own = entry.source().settings.body_bytes_max;
        own.map_or(self.limits.body_bytes_max, |own| {
            usize::try_from(own).unwrap_or(usize::MAX)
        })
    }

    /// Takes a request, whole. `body` is only read if the sender may send at all.
    pub async fn receive(
        &self,
        entry: Arc<Entry>,
        head: Head<'_>,
        body: impl Future<Output = Result<Bytes, BodyFault>>,
    ) -> Answer {
        let now = self.clock.now();
        let mut seen = Seen {
            bytes: 0,
            digest: None,
            body: None,
        };
        let judged = self.judge(&entry, head, body, now, &mut seen).await;
        let mut reception = Reception {
            id: self.ids.next(now),
            tenant: entry.source().tenant,
            source: entry.source().id,
            received_at: now,
            remote: head.remote,
            method: head.method.to_string(),
            headers: Vec::new(),
            bytes: seen.bytes,
            digest: seen.digest,
            status: 0,
            outcome: Outcome::Handshake { name: String::new() },
            body: None,
            unrecorded: 0,
        };
        let refused = match judged {
            Ok(Good::Handshake(answered)) => {
                reception.status = answered.parts.status.as_u16();
                reception.outcome = Outcome::Handshake { name: answered.name };
                reception.headers = kept_headers(head.headers, entry.compiled().verification());
                self.tell(&entry, &reception);
                self.recorder.record(reception).await;
                return Answer::Handshake(answered.parts);
            }
            Ok(Good::Events(drafts)) => match self.commit(&entry, drafts, reception.clone()).await {
                Ok(answer) => return answer,
                Err(refused) => refused,
            },
            Err(refused) => refused,
        };
        let response = entry.compiled().response();
        // Only what the sender could not do better is kept from it: who is told "received" never repeats.
        let silenced = entry.source().settings.always_ok && refused.retry_after.is_none();
        reception.status = if silenced {
            response.status.as_u16()
        } else {
            refused.reason.status()
        };
        reception.headers = kept_headers(head.headers, entry.compiled().verification());
        let keep =
            |body: &Bytes| entry.source().settings.keep_refused && body.len() <= KEPT_REFUSED_BYTES_MAX;
        reception.body = seen.body.filter(keep);
        reception.outcome = Outcome::Refused {
            reason: refused.reason,
            detail: refused.detail.clone(),
        };
        self.tell(&entry, &reception);
        if refused.reason != Refusal::Unavailable {
            self.recorder.record(reception).await;
        }
        if silenced {
            Answer::Silenced(response.clone())
        } else {
            Answer::Refused(refused)
        }
    }

    async fn judge(
        &self,
        entry: &Entry,
        head: Head<'_>,
        body: impl Future<Output = Result<Bytes, BodyFault>>,
        now: Timestamp,
        seen: &mut Seen,
    ) -> Result<Good, Refused> {
        if entry.fault().is_some() {
            return Err(Refused {
                retry_after: Some(UNUSABLE_AGAIN),
                ..Refused::new(
                    Refusal::Unavailable,
                    "the source cannot be used now; its operator has to change it",
                )
            });
        }
        let (compiled, settings) = (entry.compiled(), &entry.source().settings);
        let allowed = &settings.allowed_ips;
        if !allowed.is_empty() && !allowed.iter().any(|network| network.contains(&head.remote)) {
            let detail = format!("{} is not among the source's allowed addresses", head.remote);
            return Err(Refused::new(Refusal::Address, detail));
        }
        if let Err(again) = entry.admit(now) {
            return Err(Refused {
                retry_after: Some(again.since(now).max(Duration::from_secs(1))),
                ..Refused::new(Refusal::Rate, "more requests than the source's rate_limit allows")
            });
        }
        // Before anything is read or verified: what is refused later is kept, and there is no room for it.
        if *head.method == Method::POST && self.ingest.space.is_low() {
            return Err(no_room());
        }
        let body = body.await.map_err(|fault| Refused {
            retry_after: (fault.reason == Refusal::Unavailable).then_some(ROOM_AGAIN),
            ..Refused::new(fault.reason, fault.detail)
        })?;
        seen.bytes = body.len() as u64;
        seen.digest = Some(Digest::of(&body));
        seen.body = Some(body.clone());
        let request = Request {
            method: head.method,
            headers: head.headers,
            query: head.query,
            body: &body,
        };
        if let Some(handshake) = compiled.handshake(&request, false) {
            return Ok(Good::Handshake(handshake?));
        }
        if *head.method != Method::POST {
            let detail = format!(
                "{} is no handshake of this source, and events come by POST",
                head.method
            );
            return Err(Refused::new(Refusal::Method, detail));
        }
        let url = self.url(entry, head);
        let mut incoming = Incoming {
            headers: head.headers,
            url: &url,
            body: &body,
            certificate: None,
        };
        let certificate = match entry.verifier().certificate_url(&incoming)? {
            None => None,
            Some(url) => {
                let fetched = self.certificates.at(&url).await;
                Some(fetched.map_err(|detail| Refused {
                    retry_after: Some(CERTIFICATE_AGAIN),
                    ..Refused::new(Refusal::Certificate, detail)
                })?)
            }
        };
        incoming.certificate = certificate.as_deref();
        let proved = match entry.verifier().check(&incoming, now)? {
            Verified::Signed { .. } => true,
            // Where nothing is asked, there is nothing to prove. Where a signature is only optional, one
            // that is missing proves nothing: an answer that signs would sign for anybody.
            Verified::Unsigned => *compiled.verification() == Verification::None,
        };
        if proved && let Some(handshake) = compiled.handshake(&request, true) {
            return Ok(Good::Handshake(handshake?));
        }
        let mut drafts = compiled.drafts(&request)?;
        if drafts.len() > self.limits.events_max {
            let detail = format!(
                "{} events are in it; {} are allowed",
                drafts.len(),
                self.limits.events_max
            );
            return Err(Refused::new(Refusal::MalformedBody, detail));
        }
        let kept = kept_headers(head.headers, compiled.verification());
        let kept = shared_headers(&kept, drafts.len());
        drafts
            .iter_mut()
            .for_each(|draft| draft.headers.clone_from(&kept));
        Ok(Good::Events(drafts))
    }

    /// The address that the sender sent to, as far as we can know it from behind proxies.
    fn url(&self, entry: &Entry, head: Head<'_>) -> String {
        let base = match (&entry.source().settings.public_url, &self.public_url) {
            (Some(own), _) => own.clone(),
            (None, Some(router)) => format!("{router}{}", head.path),
            (None, None) => {
                let host = head.headers.get(http::header::HOST);
                let host = host.and_then(|host| host.to_str().ok()).unwrap_or("localhost");
                format!("http://{host}{}", head.path)
            }
        };
        match head.query {
            Some(query) => format!("{base}?{query}"),
            None => base,
        }
    }

    async fn commit(
        &self,
        entry: &Arc<Entry>,
        drafts: Vec<Draft>,
        mut reception: Reception,
    ) -> Result<Answer, Refused> {
        let response = entry.compiled().response().clone();
        reception.status = response.status.as_u16();
        let conflict = entry.compiled().on_conflict();
        let (ingest, told) = (Arc::clone(&self.ingest), reception.clone());
        // A task of its own: between the commit and the hand-over in memory nothing may be cut off, also
        // if we stop waiting.
        let accepting = tokio::spawn(async move { ingest.receive(drafts, reception, conflict).await });
        let unavailable = |detail: &str| Refused {
            retry_after: Some(Duration::from_secs(1)),
            ..Refused::new(Refusal::Unavailable, detail)
        };
        let accepted = match tokio::time::timeout(self.limits.commit_timeout, accepting).await {
            Ok(Ok(accepted)) => accepted,
            Ok(Err(_panicked)) => return Err(unavailable("the request could not be taken")),
            Err(_elapsed) => {
                return Err(unavailable(
                    "storing it took too long; it may be stored all the same",
                ));
            }
        };
        match accepted {
            Ok(accepted) => {
                let Some(first) = accepted.first().map(|event| event.id) else {
                    return Err(Refused::new(Refusal::MalformedBody, "there is no event in it"));
                };
                let duplicates = accepted.iter().filter(|event| event.duplicate).count();
                let outcome = Outcome::Accepted {
                    first,
                    events: u32::try_from(accepted.len() - duplicates).unwrap_or(u32::MAX),
                    duplicates: u32::try_from(duplicates).unwrap_or(u32::MAX),
                    changed: 0,
                };
                self.tell(entry, &Reception { outcome, ..told });
                Ok(Answer::Taken { response, first })
            }
            Err(ingest::Error::Drafts(faults)) => {
                let told: Vec<String> = faults
                    .iter()
                    .map(|fault| format!("`{}` {}", fault.attribute, fault.detail))
                    .collect();
                Err(Refused::new(Refusal::Attributes, told.join("; ")))
            }
            Err(ingest::Error::KeyConflict | ingest::Error::EventConflict { .. }) => Err(Refused::new(
                Refusal::Conflict,
                "an event of this source had the same id and other content",
            )),
            Err(ingest::Error::Low(_)) => Err(no_room()),
            Err(ingest::Error::Store(error)) => {
                if let Some(before) = self.failures.line(self.clock.now()) {
                    let source = &entry.source().name;
                    let lines_left_out = (before > 0).then_some(before);
                    tracing::error!(source, %error, lines_left_out, "a reception could not be stored");
                }
                Err(unavailable("it could not be stored now"))
            }
        }
    }

    fn tell(&self, entry: &Entry, reception: &Reception) {
        self.ingest.metrics.received(&reception.outcome);
        self.feed.tell(|| Activity {
            time: reception.received_at,
            tenant: reception.tenant,
            what: What::received(&entry.source().name, reception),
        });
    }
}
