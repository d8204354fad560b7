//! `hookway sources`: the addresses at which other services deliver their webhooks, by hand.
//!
//! Secrets come from files or the environment, never from arguments, and are shown once. What came to
//! a source, also where it was refused and why, is listed as its receptions.

mod fields;
mod readable;
mod receptions;

use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use serde_json::{Map, Value, json};

use super::client::{Answer, Body, Client, given};
use super::output::{Column, cell};
use super::span::span;
use super::{Context, Failure};
use fields::Fields;
pub(super) use fields::secret_from;
use readable::readable;

const COLUMNS: [Column; 6] = [
    ("ID", "/id"),
    ("NAME", "/name"),
    ("PRESET", "/preset"),
    ("ENABLED", "/enabled"),
    ("ADDRESS", "/address"),
    ("DESCRIPTION", "/description"),
];
const FIELDS: [Column; 23] = [
    ("id", "/id"),
    ("name", "/name"),
    ("description", "/description"),
    ("address", "/address"),
    ("preset", "/preset"),
    ("enabled", "/enabled"),
    ("its secret", "/secret_hint"),
    ("old secrets until", "/old_secrets_until"),
    ("verify token", "/verify_token"),
    ("verification", "/verification"),
    ("handshakes", "/handshakes"),
    ("events", "/events"),
    ("public URL", "/public_url"),
    ("allowed addresses", "/allowed_ips"),
    ("largest body", "/body_bytes_max"),
    ("rate limit", "/rate_limit"),
    ("answer", "/response"),
    ("always answers ok", "/always_ok"),
    ("keeps refused", "/keep_refused"),
    ("note", "/note"),
    ("version", "/version"),
    ("created", "/created_at"),
    ("updated", "/updated_at"),
];
const PRESET_COLUMNS: [Column; 4] = [
    ("PRESET", "/name"),
    ("SERVICE", "/title"),
    ("MADE BY", "/secret_made_by"),
    ("SECRET", "/secret"),
];

/// What to do with sources.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List the sources
    #[command(after_help = "Example:\n  hookway sources list")]
    List {
        /// How many at the most
        #[arg(long)]
        limit: Option<u32>,
        /// Goes on where the page before ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Show one source
    #[command(after_help = "Example:\n  hookway sources show github")]
    Show {
        /// Its id or name
        id: String,
    },
    /// Make a source; a secret that the router makes is shown once
    #[command(after_help = "Examples:
  hookway sources create --name github --preset github
  hookway sources create --name stripe --preset stripe --secret-env STRIPE_SIGNING_SECRET
  hookway sources create --name legacy --allowed-ip 203.0.113.0/24 --rate-limit 50/1 --keep-refused
  hookway sources create --file source.json")]
    Create(Box<Fields>),
    /// Change a source; what is not given stays
    #[command(
        after_help = "Example:\n  hookway sources update github --description 'The organisation' --keep-refused"
    )]
    Update {
        /// Its id or name
        id: String,
        #[command(flatten)]
        fields: Box<Fields>,
    },
    /// Delete a source; its address answers 404 from then on
    #[command(after_help = "Example:\n  hookway sources delete github --yes")]
    Delete {
        /// Its id or name
        id: String,
        /// Yes, delete it
        #[arg(long)]
        yes: bool,
    },
    /// Let requests in
    #[command(after_help = "Example:\n  hookway sources enable github")]
    Enable {
        /// Its id or name
        id: String,
    },
    /// Answer 404, as if it were not there
    #[command(after_help = "Example:\n  hookway sources disable github")]
    Disable {
        /// Its id or name
        id: String,
    },
    /// Give it another secret; the old one is good too for a while
    #[command(after_help = "Examples:
  hookway sources rotate-secret github
  hookway sources rotate-secret stripe --secret-file new.txt --overlap 24h")]
    RotateSecret {
        /// Its id or name
        id: String,
        /// File that holds the new secret, - for standard input [default: the router makes one where the
        /// service takes ours]
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
        /// Name of the environment variable that holds the new secret
        #[arg(long, value_name = "NAME", conflicts_with = "secret_file")]
        secret_env: Option<String>,
        /// For how long the old one is good too
        #[arg(long, value_name = "TIME", value_parser = span)]
        overlap: Option<Duration>,
    },
    /// List what came to a source, newest first, refused or not
    #[command(after_help = "Examples:
  hookway sources receptions github
  hookway sources receptions github --outcome refused --limit 5")]
    Receptions(receptions::List),
    /// Show one reception: headers, what became of it and why
    #[command(after_help = "Examples:
  hookway sources reception rcp_01j…
  hookway sources reception rcp_01j… --body > body.bin     # where the source keeps refused bodies")]
    Reception(receptions::Show),
    /// List the services that need no settings of their own
    #[command(after_help = "Example:\n  hookway sources presets")]
    Presets,
}

/// Does it.
pub(super) async fn run(verb: Verb, context: &Context) -> Result<(), Failure> {
    let output = &context.output;
    match verb {
        Verb::List { limit, cursor } => list(context, limit, cursor).await,
        Verb::Show { id } => {
            let client = context.client()?;
            shown(context, &client, &client.get(&["sources", &id], &[]).await?)
        }
        Verb::Create(fields) => {
            let body = Body::Json(fields.body()?);
            let client = context.client()?;
            let made = client.call(Method::POST, &["sources"], &[], body).await;
            let made = made.map_err(advised)?;
            shown(context, &client, &made)?;
            secret(context, &made)
        }
        Verb::Update { id, fields } => {
            let body = Body::Json(fields.body()?);
            let client = context.client()?;
            let changed = client.call(Method::PATCH, &["sources", &id], &[], body).await?;
            shown(context, &client, &changed)
        }
        Verb::Delete { id, yes } => {
            if !yes {
                return Err(Failure::usage(format!(
                    "deleting {id} cannot be undone: say --yes"
                )));
            }
            let client = context.client()?;
            client
                .call(Method::DELETE, &["sources", &id], &[], Body::Nothing)
                .await?;
            if output.json {
                output.json(&json!({ "id": id, "deleted": true }))
            } else {
                output.line("deleted")
            }
        }
        Verb::Enable { id } => switch(context, &id, "enable").await,
        Verb::Disable { id } => switch(context, &id, "disable").await,
        Verb::RotateSecret {
            id,
            secret_file,
            secret_env,
            overlap,
        } => {
            let given = secret_from(secret_file.as_deref(), secret_env.as_deref())?;
            let body = rotation(given.as_ref().map(|secret| secret.reveal()), overlap);
            let path = ["sources", &id, "rotate-secret"];
            let rotated = context
                .client()?
                .call(Method::POST, &path, &[], Body::Json(body))
                .await?;
            if output.json {
                return output.answer(&rotated);
            }
            output.line("rotated")?;
            secret(context, &rotated)
        }
        Verb::Receptions(args) => receptions::list(args, context).await,
        Verb::Reception(args) => receptions::show(args, context).await,
        Verb::Presets => {
            let page = context.client()?.get(&["source-presets"], &[]).await?;
            output.page(&page, &PRESET_COLUMNS, "no presets")
        }
    }
}

async fn list(context: &Context, limit: Option<u32>, cursor: Option<String>) -> Result<(), Failure> {
    let query = given([
        ("limit", limit.map(|limit| limit.to_string())),
        ("cursor", cursor),
    ]);
    let (client, output) = (context.client()?, &context.output);
    let page = client.get(&["sources"], &query).await?;
    let rows = page["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    if output.json || rows.is_empty() {
        let nothing = "no sources; `hookway sources create --help` shows how to make one";
        return output.page(&page, &COLUMNS, nothing);
    }
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| readable(row, client.base().as_str()))
        .collect();
    output.rows(&rows, &COLUMNS)?;
    output.more(&page)
}

async fn switch(context: &Context, id: &str, verb: &str) -> Result<(), Failure> {
    let client = context.client()?;
    let path = ["sources", id, verb];
    let switched = client.call(Method::POST, &path, &[], Body::Nothing).await?;
    shown(context, &client, &switched)
}

fn rotation(secret: Option<&str>, overlap: Option<Duration>) -> String {
    let mut body = Map::new();
    body.extend(secret.map(|secret| ("secret".to_owned(), json!(secret))));
    body.extend(overlap.map(|overlap| ("overlap_seconds".to_owned(), json!(overlap.as_secs()))));
    Value::Object(body).to_string()
}

fn shown(context: &Context, client: &Client, source: &Answer) -> Result<(), Failure> {
    let output = &context.output;
    if output.json {
        return output.answer(source);
    }
    output.fields(&readable(source, client.base().as_str()), &FIELDS)
}

/// A refusal with what to type about it: the router knows fields, not flags.
fn advised(failure: Failure) -> Failure {
    let Failure::Problem(mut problem) = failure else {
        return failure;
    };
    if let [only] = problem.errors.as_mut_slice() {
        let advice = match only.pointer.as_str() {
            "/secret" if only.detail.starts_with("must be given") => {
                "Give it with --secret-file FILE (- for standard input) or --secret-env NAME."
            }
            "/name" if only.detail.starts_with("is taken") => "; `hookway sources update` changes that one",
            _ => "",
        };
        if !advice.is_empty() {
            let gap = if advice.starts_with(';') { "" } else { " " };
            only.detail = format!("{}{gap}{advice}", only.detail);
            // It says the same, without the advice.
            problem.detail = None;
        }
    }
    Failure::Problem(problem)
}

/// Shows the secret where the answer has one.
fn secret(context: &Context, answer: &Value) -> Result<(), Failure> {
    let output = &context.output;
    if output.json || !answer["secret"].is_string() {
        return Ok(());
    }
    output.line("")?;
    output.line(&cell(&answer["secret"]))?;
    output.note("Give this secret to the sender now: it is not shown again.");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::base_from;
    use crate::cli::problem::Problem;

    #[test]
    fn a_source_is_shown_with_its_whole_address() {
        let client = Client::new(base_from("https://hooks.example.com/x/").unwrap(), None, None).unwrap();
        let source = json!({"path": "/webhooks/github", "rate_limit": {"requests": 5, "per_seconds": 1, "burst": 5},
            "always_ok": false, "keep_refused": true, "events": {}});
        let shown = readable(&source, client.base().as_str());
        assert_eq!(shown["address"], "https://hooks.example.com/x/webhooks/github");
        assert_eq!(
            (&shown["rate_limit"], &shown["events"]),
            (&json!("5/1"), &Value::Null)
        );
        assert_eq!(
            (&shown["always_ok"], &shown["keep_refused"]),
            (&Value::Null, &json!(true))
        );
        let known = json!({"path": "/webhooks/github", "url": "https://public.example.com/webhooks/github"});
        assert_eq!(
            readable(&known, client.base().as_str())["address"],
            "https://public.example.com/webhooks/github"
        );
        // Meta's handshake: who gave no token would wonder why it is refused.
        let mut asks =
            json!({"handshakes": [{"when": [{"is_verify_token": true}]}], "has_verify_token": false});
        let token = cell(&readable(&asks, client.base().as_str())["verify_token"]);
        assert!(token.starts_with("none"), "{token}");
        asks["has_verify_token"] = json!(true);
        assert_eq!(readable(&asks, client.base().as_str())["verify_token"], "set");
    }

    #[test]
    fn a_refusal_says_which_flag_helps() {
        let refused = |pointer: &str, detail: &str| {
            let body = json!({"title": "The request is not valid", "detail": format!("`{pointer}` {detail}"),
                "errors": [{"pointer": pointer, "detail": detail}]});
            let problem = Problem::from_answer(422, body.to_string().as_bytes());
            advised(Failure::Problem(Box::new(problem))).to_string()
        };
        assert_eq!(
            refused("/secret", "must be given. Shown in the dashboard."),
            "The request is not valid (422)\n  /secret: must be given. Shown in the dashboard. Give it with \
             --secret-file FILE (- for standard input) or --secret-env NAME."
        );
        assert!(refused("/name", "is taken by another source").contains("hookway sources update"));
        assert!(!refused("/preset", "is unknown").contains("--"));
    }

    #[test]
    fn a_rotation_says_only_what_was_given() {
        assert_eq!(rotation(None, None), "{}");
        let both: Value =
            serde_json::from_str(&rotation(Some("s"), Some(Duration::from_secs(3_600)))).unwrap();
        assert_eq!(both, json!({"secret": "s", "overlap_seconds": 3_600}));
    }
}
