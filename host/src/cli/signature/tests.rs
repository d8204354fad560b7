//! What is signed verifies, by each profile that signs; and what does not suit is said.

use http::HeaderName;

use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SIGNED_AT: Timestamp = Timestamp::from_millis(1_614_265_330_000);

fn headers(name: &str, secret: &Secret, id: &str, body: &[u8]) -> HeaderMap {
    let pairs = signed(name, signing_of(name).unwrap(), secret, id, SIGNED_AT, body).unwrap();
    let pair = |(name, value): (String, String)| {
        (
            HeaderName::try_from(name).unwrap(),
            HeaderValue::try_from(value).unwrap(),
        )
    };
    pairs.into_iter().map(pair).collect()
}

fn verify_args(profile: &str, id: Option<&str>, timestamp: Option<i64>) -> VerifyArgs {
    VerifyArgs {
        secret: SecretFrom {
            secret_file: None,
            secret_env: None,
        },
        profile: profile.to_owned(),
        id: id.map(str::to_owned),
        timestamp,
        signature: "x".to_owned(),
        any_age: false,
        file: "-".to_owned(),
    }
}

#[test]
fn what_is_signed_verifies_and_nothing_else_does() {
    let keyring = keyring_of(&Secret::new(SECRET)).unwrap();
    let body = br#"{"test": 2432232314}"#;
    let headers = headers(
        profile::DEFAULT,
        &Secret::new(SECRET),
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        body,
    );
    // The example of the Standard Webhooks libraries.
    assert_eq!(
        headers["webhook-signature"],
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    );
    assert!(check(&keyring, &headers, body, SIGNED_AT, Age::Fresh).is_ok());
    assert!(check(&keyring, &headers, b"{}", SIGNED_AT, Age::Any).is_err());
    let later = SIGNED_AT.plus(Duration::from_secs(3_600));
    assert!(check(&keyring, &headers, body, later, Age::Fresh).is_err());
    assert!(check(&keyring, &headers, body, later, Age::Any).is_ok());
}

#[test]
fn every_built_in_profile_that_signs_signs_and_verifies() {
    let mut seen = 0;
    for profile in profile::built_ins() {
        let name = profile.name.as_str();
        if profile.signature.is_none() {
            assert!(matches!(signing_of(name), Err(Failure::Usage(_))), "{name}");
            continue;
        }
        let secret = Secret::new(SECRET);
        let headers = headers(name, &secret, "msg_1", b"{}");
        let keyring = verifying(name, &secret).unwrap();
        assert!(
            check(&keyring, &headers, b"{}", SIGNED_AT, Age::Fresh).is_ok(),
            "{name}"
        );
        assert!(
            check(&keyring, &headers, b"[]", SIGNED_AT, Age::Any).is_err(),
            "{name}"
        );
        seen += 1;
    }
    assert!(seen >= 8, "{seen}");
}

#[test]
fn a_secret_that_does_not_suit_says_which_profile_wants_which_form() {
    let plain = Secret::new("hush");
    let signing = signing_of(profile::DEFAULT).unwrap();
    let failures = [
        verifying(profile::DEFAULT, &plain).unwrap_err(),
        signed(profile::DEFAULT, signing, &plain, "a", SIGNED_AT, b"").unwrap_err(),
    ];
    for failure in failures {
        let text = failure.chain().join("\n");
        assert!(
            text.contains("the profile standard-webhooks, which wants `whsec_`"),
            "{text}"
        );
        assert!(
            text.contains("must begin with") && !text.contains("hush"),
            "{text}"
        );
    }
    assert!(verifying("workflows", &plain).is_ok());
    let Err(Failure::Usage(text)) = signing_of("nonsense") else {
        panic!("there is none")
    };
    assert!(text.contains("workflows"), "{text}");
}

#[test]
fn what_is_given_has_the_names_of_the_profile() {
    let named = |args: &VerifyArgs| {
        let headers = args.headers(signing_of(&args.profile).unwrap().scheme());
        headers.map(|headers| {
            let mut names: Vec<String> = headers.keys().map(ToString::to_string).collect();
            names.sort();
            names
        })
    };
    for (profile, id, timestamp, expected) in [
        (
            "standard-webhooks",
            Some("a"),
            Some(1),
            Ok("webhook-id webhook-signature webhook-timestamp"),
        ),
        (
            "standard-webhooks",
            None,
            Some(1),
            Err("webhook-id: give it with --id"),
        ),
        ("workflows", None, None, Ok("x-workflows-signature")),
        ("workflows", Some("a"), None, Err("no header for --id")),
        ("workflows", None, Some(1), Err("no header for --timestamp")),
        (
            "inboundflow",
            None,
            Some(1),
            Ok("x-inboundflow-signature x-inboundflow-timestamp"),
        ),
        ("inboundflow", None, None, Err("give it with --timestamp")),
        ("stripe", None, None, Ok("stripe-signature")),
    ] {
        match (named(&verify_args(profile, id, timestamp)), expected) {
            (Ok(names), Ok(expected)) => assert_eq!(names.join(" "), expected),
            (Err(Failure::Usage(text)), Err(expected)) => assert!(text.contains(expected), "{text}"),
            (other, _) => panic!("{profile}: {other:?}"),
        }
    }
}
