//! `hookway listen`: a receiver on this machine that shows and verifies what arrives.
//!
//! What it answers is a script: statuses in turn, the last for ever. It needs no router and no account:
//! whatever sends a request to this machine is shown. Only the signature of what arrives is checked,
//! with a secret that is never an argument. It ends at Ctrl-C or after `--count` requests, and answers
//! what it took before it does.

mod shown;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::json;

use super::receiver::{Receiver, Replies, Reply};
use super::serve::Signals;
use super::signature::{Age, SecretFrom, verified, verifying};
use super::span::span;
use super::story::Depth;
use super::{Context, Failure, input};
use crate::clock::Clock;
use crate::profile;
use crate::secret::Secret;
use crate::signature::{Incoming, Keyring, Verified};
use shown::{Checked, document, lines};

/// The port where nothing is said; not one that something well known has.
const PORT_DEFAULT: u16 = 4747;
/// Longest wait for what is being answered when it ends.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Flags of `listen`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookway listen
  hookway listen --secret-file secret.txt --status 503,503,200     # fails twice, then works
  hookway listen --port 0 --count 1 --json --path /hook            # for scripts
  hookway listen --status 429 --header 'retry-after: 5'

Exit codes: 0 it was ended, or --count requests came and every signature that was checked was right;
1 one of them was wrong.")]
pub(super) struct Args {
    /// The port on this machine; 0 for any free one
    #[arg(long, default_value_t = PORT_DEFAULT)]
    port: u16,
    /// The only path that is taken; others are answered 404 [default: every path]
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    #[command(flatten)]
    secret: SecretFrom,
    /// The profile whose signature is checked
    #[arg(long, default_value = profile::DEFAULT, value_name = "NAME")]
    profile: String,
    /// Signatures may be as old as they like (for recorded requests)
    #[arg(long)]
    any_age: bool,
    /// What requests are answered with, in turn; the last for ever
    #[arg(long = "status", value_delimiter = ',', default_value = "200", value_parser = status, value_name = "STATUS,…")]
    statuses: Vec<StatusCode>,
    /// A header of every answer; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The body of every answer: a text, @FILE, or - for standard input
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
    /// How long every answer waits
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = span)]
    delay: Duration,
    /// End after this many requests
    #[arg(long, value_name = "REQUESTS")]
    count: Option<u64>,
    /// Whole bodies
    #[arg(long)]
    full: bool,
}

fn status(text: &str) -> Result<StatusCode, String> {
    match text.trim().parse::<u16>().ok().map(StatusCode::from_u16) {
        Some(Ok(status)) if (200..600).contains(&status.as_u16()) => Ok(status),
        _ => Err("a status is a number from 200 to 599".to_owned()),
    }
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let form = "write it as NAME: VALUE";
    let (name, value) = text.split_once(':').ok_or(form)?;
    let name = HeaderName::try_from(name.trim()).map_err(|error| error.to_string())?;
    let value = HeaderValue::try_from(value.trim()).map_err(|error| error.to_string())?;
    Ok((name, value))
}

/// Listens until it is stopped.
pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let check = Check::of(&args, context)?;
    let clock = Clock::system();
    let body = match &args.body {
        Some(text) => Bytes::from(input::argument(text)?),
        None => Bytes::new(),
    };
    let receiver = Receiver::start(clock.clone(), args.port, replies(&args, body)).await;
    let mut receiver = receiver.map_err(|error| {
        Failure::io(
            format!(
                "cannot listen on port {} of this machine; --port 0 takes any free one",
                args.port
            ),
            error,
        )
    })?;
    let path = args.path.as_deref().unwrap_or("/");
    let url = format!("http://{}{path}", receiver.address);
    begin(context, &url, &check)?;
    let depth = if args.full { Depth::Full } else { Depth::Long };
    let (mut left, mut wrong) = (args.count, 0_u64);
    while left != Some(0) {
        let received = tokio::select! {
            received = receiver.received.recv() => received,
            () = signals.next() => break,
        };
        let Some(received) = received else { break };
        let checked = check.of_request(&received, &url);
        wrong += u64::from(matches!(checked, Checked::Wrong(_)));
        if context.output.json {
            context.output.line(&document(&received, &checked).to_string())?;
        } else {
            context
                .output
                .lines(&lines(&context.output, &received, &checked, depth))?;
        }
        left = left.map(|left| left - 1);
    }
    receiver.end(LAST_ANSWERS).await;
    match (args.count, wrong) {
        (None, _) | (_, 0) => Ok(()),
        (Some(_), wrong) => Err(Failure::other(format!(
            "{wrong} of the requests had a wrong signature"
        ))),
    }
}

/// Says where it listens, and what is needed for a delivery to get there.
fn begin(context: &Context, url: &str, check: &Check) -> Result<(), Failure> {
    let output = &context.output;
    if output.json {
        return output.line(&json!({ "listening": url }).to_string());
    }
    output.line(&format!("listening on {url}"))?;
    output.note(&format!(
        "  a subscription: hookway subscriptions create --name local --event '*' --url {url}"
    ));
    output.note("  the router needs: hookway serve --allow-http --allow-private-networks");
    output.note(match check {
        Check::Nothing => {
            "  signatures are not checked: give the subscription's secret with --secret-file or --secret-env"
        }
        Check::With { .. } => "  signatures are checked",
    });
    Ok(())
}

/// The script of answers.
fn replies(args: &Args, body: Bytes) -> Replies {
    let (statuses, path, delay) = (args.statuses.clone(), args.path.clone(), args.delay);
    let headers: HeaderMap = args.headers.iter().cloned().collect();
    let answered = AtomicUsize::new(0);
    Box::new(move |requested| {
        if path.as_ref().is_some_and(|path| path != requested) {
            return Reply::status(StatusCode::NOT_FOUND);
        }
        let turn = answered.fetch_add(1, Ordering::Relaxed);
        let status = statuses.get(turn).or(statuses.last());
        Reply {
            headers: headers.clone(),
            body: body.clone(),
            delay,
            ..Reply::status(status.copied().unwrap_or(StatusCode::OK))
        }
    })
}

/// Whether and how signatures are checked.
enum Check {
    Nothing,
    With { keyring: Keyring, age: Age },
}

impl Check {
    fn of(args: &Args, context: &Context) -> Result<Self, Failure> {
        match args.secret.given(context)? {
            Some(secret) => Self::with(&args.profile, &secret, args.any_age),
            None => Ok(Self::Nothing),
        }
    }

    fn with(name: &str, secret: &Secret, any_age: bool) -> Result<Self, Failure> {
        Ok(Self::With {
            keyring: verifying(name, secret)?,
            age: Age::of(any_age),
        })
    }

    fn of_request(&self, received: &super::receiver::Received, url: &str) -> Checked {
        let (Self::With { keyring, age }, Ok(body)) = (self, &received.body) else {
            return Checked::Not;
        };
        let headers = &received.headers;
        let request = Incoming {
            headers,
            url,
            body,
            certificate: None,
        };
        match verified(keyring, &request, received.at, *age) {
            Ok(Verified::Signed { .. }) => Checked::Right,
            Ok(Verified::Unsigned) => Checked::Wrong("it is not signed".to_owned()),
            Err(error) => Checked::Wrong(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
