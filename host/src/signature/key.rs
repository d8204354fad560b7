//! One secret, ready for use: the keyed state of a MAC, or a public key with its private half where
//! that is known.
//!
//! A MAC takes the pieces of what is signed as they stand; public-key algorithms want them in one piece,
//! so that those copy the body once per key. Which algorithm holds is the scheme's, never the request's
//! and never the key's.

use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac};
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use rustls_pki_types::{SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer};
use subtle::ConstantTimeEq as _;

use super::certificate::Certificate;
use super::message::Message;
use super::scheme::{Algorithm, Scheme};
use super::secret::{ED25519_BYTES, SecretFault, SecretKind, whole_key_pair};
use crate::secret::Secret;

/// One secret of a keyring.
#[derive(Clone)]
pub(super) enum Key {
    Sha1(Hmac<sha1::Sha1>),
    Sha256(Hmac<sha2::Sha256>),
    Sha512(Hmac<sha2::Sha512>),
    Ed25519 {
        public: Vec<u8>,
        private: Option<Arc<Ed25519KeyPair>>,
    },
    /// A public key with its type, as X.509 writes it.
    Public {
        key: SubjectPublicKeyInfoDer<'static>,
        algorithm: &'static dyn SignatureVerificationAlgorithm,
    },
    /// The key comes with the request, in a certificate; this text is part of what is signed.
    Certified(Secret),
}

impl Key {
    /// Reads a secret as the scheme wants it.
    pub(super) fn new(scheme: &Scheme, secret: &Secret) -> Result<Self, SecretFault> {
        // RFC 2104 hashes keys that are longer than a block, so there is no wrong length.
        const ANY_LENGTH: &str = "HMAC takes keys of any length";
        let bytes = scheme.secret.key(secret)?;
        if scheme.secret == SecretKind::Text {
            return Ok(Self::Certified(secret.clone()));
        }
        if scheme.secret == SecretKind::SpkiBase64 {
            return public(scheme.algorithm, bytes.to_vec());
        }
        match scheme.algorithm {
            Algorithm::HmacSha1 => Ok(Self::Sha1(Hmac::new_from_slice(&bytes).expect(ANY_LENGTH))),
            Algorithm::HmacSha256 => Ok(Self::Sha256(Hmac::new_from_slice(&bytes).expect(ANY_LENGTH))),
            Algorithm::HmacSha512 => Ok(Self::Sha512(Hmac::new_from_slice(&bytes).expect(ANY_LENGTH))),
            Algorithm::Ed25519 if bytes.len() == ED25519_BYTES => Ok(Self::Ed25519 {
                public: bytes.to_vec(),
                private: None,
            }),
            Algorithm::Ed25519 => {
                let whole = whole_key_pair(bytes)?;
                let (seed, public) = whole.split_at(ED25519_BYTES);
                let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public);
                Ok(Self::Ed25519 {
                    public: public.to_vec(),
                    private: Some(Arc::new(pair.map_err(|_| SecretFault::Ed25519)?)),
                })
            }
            // A scheme of these has keys of the two kinds above.
            Algorithm::EcdsaP256Sha256 | Algorithm::RsaSha256 => Err(SecretFault::PublicKey {
                algorithm: scheme.algorithm.name(),
            }),
        }
    }

    /// Whether one of the signatures is this key's. Every one is tried, also after a match.
    pub(super) fn verifies(
        &self,
        message: &Message<'_>,
        signatures: &[Vec<u8>],
        certificate: Option<&Certificate>,
    ) -> bool {
        let any = |matches: &dyn Fn(&[u8]) -> bool| {
            let matched = signatures.iter().filter(|signature| matches(signature));
            matched.count() > 0
        };
        let same = |expected: &[u8]| any(&|signature| expected.ct_eq(signature).into());
        match self {
            Self::Sha1(mac) => same(&finished(mac, message)),
            Self::Sha256(mac) => same(&finished(mac, message)),
            Self::Sha512(mac) => same(&finished(mac, message)),
            Self::Ed25519 { public, .. } => {
                let (key, whole) = (UnparsedPublicKey::new(&ED25519, public), message.whole(""));
                any(&|signature| key.verify(&whole, signature).is_ok())
            }
            Self::Public { key, algorithm } => {
                let Ok(key) = webpki::RawPublicKeyEntity::try_from(key) else {
                    return false;
                };
                let whole = message.whole("");
                any(&|signature| key.verify_signature(*algorithm, &whole, signature).is_ok())
            }
            Self::Certified(text) => certificate.is_some_and(|certificate| {
                let whole = message.whole(text.reveal());
                any(&|signature| certificate.verifies(&whole, signature))
            }),
        }
    }

    /// The signature, where the key can sign.
    pub(super) fn sign(&self, message: &Message<'_>) -> Option<Vec<u8>> {
        match self {
            Self::Sha1(mac) => Some(finished(mac, message)),
            Self::Sha256(mac) => Some(finished(mac, message)),
            Self::Sha512(mac) => Some(finished(mac, message)),
            Self::Ed25519 { private, .. } => {
                let pair = private.as_ref()?;
                Some(pair.sign(&message.whole("")).as_ref().to_vec())
            }
            Self::Public { .. } | Self::Certified(_) => None,
        }
    }

    /// Whether the key can sign.
    pub(super) const fn can_sign(&self) -> bool {
        match self {
            Self::Sha1(_) | Self::Sha256(_) | Self::Sha512(_) => true,
            Self::Ed25519 { private, .. } => private.is_some(),
            Self::Public { .. } | Self::Certified(_) => false,
        }
    }
}

fn finished<M: Mac + Clone>(keyed: &M, message: &Message<'_>) -> Vec<u8> {
    let mut mac = keyed.clone();
    message.feed("", |piece| mac.update(piece));
    mac.finalize().into_bytes().to_vec()
}

/// A public key whose type is the algorithm's.
fn public(algorithm: Algorithm, der: Vec<u8>) -> Result<Key, SecretFault> {
    let fault = SecretFault::PublicKey {
        algorithm: algorithm.name(),
    };
    let verification = match algorithm {
        Algorithm::Ed25519 => webpki::ring::ED25519,
        Algorithm::EcdsaP256Sha256 => webpki::ring::ECDSA_P256_SHA256,
        Algorithm::RsaSha256 => webpki::ring::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::HmacSha1 | Algorithm::HmacSha256 | Algorithm::HmacSha512 => return Err(fault),
    };
    let key = SubjectPublicKeyInfoDer::from(der);
    let entity = webpki::RawPublicKeyEntity::try_from(&key).map_err(|_| fault)?;
    // No signature verifies, but a key of another type is told before the signature is looked at.
    match entity.verify_signature(verification, b"", b"") {
        Err(webpki::Error::InvalidSignatureForPublicKey) => Ok(Key::Public {
            key,
            algorithm: verification,
        }),
        _ => Err(fault),
    }
}
