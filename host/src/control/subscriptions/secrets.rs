//! Signing secrets: made, checked against what the profile signs with, rotated. Pure but for the
//! randomness of a new one.

use std::time::Duration;

use zeroize::Zeroizing;

use super::super::set::Set;
use crate::json::Faults;
use crate::profile::{Edition, Profile};
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

/// A new secret, as this profile wants it.
pub(super) fn generate(edition: Option<&Edition>) -> Secret {
    let kind = secret_kind(edition.map(|edition| &edition.profile));
    kind.generate(&Zeroizing::new(rand::random()))
        .expect("a profile's scheme signs, so that a secret of its kind can be made")
}

/// The secret of a new subscription under a profile: the one that was given, else one that is made. None
/// where the caller wants none and the profile allows that.
pub(super) fn first_secret(given: Set<Secret>, edition: Option<&Edition>) -> Result<Option<Secret>, Faults> {
    let profile = edition.map(|edition| &edition.profile);
    match given {
        Set::To(secret) => Ok(Some(secret)),
        Set::Clear => match profile.filter(|profile| profile.needs_secret()) {
            None => Ok(None),
            Some(profile) => {
                let detail = format!(
                    "cannot be null: the profile {} signs every request; leave it out and one is made",
                    profile.name
                );
                Err(Faults::one("/secret", detail))
            }
        },
        // Also where nothing is signed now: a later version of the profile, or another one, may sign.
        Set::Keep => Ok(Some(generate(edition))),
    }
}

/// Checks that every secret that signs now can do so in every way that the profile signs, and that there is
/// one if there has to be. One that has run out signs nothing any more.
pub(super) fn check_secrets(
    subscription: &Subscription,
    profile: &Profile,
    now: Timestamp,
    faults: &mut Faults,
) {
    let secrets = &subscription.endpoint.secrets;
    let runs = |known: &&SigningSecret| known.until.is_none_or(|until| until > now);
    let mut secrets = secrets.iter().filter(runs).peekable();
    if profile.needs_secret() && secrets.peek().is_none() {
        faults.add("/secret", "must be there: the profile signs every request");
    }
    for known in secrets {
        let accepted = match &profile.signature {
            Some(signing) => signing.accepts(&known.secret),
            None => secret_kind(Some(profile)).key(&known.secret).map(drop),
        };
        if let Err(fault) = accepted {
            faults.add("/secret", format!("does not suit the profile: {fault}"));
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

    fn edition(name: &str) -> Edition {
        let profile = crate::profile::built_in(name).unwrap().clone();
        Edition::unstored(profile, Timestamp::from_millis(0))
    }

    /// AE-02, WX-11, IB-06: a secret is made; only where a signature is optional may there be none.
    #[test]
    fn a_secret_is_made_where_one_is_needed() {
        let first = |given, name: &str| first_secret(given, Some(&edition(name)));
        for profile in crate::profile::built_ins() {
            let name = profile.name.as_str();
            let made = first(Set::Keep, name).unwrap().unwrap();
            assert!(made.reveal().starts_with("whsec_"), "{name}");
            if let Some(signing) = &profile.signature {
                assert_eq!(signing.accepts(&made), Ok(()), "{name}");
            }
            match (first(Set::Clear, name), profile.needs_secret()) {
                (Ok(None), false) => {}
                (Err(faults), true) => assert_eq!(faults.into_vec()[0].pointer, "/secret", "{name}"),
                other => panic!("{name}: {other:?}"),
            }
            let given = first(Set::To(Secret::new("x")), name).unwrap();
            assert_eq!(given.unwrap().reveal(), "x");
        }
        assert!(first_secret(Set::Keep, None).unwrap().is_some());
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
