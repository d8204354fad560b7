//! How a request proves where it comes from.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::secret::Secret;
use crate::signature::{Scheme, SecretKind};

/// The ways there are. Which one holds is fixed by the source; nothing in a request chooses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Verification {
    /// It need not.
    None,
    /// A signature by one of these schemes. Each of the source's secrets belongs to the schemes that
    /// accept its form.
    Signature {
        /// The schemes, the usual one first.
        schemes: Vec<Scheme>,
    },
    /// The secret itself, at one of these places.
    Token {
        /// Where; the first that is there counts.
        places: Vec<Place>,
    },
    /// Basic authentication (RFC 7617); the secret is `user:password`.
    Basic,
}

/// Where a token stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Place {
    /// In a header, behind a prefix such as `Bearer `.
    Header {
        /// The header's name.
        header: String,
        /// What stands before the token; letters match in either case.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        prefix: String,
    },
    /// In the query.
    Query {
        /// The parameter's name.
        query: String,
    },
}

impl Verification {
    /// Whether a source with it has a secret.
    pub const fn has_secret(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// A new secret from 32 random bytes, where we can make one.
    pub fn generate(&self, random: &Zeroizing<[u8; 32]>) -> Option<Secret> {
        match self {
            Self::None => None,
            Self::Signature { schemes } => schemes.first()?.secret_kind().generate(random),
            // Nothing in it has a meaning in a URL, where some services want it.
            Self::Token { .. } => SecretKind::Hex.generate(random),
            Self::Basic => {
                let password = SecretKind::Hex.generate(random)?;
                Some(Secret::new(format!("hookway:{}", password.reveal())))
            }
        }
    }

    /// The headers that carry a secret themselves, in whatever case they were written: nobody may keep or
    /// show their values.
    pub fn secret_headers(&self) -> impl Iterator<Item = &str> {
        let (places, basic): (&[Place], bool) = match self {
            Self::Token { places } => (places, false),
            Self::Basic => (&[], true),
            Self::None | Self::Signature { .. } => (&[], false),
        };
        let named = places.iter().filter_map(|place| match place {
            Place::Header { header, .. } => Some(header.as_str()),
            Place::Query { .. } => None,
        });
        named.chain(basic.then_some("authorization"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Verifier, preset};
    use crate::subscription::SigningSecret;

    #[test]
    fn what_is_made_is_accepted_and_can_stand_where_it_is_used() {
        let random = Zeroizing::new([0xfb; 32]);
        for preset in preset::all() {
            let Some(secret) = preset.verification.generate(&random) else {
                continue;
            };
            if let Verification::Token { .. } = preset.verification {
                let plain = secret.reveal().bytes().all(|b| b.is_ascii_alphanumeric());
                assert!(plain, "{}", preset.name);
            }
            let secrets = [SigningSecret { secret, until: None }];
            let verifier = Verifier::new(&preset.verification, &secrets);
            assert!(verifier.is_ok(), "{}: {verifier:?}", preset.name);
        }
    }
}
