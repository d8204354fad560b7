//! The keys that open something now, in memory: a request is authorised by one hash and one lookup,
//! without the store.
//!
//! The map is by the hash of the key. Who could time the lookup would learn something about hashes
//! of keys with 256 random bits, that is, nothing; the admin key may be a person's text, so its hash
//! is compared in constant time.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use subtle::ConstantTimeEq;

use crate::auth::{KEY_BYTES_MAX, Principal, Scope, Scopes, Who, hash_key};
use crate::digest::Digest;
use crate::store::Key;

/// The keys that are known, and the operator's.
pub struct Keyring {
    operator: Option<Digest>,
    keys: ArcSwap<HashMap<Digest, Principal>>,
}

impl Keyring {
    /// A ring with the operator's key (its hash only) and no other.
    pub fn new(operator: Option<Digest>) -> Self {
        Self {
            operator,
            keys: ArcSwap::default(),
        }
    }

    /// Takes these keys in place of those known before. Revoked ones, and those whose scopes this
    /// version does not know, open nothing.
    pub fn replace(&self, keys: &[Key]) {
        let open = keys
            .iter()
            .filter(|key| key.revoked_at.is_none())
            .filter_map(|key| {
                let scopes: Scopes = key.scopes.parse().ok()?;
                Some((
                    key.hash,
                    Principal {
                        who: Who::Key(key.id),
                        tenant: key.tenant,
                        scopes,
                    },
                ))
            });
        self.keys.store(Arc::new(open.collect()));
    }

    /// Whom this key stands for.
    pub fn principal(&self, key: &str) -> Option<Principal> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return None;
        }
        let hash = hash_key(key);
        let operator = self
            .operator
            .is_some_and(|known| known.as_bytes().ct_eq(hash.as_bytes()).into());
        if operator {
            let scopes = [Scope::Admin].into_iter().collect();
            return Some(Principal {
                who: Who::Operator,
                tenant: None,
                scopes,
            });
        }
        self.keys.load().get(&hash).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{KeyPrefix, generate_key};
    use crate::id::{KeyId, TenantId};
    use crate::time::Timestamp;

    #[test]
    fn only_known_and_unrevoked_keys_open() {
        let admin = "an admin key of thirty-two chars";
        let ring = Keyring::new(Some(hash_key(admin)));
        let prefix = KeyPrefix::default();
        let (good, gone) = (generate_key(&prefix), generate_key(&prefix));
        let key = |secret: &crate::secret::Secret, revoked_at| Key {
            id: KeyId::from_number(5),
            tenant: Some(TenantId::from_number(1)),
            name: "k".into(),
            hash: hash_key(secret.reveal()),
            scopes: "read".into(),
            created_at: Timestamp::default(),
            revoked_at,
        };
        let revoked = Some(Timestamp::default());
        ring.replace(&[key(&good, None), key(&gone, revoked)]);
        let principal = ring.principal(good.reveal()).unwrap();
        assert_eq!(principal.tenant, Some(TenantId::from_number(1)));
        assert!(principal.scopes.allow(Scope::Read) && !principal.scopes.allow(Scope::Manage));
        assert_eq!(ring.principal(gone.reveal()), None);
        assert_eq!(ring.principal("an admin key of thirty-two charz"), None);
        assert_eq!(ring.principal(""), None);
        assert_eq!(ring.principal(&"x".repeat(1_000)), None);
        let operator = ring.principal(admin).unwrap();
        assert_eq!((operator.who, operator.tenant), (Who::Operator, None));
        ring.replace(&[key(&good, revoked)]);
        assert_eq!(ring.principal(good.reveal()), None, "a revocation holds at once");
    }

    #[test]
    fn without_an_admin_key_nothing_is_the_operators() {
        assert_eq!(Keyring::new(None).principal("x"), None);
    }
}
