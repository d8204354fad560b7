//! Signatures of requests, in both directions and as data.
//!
//! A [`Scheme`] says everything that differs between services: algorithm, how the secret's text becomes
//! a key, what is signed, where the signature, the time stamp and the id stand. A [`Keyring`] is a scheme
//! with the secrets of one endpoint or source; its keyed state is computed once and used for every
//! request. The same keyring signs ([`Keyring::sign`]) and verifies ([`Keyring::verify`]), as far as its
//! keys can: of a service that signs with a private key, only the public one is known.
//!
//! A [`Signing`] is how a profile's deliveries are signed: a scheme, and what goes beside it.
//!
//! Invariants: the body is fed to the MAC piece by piece, never copied to be signed (public-key
//! algorithms alone need it in one piece); signatures are compared in constant time against every key; no
//! error and no `Debug` shows a secret or an expected signature.

mod certificate;
mod key;
mod message;
mod pointer;
mod scheme;
mod secret;
mod sign;
mod signing;
mod template;
mod verify;

pub use certificate::{CERTIFICATE_BYTES_MAX, is_certificate};
pub use scheme::{
    Algorithm, CERTIFICATE_HOSTS_MAX, Coverage, Encoding, Presence, Scheme, SchemeFault,
    TOLERANCE_SECONDS_MAX, TimestampFormat,
};
pub use secret::{
    PUBLIC_KEY_BYTES_MAX, SECRET_BYTES_MAX, SecretFault, SecretKind, WHPK_PREFIX, WHSEC_BYTES_MAX,
    WHSEC_BYTES_MIN, WHSEC_PREFIX, WHSK_PREFIX,
};
pub use sign::{Keyring, Outgoing, SignError};
pub use signing::{Also, Keys, Need, Signer, Signing, SigningFault};
pub use verify::{CANDIDATES_MAX, Checked, Failure, Incoming, Verified, VerifyError, query_parameter};

#[cfg(test)]
mod certificate_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod services_tests;
#[cfg(test)]
mod vectors;
