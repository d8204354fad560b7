//! `hookway sign` and `hookway verify`: Standard Webhooks signatures on the command line, without a
//! router. A secret never stands in the arguments, where every user of the machine could read it.

use std::path::PathBuf;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use super::output::Tone;
use super::{Context, Failure, input, read_key};
use crate::clock::Clock;
use crate::secret::Secret;
use crate::signature::{Incoming, Keyring, Outgoing, Scheme, Verified};
use crate::time::Timestamp;

/// Where the secret is.
#[derive(Debug, clap::Args)]
pub(super) struct SecretFrom {
    /// File that holds the signing secret (whsec_…) [default: $HOOKWAY_SIGNING_SECRET]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

impl SecretFrom {
    fn keyring(&self, context: &Context) -> Result<Keyring, Failure> {
        let secret = match (&self.secret_file, &context.environment.signing_secret) {
            (Some(path), _) => read_key(path)?,
            (None, Some(secret)) => secret.clone(),
            (None, None) => {
                return Err(Failure::usage(
                    "no secret: give --secret-file, or HOOKWAY_SIGNING_SECRET",
                ));
            }
        };
        keyring_of(&secret)
    }
}

/// A keyring of the default scheme.
pub(super) fn keyring_of(secret: &Secret) -> Result<Keyring, Failure> {
    Keyring::new(Arc::new(Scheme::standard_webhooks()), [secret])
        .map_err(|error| Failure::because("the signing secret cannot be used", error))
}

/// Flags of `sign`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookway sign --secret-file secret.txt --id msg_1 body.json
  curl --data-binary @body.json https://example.com \\
      $(hookway sign --secret-file secret.txt --id msg_1 --curl body.json)")]
pub(super) struct SignArgs {
    #[command(flatten)]
    secret: SecretFrom,
    /// The id: webhook-id
    #[arg(long)]
    id: String,
    /// Seconds since 1970: webhook-timestamp [default: now]
    #[arg(long, value_name = "SECONDS")]
    timestamp: Option<i64>,
    /// Print the headers as arguments of curl
    #[arg(long)]
    curl: bool,
    /// The body (- for standard input)
    #[arg(default_value = "-")]
    file: String,
}

/// Signs a body.
pub(super) fn sign(args: SignArgs, context: &Context) -> Result<(), Failure> {
    let keyring = args.secret.keyring(context)?;
    let body = input::file(&args.file)?;
    let timestamp = match args.timestamp {
        Some(seconds) => Timestamp::from_millis(seconds.saturating_mul(1_000)),
        None => Clock::system().now(),
    };
    let headers = keyring
        .sign(&Outgoing {
            id: &args.id,
            timestamp,
            url: "",
            body: &[&body],
        })
        .map_err(|error| Failure::because("the body cannot be signed", error))?;
    let output = &context.output;
    if output.json {
        let map: serde_json::Map<_, _> = headers
            .into_iter()
            .map(|(name, value)| (name, json!(value)))
            .collect();
        return output.json(&map.into());
    }
    for (name, value) in headers {
        // No blank after the colon, so that the shell splits the arguments where they end.
        output.line(&if args.curl {
            format!("-H {name}:{value}")
        } else {
            format!("{name}: {value}")
        })?;
    }
    Ok(())
}

/// Flags of `verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hookway verify --secret-file secret.txt --id req_01j… --timestamp 1779208200 --signature v1,… body.json

Exit codes: 0 the signature is right, 1 it is not.")]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    secret: SecretFrom,
    /// The header webhook-id
    #[arg(long)]
    id: String,
    /// The header webhook-timestamp
    #[arg(long, value_name = "SECONDS")]
    timestamp: i64,
    /// The header webhook-signature
    #[arg(long)]
    signature: String,
    /// The time stamp may be as old as it likes (for recorded requests)
    #[arg(long)]
    any_age: bool,
    /// The body, byte for byte as it came (- for standard input)
    #[arg(default_value = "-")]
    file: String,
}

/// Verifies a signature.
pub(super) fn verify(args: VerifyArgs, context: &Context) -> Result<(), Failure> {
    let keyring = args.secret.keyring(context)?;
    let body = input::file(&args.file)?;
    let mut headers = HeaderMap::new();
    let given = [
        ("webhook-id", args.id.clone()),
        ("webhook-timestamp", args.timestamp.to_string()),
        ("webhook-signature", args.signature.clone()),
    ];
    for (name, value) in given {
        let value = HeaderValue::try_from(value)
            .map_err(|_| Failure::usage(format!("this is no value of {name}")))?;
        headers.insert(HeaderName::from_static(name), value);
    }
    let now = match args.any_age {
        true => Timestamp::from_millis(args.timestamp.saturating_mul(1_000)),
        false => Clock::system().now(),
    };
    check(&keyring, &headers, &body, now)?;
    let output = &context.output;
    if output.json {
        output.json(&json!({ "verified": true }))
    } else {
        output.line(&output.tone(Tone::Good, "verified"))
    }
}

/// Whether a request was signed with the keyring's secret.
pub(super) fn check(
    keyring: &Keyring,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<(), Failure> {
    match keyring.verify(
        &Incoming {
            headers,
            url: "",
            body,
            certificate: None,
        },
        now,
    ) {
        Ok(Verified::Signed { .. }) => Ok(()),
        Ok(Verified::Unsigned) => Err(Failure::other("the request is not signed")),
        Err(error) => Err(Failure::because("the signature is not right", error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_verifies_and_nothing_else_does() {
        let keyring = keyring_of(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).unwrap();
        let now = Timestamp::from_millis(1_614_265_330_000);
        let body = br#"{"test": 2432232314}"#;
        let outgoing = Outgoing {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
            timestamp: now,
            url: "",
            body: &[&body[..]],
        };
        let signed = keyring.sign(&outgoing).unwrap();
        let headers: HeaderMap = signed
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::try_from(name).unwrap(),
                    HeaderValue::try_from(value).unwrap(),
                )
            })
            .collect();
        // The example of the Standard Webhooks libraries.
        assert_eq!(
            headers["webhook-signature"],
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        assert!(check(&keyring, &headers, body, now).is_ok());
        assert!(check(&keyring, &headers, b"{}", now).is_err());
        let later = now.plus(std::time::Duration::from_secs(3_600));
        assert!(check(&keyring, &headers, body, later).is_err());
        assert!(keyring_of(&Secret::new("whsec_x")).is_err());
    }
}
