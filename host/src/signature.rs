//! Signatures of requests, in both directions and as data.
//!
//! A [`Scheme`] says everything that differs between services: algorithm, how the secret's text becomes
//! a key, what is signed, where the signature, the time stamp and the id stand. A [`Keyring`] is a scheme
//! with the secrets of one endpoint or source; its keyed state is computed once and used for every
//! request. The same keyring signs ([`Keyring::sign`]) and verifies ([`Keyring::verify`]).
//!
//! Invariants: the body is fed to the MAC piece by piece, never copied to be signed; signatures are
//! compared in constant time against every key; no error and no `Debug` shows a secret or an expected
//! signature.

mod scheme;
mod secret;
mod sign;
mod template;
mod verify;

pub use scheme::{Algorithm, Encoding, Presence, Scheme, SchemeFault, TOLERANCE_SECONDS_MAX};
pub use secret::{SECRET_BYTES_MAX, SecretFault, SecretKind, WHSEC_BYTES_MAX, WHSEC_BYTES_MIN, WHSEC_PREFIX};
pub use sign::{Keyring, Outgoing};
pub use verify::{CANDIDATES_MAX, Incoming, Verified, VerifyError};

#[cfg(test)]
mod vectors;
