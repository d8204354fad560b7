//! Requests that show the secret itself: as a token, or as user and password.
//!
//! What is shown and what is known are compared by their SHA-256, so that neither the time nor an early
//! end tells how long the secret is or where the first difference lies.

use std::fmt;

use data_encoding::BASE64;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use subtle::ConstantTimeEq as _;

use super::{Credentials, PLACES_MAX, Place, VerifierFault, header_name};
use crate::digest::Digest;
use crate::secret::Secret;
use crate::signature::{Incoming, SECRET_BYTES_MAX, SecretFault, Verified, VerifyError, query_parameter};

/// Longest name of a parameter.
const PARAMETER_BYTES_MAX: usize = 64;
/// Longest prefix of a token. `Bearer ` has 7.
const PREFIX_BYTES_MAX: usize = 32;
/// What stands before user and password (RFC 7617).
const BASIC: &str = "Basic ";

/// Secrets that are shown, and where.
#[derive(Debug)]
pub(super) struct Shown {
    spots: Vec<Spot>,
    known: Vec<Known>,
}

/// A secret that may be shown.
struct Known {
    digest: Digest,
    text: Secret,
}

/// Nothing shows, not even the digest: that of a short password could be guessed.
impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Known(…)")
    }
}

#[derive(Debug)]
enum Spot {
    Header {
        name: HeaderName,
        written: String,
        prefix: String,
        form: Form,
    },
    Query(String),
}

/// How a secret stands in a header.
#[derive(Clone, Copy, Debug)]
enum Form {
    Plain,
    Base64,
}

impl Shown {
    pub(super) fn token(places: &[Place], secrets: &[&Secret]) -> Result<Self, VerifierFault> {
        if !(1..=PLACES_MAX).contains(&places.len()) {
            return Err(VerifierFault::Count {
                what: "places for the token",
                max: PLACES_MAX,
            });
        }
        let spots = places.iter().map(spot).collect::<Result<_, _>>()?;
        Ok(Self {
            spots,
            known: known(
                secrets,
                "the token, printable and without blanks around it",
                |text| text.trim() == text && !text.chars().any(char::is_control),
            )?,
        })
    }

    pub(super) fn basic(secrets: &[&Secret]) -> Result<Self, VerifierFault> {
        let spot = Spot::Header {
            name: AUTHORIZATION,
            written: "Authorization".to_owned(),
            prefix: BASIC.to_owned(),
            form: Form::Base64,
        };
        Ok(Self {
            spots: vec![spot],
            known: known(secrets, "user:password", |text| text.contains(':'))?,
        })
    }

    /// The first place where something stands counts.
    pub(super) fn check(
        &self,
        request: &Incoming<'_>,
        usable: impl Fn(usize) -> bool,
    ) -> Result<Verified, VerifyError> {
        for spot in &self.spots {
            if let Some(shown) = spot.shown(request)? {
                return self.compare(&shown, spot, usable);
            }
        }
        let places: Vec<_> = self.spots.iter().map(Spot::place).collect();
        Err(VerifyError::Missing {
            place: places.join(" or "),
        })
    }

    fn compare(
        &self,
        shown: &[u8],
        spot: &Spot,
        usable: impl Fn(usize) -> bool,
    ) -> Result<Verified, VerifyError> {
        let shown = Digest::of(shown);
        let (mut found, mut secrets) = (None, 0);
        for (secret, known) in self.known.iter().enumerate() {
            if !usable(secret) {
                continue;
            }
            secrets += 1;
            if bool::from(shown.as_bytes().ct_eq(known.digest.as_bytes())) && found.is_none() {
                found = Some(secret);
            }
        }
        match found {
            Some(secret) => Ok(Verified::Signed { secret }),
            None if secrets == 0 => Err(VerifyError::NoSecret),
            None => Err(VerifyError::Credential {
                place: spot.place(),
                secrets,
            }),
        }
    }

    /// The newest usable secret, at the first place.
    pub(super) fn credentials(&self, usable: impl Fn(usize) -> bool) -> Option<Credentials> {
        let newest = (0..self.known.len()).find(|secret| usable(*secret))?;
        let secret = self.known[newest].text.reveal();
        let mut credentials = Credentials::default();
        match self.spots.first()? {
            Spot::Header {
                written,
                prefix,
                form,
                ..
            } => {
                let value = match form {
                    Form::Plain => secret.to_owned(),
                    Form::Base64 => BASE64.encode(secret.as_bytes()),
                };
                let header = (written.clone(), format!("{prefix}{value}"));
                credentials.headers.push(header);
            }
            Spot::Query(name) => credentials.query.push((name.clone(), secret.to_owned())),
        }
        Some(credentials)
    }
}

impl Spot {
    /// What is shown here, if anything is.
    fn shown(&self, request: &Incoming<'_>) -> Result<Option<Vec<u8>>, VerifyError> {
        match self {
            Self::Query(name) => {
                let shown = query_parameter(request.url, name)?;
                match shown {
                    Some(text) if text.is_empty() => Err(self.malformed("the token")),
                    shown => Ok(shown.map(|text| text.into_owned().into_bytes())),
                }
            }
            Self::Header {
                name, prefix, form, ..
            } => {
                let Some(value) = self.single(request.headers, name)? else {
                    return Ok(None);
                };
                let rest = value
                    .split_at_checked(prefix.len())
                    .filter(|(before, rest)| {
                        before.eq_ignore_ascii_case(prefix.as_bytes()) && !rest.is_empty()
                    })
                    .map(|(_, rest)| rest);
                let shown = rest.and_then(|rest| match form {
                    Form::Plain => Some(rest.to_vec()),
                    Form::Base64 => BASE64.decode(rest).ok(),
                });
                match (shown, form) {
                    (Some(shown), _) => Ok(Some(shown)),
                    (None, Form::Plain) if prefix.is_empty() => Err(self.malformed("a token")),
                    (None, Form::Plain) => Err(self.malformed(&format!("`{prefix}` and the token"))),
                    (None, Form::Base64) => Err(self.malformed("`Basic ` and the base64 of user:password")),
                }
            }
        }
    }

    /// The bytes of a header that may be there once; a token need not be ASCII.
    fn single<'a>(&self, headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, VerifyError> {
        let mut values = headers.get_all(name).iter();
        let first = values.next();
        match values.next() {
            Some(_) => Err(VerifyError::Duplicate { place: self.place() }),
            None => Ok(first.map(http::HeaderValue::as_bytes)),
        }
    }

    fn malformed(&self, expected: &str) -> VerifyError {
        VerifyError::Malformed {
            place: self.place(),
            expected: expected.to_owned(),
        }
    }

    fn place(&self) -> String {
        match self {
            Self::Header { written, .. } => format!("the header `{written}`"),
            Self::Query(name) => format!("the parameter `{name}` in the URL"),
        }
    }
}

fn spot(place: &Place) -> Result<Spot, VerifierFault> {
    let fault = |name: &str, what| VerifierFault::Place {
        name: name.chars().take(80).collect(),
        what,
    };
    match place {
        Place::Header { header, prefix } => {
            let printable = prefix.bytes().all(|b| (b' '..=b'~').contains(&b));
            if !printable || prefix.len() > PREFIX_BYTES_MAX {
                return Err(fault(prefix, "prefix of printable ASCII, such as `Bearer `"));
            }
            Ok(Spot::Header {
                name: header_name(header)?,
                written: header.clone(),
                prefix: prefix.clone(),
                form: Form::Plain,
            })
        }
        Place::Query { query } if (1..=PARAMETER_BYTES_MAX).contains(&query.len()) => {
            Ok(Spot::Query(query.clone()))
        }
        Place::Query { query } => Err(fault(query, "parameter of the URL")),
    }
}

fn known(
    secrets: &[&Secret],
    expected: &str,
    usable: impl Fn(&str) -> bool,
) -> Result<Vec<Known>, VerifierFault> {
    let expected = || expected.to_owned();
    if secrets.is_empty() {
        return Err(VerifierFault::NoSecret { expected: expected() });
    }
    let read = |(place, secret): (usize, &&Secret)| {
        let text = secret.reveal();
        let fault = match text.len() {
            0 => Some(SecretFault::Empty),
            length if length > SECRET_BYTES_MAX => Some(SecretFault::TooLong),
            _ if usable(text) => {
                return Ok(Known {
                    digest: Digest::of(text.as_bytes()),
                    text: (*secret).clone(),
                });
            }
            _ => None,
        };
        Err(VerifierFault::Secret {
            number: place + 1,
            expected: expected(),
            fault,
        })
    };
    secrets.iter().enumerate().map(read).collect()
}
