//! `hookway sign` and `hookway verify`: the signatures of the built-in profiles on the command line, without
//! a router. A secret never stands in the arguments, where every user of the machine could read it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use serde_json::json;

use super::output::Tone;
use super::sources::secret_from;
use super::{Context, Failure, input};
use crate::clock::Clock;
use crate::id::{Generator, RequestId};
use crate::profile;
use crate::secret::Secret;
use crate::signature::{Incoming, Keyring, Outgoing, Scheme, SecretFault, Signing, Verified, VerifyError};
use crate::time::Timestamp;

/// Where the secret is.
#[derive(Debug, clap::Args)]
pub(super) struct SecretFrom {
    /// File that holds the signing secret, - for standard input [default: $HOOKWAY_SIGNING_SECRET]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Name of the environment variable that holds the signing secret
    #[arg(long, value_name = "NAME", conflicts_with = "secret_file")]
    secret_env: Option<String>,
}

impl SecretFrom {
    /// The secret, if one is given.
    pub(super) fn given(&self, context: &Context) -> Result<Option<Secret>, Failure> {
        let named = secret_from(self.secret_file.as_deref(), self.secret_env.as_deref())?;
        Ok(named.or_else(|| context.environment.signing_secret.clone()))
    }

    fn needed(&self, context: &Context) -> Result<Secret, Failure> {
        self.given(context)?.ok_or_else(|| {
            Failure::usage("no secret: give --secret-file, --secret-env, or HOOKWAY_SIGNING_SECRET")
        })
    }
}

/// How deliveries of a built-in profile are signed.
pub(super) fn signing_of(name: &str) -> Result<&'static Signing, Failure> {
    let Some(profile) = profile::built_in(name) else {
        let known: Vec<&str> = profile::built_ins()
            .iter()
            .map(|profile| profile.name.as_str())
            .collect();
        return Err(Failure::usage(format!(
            "there is no built-in profile {name:?}; there are {}",
            known.join(", ")
        )));
    };
    let none = || Failure::usage(format!("the profile {name} signs nothing"));
    profile.signature.as_ref().ok_or_else(none)
}

/// A keyring that verifies what the profile signs with this secret.
pub(super) fn verifying(name: &str, secret: &Secret) -> Result<Keyring, Failure> {
    let scheme = signing_of(name)?.scheme();
    Keyring::new(Arc::clone(scheme), [secret]).map_err(|fault| unsuitable(name, scheme, fault))
}

/// A keyring of the default profile.
pub(super) fn keyring_of(secret: &Secret) -> Result<Keyring, Failure> {
    verifying(profile::DEFAULT, secret)
}

/// Says which form of a secret the profile wants.
fn unsuitable(name: &str, scheme: &Scheme, fault: SecretFault) -> Failure {
    let what = format!(
        "the signing secret does not suit the profile {name}, which wants {}; --profile names another",
        scheme.secret_form()
    );
    Failure::because(what, fault)
}

/// Flags of `sign`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookway sign --secret-file secret.txt --id msg_1 body.json
  hookway sign --profile workflows --secret-env WEBHOOK_SECRET body.json
  curl --data-binary @body.json https://example.com \\
      $(hookway sign --secret-file secret.txt --id msg_1 --curl body.json)")]
pub(super) struct SignArgs {
    #[command(flatten)]
    secret: SecretFrom,
    /// The built-in profile whose headers are made
    #[arg(long, default_value = profile::DEFAULT, value_name = "NAME")]
    profile: String,
    /// The id: webhook-id [default: a new one]
    #[arg(long)]
    id: Option<String>,
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
    let signing = signing_of(&args.profile)?;
    let secret = args.secret.needed(context)?;
    let body = input::file(&args.file)?;
    let now = Clock::system().now();
    let timestamp = match args.timestamp {
        Some(seconds) => Timestamp::from_millis(seconds.saturating_mul(1_000)),
        None => now,
    };
    let id = args.id.unwrap_or_else(|| {
        let made: RequestId = Generator::new(0).next(now);
        made.to_string()
    });
    let headers = signed(&args.profile, signing, &secret, &id, timestamp, &body)?;
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

/// The headers that sign a delivery of the profile: its own first.
fn signed(
    name: &str,
    signing: &Signing,
    secret: &Secret,
    id: &str,
    timestamp: Timestamp,
    body: &[u8],
) -> Result<Vec<(String, String)>, Failure> {
    let signer = signing
        .signer([secret])
        .map_err(|fault| unsuitable(name, signing.scheme(), fault))?;
    Ok(signer.sign(&Outgoing {
        id,
        timestamp,
        url: "",
        body: &[body],
    }))
}

/// Flags of `verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookway verify --secret-file secret.txt --id req_01j… --timestamp 1779208200 --signature v1,… body.json
  hookway verify --profile workflows --secret-env WEBHOOK_SECRET --signature sha256=… body.json

Exit codes: 0 the signature is right, 1 it is not.")]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    secret: SecretFrom,
    /// The built-in profile whose headers came
    #[arg(long, default_value = profile::DEFAULT, value_name = "NAME")]
    profile: String,
    /// The header with the id, where the profile signs one: webhook-id
    #[arg(long)]
    id: Option<String>,
    /// The header with the time stamp, where the profile has one: webhook-timestamp
    #[arg(long, value_name = "SECONDS")]
    timestamp: Option<i64>,
    /// The header with the signature: webhook-signature, X-WorkFlows-Signature, …
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
    let signing = signing_of(&args.profile)?;
    let headers = args.headers(signing.scheme())?;
    let keyring = verifying(&args.profile, &args.secret.needed(context)?)?;
    let body = input::file(&args.file)?;
    let now = Clock::system().now();
    check(&keyring, &headers, &body, now, Age::of(args.any_age))?;
    let output = &context.output;
    if output.json {
        output.json(&json!({ "verified": true }))
    } else {
        output.line(&output.tone(Tone::Good, "verified"))
    }
}

impl VerifyArgs {
    /// What was given, under the names that the profile has for it.
    fn headers(&self, scheme: &Scheme) -> Result<HeaderMap, Failure> {
        let id = scheme.id_header();
        // The signature stands before the time stamp.
        let mut others = scheme.headers().filter(|name| Some(*name) != id);
        let (signature, timestamp) = (others.next(), others.next());
        let given = [
            ("--signature", signature, Some(self.signature.clone())),
            ("--timestamp", timestamp, self.timestamp.map(|at| at.to_string())),
            ("--id", id, self.id.clone()),
        ];
        let mut headers = HeaderMap::new();
        for (flag, name, value) in given {
            let profile = &self.profile;
            let (name, value) = match (name, value) {
                (Some(name), Some(value)) => (name, value),
                (None, None) => continue,
                (Some(name), None) => {
                    return Err(Failure::usage(format!(
                        "the profile {profile} sends {name}: give it with {flag}"
                    )));
                }
                (None, Some(_)) => {
                    return Err(Failure::usage(format!(
                        "the signature of the profile {profile} has no header for {flag}"
                    )));
                }
            };
            let value = HeaderValue::try_from(value)
                .map_err(|_| Failure::usage(format!("{flag}: this is no value of {name}")))?;
            headers.insert(name, value);
        }
        Ok(headers)
    }
}

/// How old a signature may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// As old as its scheme allows.
    Fresh,
    /// As old as it likes.
    Any,
}

impl Age {
    pub(super) const fn of(any_age: bool) -> Self {
        match any_age {
            true => Self::Any,
            false => Self::Fresh,
        }
    }
}

/// Verifies a request at a time.
pub(super) fn verified(
    keyring: &Keyring,
    request: &Incoming<'_>,
    now: Timestamp,
    age: Age,
) -> Result<Verified, VerifyError> {
    match (keyring.verify(request, now), age) {
        (Err(error), Age::Any) => keyring.verify(request, moved(now, &error)),
        (verified, _) => verified,
    }
}

/// The time at which a signature would have been fresh, where its age is what is wrong.
fn moved(now: Timestamp, error: &VerifyError) -> Timestamp {
    match error {
        VerifyError::TooOld { seconds, .. } => now.minus(Duration::from_secs(*seconds)),
        VerifyError::TooNew { seconds, .. } => now.plus(Duration::from_secs(*seconds)),
        _ => now,
    }
}

/// Whether a request was signed with the keyring's secret.
pub(super) fn check(
    keyring: &Keyring,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
    age: Age,
) -> Result<(), Failure> {
    let request = Incoming {
        headers,
        url: "",
        body,
        certificate: None,
    };
    match verified(keyring, &request, now, age) {
        Ok(Verified::Signed { .. }) => Ok(()),
        Ok(Verified::Unsigned) => Err(Failure::other("the request is not signed")),
        Err(error) => Err(Failure::because("the signature is not right", error)),
    }
}

#[cfg(test)]
mod tests;
