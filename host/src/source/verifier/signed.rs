//! Requests that are signed, by one of several schemes.
//!
//! Each secret belongs to the schemes that accept its form. One that is a public key for some scheme is
//! given to no MAC: public keys are known to everybody.

use std::sync::Arc;

use super::{Credentials, SCHEMES_MAX, Unsigned, VerifierFault};
use crate::secret::Secret;
use crate::signature::{
    Failure, Incoming, Keyring, Outgoing, Presence, Scheme, SignError, Verified, VerifyError,
};
use crate::time::Timestamp;

/// The schemes of a source.
#[derive(Debug)]
pub(super) struct Signed {
    schemes: Vec<Keyed>,
}

/// A scheme with the secrets that belong to it.
#[derive(Debug)]
struct Keyed {
    scheme: Arc<Scheme>,
    keyring: Option<Keyring>,
    /// Of each key in the ring, which secret of the source it is.
    secrets: Vec<usize>,
}

impl Signed {
    pub(super) fn new(schemes: &[Scheme], secrets: &[&Secret]) -> Result<Self, VerifierFault> {
        if !(1..=SCHEMES_MAX).contains(&schemes.len()) {
            return Err(VerifierFault::Count {
                what: "signature schemes",
                max: SCHEMES_MAX,
            });
        }
        let expected = || {
            let mut forms: Vec<_> = schemes.iter().map(Scheme::secret_form).collect();
            forms.dedup();
            forms.join(", or ")
        };
        if secrets.is_empty() {
            return Err(VerifierFault::NoSecret { expected: expected() });
        }
        let mut owned = vec![Vec::new(); schemes.len()];
        for (place, secret) in secrets.iter().enumerate() {
            let owners = owners(schemes, secret);
            if owners.is_empty() {
                return Err(VerifierFault::Secret {
                    number: place + 1,
                    expected: expected(),
                    fault: schemes[0].accepts(secret).err(),
                });
            }
            owners.into_iter().for_each(|owner| owned[owner].push(place));
        }
        let keyed = |(scheme, places): (&Scheme, Vec<usize>)| {
            let scheme = Arc::new(scheme.clone());
            let mine = places.iter().map(|place| secrets[*place]);
            Keyed {
                // Every secret was accepted by the scheme, so that a ring of none is the only fault left.
                keyring: Keyring::new(Arc::clone(&scheme), mine).ok(),
                scheme,
                secrets: places,
            }
        };
        Ok(Self {
            schemes: schemes.iter().zip(owned).map(keyed).collect(),
        })
    }

    /// Passes if one scheme does. Else the error is that of a scheme whose signature is there and can be
    /// read, before one whose signature is there, before the first.
    pub(super) fn check(
        &self,
        request: &Incoming<'_>,
        now: Timestamp,
        usable: impl Fn(usize) -> bool,
    ) -> Result<Verified, VerifyError> {
        let mut worst: Option<(u8, VerifyError)> = None;
        for (keyed, keyring) in self.keyed() {
            let mine = |key: usize| keyed.secrets.get(key).is_some_and(|secret| usable(*secret));
            let error = match keyring.verify_among(request, now, mine) {
                Ok(Verified::Signed { secret: key }) => {
                    let secret = keyed.secrets.get(key).copied().unwrap_or_default();
                    return Ok(Verified::Signed { secret });
                }
                Ok(Verified::Unsigned) => continue,
                Err(error) => error,
            };
            let rank = match (keyring.is_signed(request), error.failure()) {
                (false, _) => 0,
                (true, Failure::Missing | Failure::Malformed) => 1,
                (true, _) => 2,
            };
            if worst.as_ref().is_none_or(|(known, _)| *known < rank) {
                worst = Some((rank, error));
            }
        }
        let required = |keyed: &&Keyed| keyed.scheme.presence() == Presence::Required;
        match (worst, self.schemes.iter().find(required)) {
            (Some((_, error)), _) => Err(error),
            // Unsigned requests pass where every scheme says so.
            (None, None) => Ok(Verified::Unsigned),
            (None, Some(keyed)) => Err(VerifyError::Missing {
                place: keyed.scheme.signature_place(),
            }),
        }
    }

    pub(super) fn certificate_url(&self, request: &Incoming<'_>) -> Result<Option<url::Url>, VerifyError> {
        for (_, keyring) in self.keyed() {
            // Without a signature nothing is fetched; the check then says what is missing.
            if keyring.scheme().needs_certificate() && keyring.is_signed(request) {
                return keyring.certificate_url(request.headers);
            }
        }
        Ok(None)
    }

    /// Signs by the first scheme that can.
    pub(super) fn sign(
        &self,
        request: &Unsigned<'_>,
        now: Timestamp,
        usable: impl Fn(usize) -> bool,
    ) -> Result<Credentials, SignError> {
        let mut first = None;
        for (keyed, keyring) in self.keyed() {
            let digest = keyed.scheme.body_digest(request.content_type, request.body);
            let query: Vec<_> = digest.into_iter().collect();
            let url = with_query(request.url, &query);
            let outgoing = Outgoing {
                id: request.id,
                timestamp: now,
                url: &url,
                body: &[request.body],
            };
            let mine = |key: usize| keyed.secrets.get(key).is_some_and(|secret| usable(*secret));
            match keyring.sign_as(&outgoing, request.content_type, mine) {
                Ok(headers) => return Ok(Credentials { headers, query }),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or(SignError::NoSecret))
    }

    fn keyed(&self) -> impl Iterator<Item = (&Keyed, &Keyring)> {
        let both = |keyed: &'_ Keyed| keyed.keyring.is_some();
        self.schemes
            .iter()
            .filter(move |keyed| both(keyed))
            .filter_map(|keyed| Some((keyed, keyed.keyring.as_ref()?)))
    }
}

/// The schemes that a secret belongs to.
fn owners(schemes: &[Scheme], secret: &Secret) -> Vec<usize> {
    let accepting = |symmetric: bool| -> Vec<usize> {
        let fits = |scheme: &Scheme| {
            scheme.algorithm().is_symmetric() == symmetric && scheme.accepts(secret).is_ok()
        };
        let all = schemes.iter().enumerate();
        all.filter(|(_, scheme)| fits(scheme))
            .map(|(place, _)| place)
            .collect()
    };
    let public = accepting(false);
    if public.is_empty() {
        accepting(true)
    } else {
        public
    }
}

fn with_query(url: &str, query: &[(String, String)]) -> String {
    if query.is_empty() {
        return url.to_owned();
    }
    let joint = if url.contains('?') { '&' } else { '?' };
    let pairs = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(query)
        .finish();
    format!("{url}{joint}{pairs}")
}
