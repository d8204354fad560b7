//! The vault: what is secret is sealed before it is stored.
//!
//! XChaCha20-Poly1305 (RFC 8439 with the 192-bit nonce of draft-irtf-cfrg-xchacha), one key per
//! installation. A sealed value is bound to its place: tenant, object and field are authenticated
//! with it, so that a value copied to another row does not open. The room is pure: the key comes from
//! [`crate::store::files`], the nonce from the caller ([`Nonce::random`] outside of tests).
//!
//! Sealed form: one byte for the version of the form, 24 bytes of nonce, cipher text with its tag.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Bytes of the key.
pub const KEY_BYTES: usize = 32;
/// Bytes of a nonce: 192 bits, so that random ones never meet.
const NONCE_BYTES: usize = 24;
/// Bytes of the tag of Poly1305.
const TAG_BYTES: usize = 16;
/// The only form there is so far; authenticated, so that it cannot be exchanged.
const VERSION: u8 = 1;

/// What can go wrong with a sealed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too short, or of a form that this version does not know.
    #[error("a sealed value has a form that this version does not know")]
    Form,
    /// Another key, another place, or changed bytes: which of them cannot be told.
    #[error("a sealed value does not open: another key, another row, or damaged bytes")]
    Open,
    /// Longer than the cipher can seal (256 GiB).
    #[error("a value is too long to be sealed")]
    TooLong,
}

/// A number that is used once. Random ones of 192 bits never repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce([u8; NONCE_BYTES]);

impl Nonce {
    /// A random one.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// A given one, for tests with published vectors.
    pub const fn from_bytes(bytes: [u8; NONCE_BYTES]) -> Self {
        Self(bytes)
    }
}

/// Where a sealed value belongs; authenticated, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The number of the owner's id; 0 for what belongs to the whole router.
    pub tenant: i64,
    /// The number of the object's id.
    pub object: i64,
    /// The field within the object.
    pub field: &'a str,
}

impl Place<'_> {
    /// Fixed lengths first and the only text last: no two places give the same bytes.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(17 + self.field.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.tenant.to_be_bytes());
        bytes.extend_from_slice(&self.object.to_be_bytes());
        bytes.extend_from_slice(self.field.as_bytes());
        bytes
    }
}

/// Seals and opens with one key, which is wiped when the vault goes. The cipher is set up for each
/// value: that costs a copy of the key and leaves no second one behind for the life of the process.
#[derive(Clone)]
pub struct Vault(Zeroizing<[u8; KEY_BYTES]>);

impl Vault {
    /// A vault with this key.
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(*key))
    }

    /// A key of its own for another purpose, which this label names. Who has it learns nothing of the
    /// vault's key.
    pub fn derive(&self, label: &str) -> [u8; KEY_BYTES] {
        let mac = Hmac::<Sha256>::new_from_slice(&*self.0).expect("HMAC takes keys of any length");
        mac.chain_update(label.as_bytes()).finalize().into_bytes().into()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.0).into())
    }

    /// Seals a value for its place.
    pub fn seal(&self, place: Place<'_>, plain: &[u8], nonce: Nonce) -> Result<Vec<u8>, Error> {
        let associated = place.bytes();
        let payload = Payload {
            msg: plain,
            aad: &associated,
        };
        let sealed = self.cipher().encrypt(&XNonce::from(nonce.0), payload);
        let sealed = sealed.map_err(|_| Error::TooLong)?;
        let mut bytes = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&nonce.0);
        bytes.extend_from_slice(&sealed);
        Ok(bytes)
    }

    /// Opens a value that was sealed for this place. What it gives is wiped when it goes.
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (&VERSION, rest) = sealed.split_first().ok_or(Error::Form)? else {
            return Err(Error::Form);
        };
        let (nonce, cipher) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(Error::Form)?;
        if cipher.len() < TAG_BYTES {
            return Err(Error::Form);
        }
        let associated = place.bytes();
        let payload = Payload {
            msg: cipher,
            aad: &associated,
        };
        let plain = self.cipher().decrypt(&XNonce::from(*nonce), payload);
        plain.map(Zeroizing::new).map_err(|_| Error::Open)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    const PLACE: Place<'static> = Place {
        tenant: 1,
        object: 2,
        field: "endpoint",
    };

    /// Appendix A.3.1 of draft-irtf-cfrg-xchacha-03, straight through the cipher that we use.
    #[test]
    fn the_cipher_agrees_with_the_published_vector() {
        let key: Vec<u8> = (0x80..=0x9f).collect();
        let nonce: Vec<u8> = (0x40..=0x57).collect();
        let plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip \
                      for the future, sunscreen would be it.";
        let associated = HEXLOWER.decode(b"50515253c0c1c2c3c4c5c6c7").unwrap();
        let vault = Vault::new(&key.try_into().unwrap());
        let nonce = Nonce::from_bytes(nonce.try_into().unwrap());
        let payload = Payload {
            msg: plain,
            aad: &associated,
        };
        let sealed = vault.cipher().encrypt(&XNonce::from(nonce.0), payload).unwrap();
        assert_eq!(HEXLOWER.encode(&sealed[..16]), "bd6d179d3e83d43b9576579493c0e939");
        let tag = &sealed[sealed.len() - TAG_BYTES..];
        assert_eq!(HEXLOWER.encode(tag), "c0875924c1c7987947deafd8780acf49");
    }

    #[test]
    fn a_value_opens_only_in_its_place_and_with_its_key() {
        let vault = Vault::new(&[7; 32]);
        let sealed = vault.seal(PLACE, b"whsec_x", Nonce::random()).unwrap();
        assert_eq!(&**vault.open(PLACE, &sealed).unwrap(), b"whsec_x");
        for elsewhere in [
            Place { tenant: 2, ..PLACE },
            Place { object: 3, ..PLACE },
            Place {
                field: "endpoin",
                ..PLACE
            },
        ] {
            assert_eq!(vault.open(elsewhere, &sealed).unwrap_err(), Error::Open);
        }
        assert_eq!(
            Vault::new(&[8; 32]).open(PLACE, &sealed).unwrap_err(),
            Error::Open
        );
    }

    #[test]
    fn the_key_does_not_show_and_neither_does_the_text() {
        let vault = Vault::new(&[b'k'; 32]);
        assert_eq!(format!("{vault:?}"), "Vault(…)");
        let sealed = vault.seal(PLACE, b"sunscreen", Nonce::random()).unwrap();
        assert!(!sealed.windows(9).any(|part| part == b"sunscreen"));
    }

    proptest! {
        #[test]
        fn every_changed_byte_is_noticed(plain: Vec<u8>, at: usize, bit in 0_u8..8) {
            let vault = Vault::new(&[1; 32]);
            let mut sealed = vault.seal(PLACE, &plain, Nonce::random()).unwrap();
            prop_assert_eq!(&**vault.open(PLACE, &sealed).unwrap(), &plain);
            let at = at % sealed.len();
            sealed[at] ^= 1 << bit;
            prop_assert!(vault.open(PLACE, &sealed).is_err());
        }

        #[test]
        fn nonsense_is_refused(bytes: Vec<u8>) {
            prop_assert!(Vault::new(&[1; 32]).open(PLACE, &bytes).is_err());
        }
    }
}
