//! Signing secrets: made, checked against what the profile signs with, rotated. Pure but for the
//! randomness of a new one.

use std::time::Duration;

use zeroize::Zeroizing;

use super::super::set::Set;
use crate::json::Faults;
use crate::profile::{self, Profile};
use crate::secret::Secret;
use crate::signature::SecretKind;
use crate::subscription::{SigningSecret, Subscription};
use crate::time::Timestamp;

/// Most secrets that sign at once: each adds a signature of some 50 bytes to every request.
pub const SECRETS_MAX: usize = 4;

fn secret_kind(profile: Option<&Profile>) -> SecretKind {
    match profile.and_then(|profile| profile.signature.as_ref()) {
        Some(signing) => signing.scheme().secret_kind(),
        // Nothing is signed; the secret waits for a profile that does.
        None => SecretKind::WhsecBase64,
    }
}

/// A new secret, as the profile of this name wants it.
pub(super) fn generate(profile_name: &str) -> Secret {
    let kind = secret_kind(profile::built_in(profile_name));
    kind.generate(&Zeroizing::new(rand::random()))
        .expect("a profile's scheme signs, so that a secret of its kind can be made")
}

/// The secret of a new subscription under the profile of this name: the one that was given, else one that
/// is made. None where nothing is signed, and where the caller wants none and the profile allows that.
pub(super) fn first_secret(given: Set<Secret>, profile_name: &str) -> Result<Option<Secret>, Faults> {
    let profile = profile::built_in(profile_name);
    let (signs, needs) = match profile {
        Some(profile) => (profile.signature.is_some(), profile.needs_secret()),
        None => (true, false),
    };
    match given {
        Set::To(secret) => Ok(Some(secret)),
        Set::Clear if needs => {
            let detail = format!(
                "cannot be null: the profile {profile_name} signs every request; leave it out and one is made"
            );
            Err(Faults::one("/secret", detail))
        }
        Set::Keep if signs => Ok(Some(generate(profile_name))),
        Set::Keep | Set::Clear => Ok(None),
    }
}

/// Checks that every secret can sign, in every way that the profile signs.
pub(super) fn check_secrets(subscription: &Subscription, pointer: &str, faults: &mut Faults) {
    let profile = profile::built_in(&subscription.profile);
    let signing = profile.and_then(|profile| profile.signature.as_ref());
    for known in &subscription.endpoint.secrets {
        let accepted = match signing {
            Some(signing) => signing.accepts(&known.secret),
            None => secret_kind(profile).key(&known.secret).map(drop),
        };
        if let Err(fault) = accepted {
            faults.add(pointer, format!("does not suit the profile: {fault}"));
        }
    }
}

/// The secrets after a rotation: the new one for ever, the old ones for `overlap` at the most.
pub(in crate::control) fn rotated(
    old: &[SigningSecret],
    new: Secret,
    now: Timestamp,
    overlap: Duration,
) -> Vec<SigningSecret> {
    let end = now.plus(overlap);
    let on_their_way_out = old.iter().filter_map(|known| {
        let until = known.until.map_or(end, |until| until.min(end));
        (until > now).then(|| SigningSecret {
            secret: known.secret.clone(),
            until: Some(until),
        })
    });
    std::iter::once(SigningSecret {
        secret: new,
        until: None,
    })
    .chain(on_their_way_out)
    .take(SECRETS_MAX)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(secrets: &[SigningSecret]) -> Vec<(&str, Option<i64>)> {
        secrets
            .iter()
            .map(|known| (known.secret.reveal(), known.until.map(Timestamp::as_millis)))
            .collect()
    }

    /// WX-11: where every request is signed, a secret is made; none is made where nothing is signed.
    #[test]
    fn a_secret_is_made_where_one_is_needed() {
        let made = |given, profile| first_secret(given, profile).unwrap();
        for name in ["standard-webhooks", "plain"] {
            let secret = made(Set::Keep, name).unwrap();
            assert!(secret.reveal().starts_with("whsec_"), "{name}");
            let refused = first_secret(Set::Clear, name).unwrap_err().into_vec();
            assert_eq!(refused[0].pointer, "/secret", "{name}");
            let given = made(Set::To(Secret::new("x")), name).unwrap();
            assert_eq!(given.reveal(), "x");
        }
    }

    #[test]
    fn a_rotation_keeps_old_secrets_for_the_overlap_only() {
        let now = Timestamp::from_millis(1_000);
        let first = vec![SigningSecret {
            secret: Secret::new("a"),
            until: None,
        }];
        let second = rotated(&first, Secret::new("b"), now, Duration::from_secs(10));
        assert_eq!(secrets(&second), [("b", None), ("a", Some(11_000))]);
        let third = rotated(
            &second,
            Secret::new("c"),
            Timestamp::from_millis(2_000),
            Duration::from_secs(60),
        );
        assert_eq!(
            secrets(&third),
            [("c", None), ("b", Some(62_000)), ("a", Some(11_000))]
        );
        let later = Timestamp::from_millis(20_000);
        let fourth = rotated(&third, Secret::new("d"), later, Duration::from_secs(1));
        assert_eq!(
            secrets(&fourth),
            [("d", None), ("c", Some(21_000)), ("b", Some(21_000))]
        );
        assert_eq!(
            secrets(&rotated(&fourth, Secret::new("e"), later, Duration::ZERO)),
            [("e", None)]
        );
        let mut many = fourth;
        for n in 0..10 {
            many = rotated(&many, Secret::new(format!("{n}")), later, Duration::from_secs(9));
        }
        assert_eq!(many.len(), SECRETS_MAX);
    }
}
