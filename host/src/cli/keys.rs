//! `hookway keys`: API keys. A key is shown once, when it is made.

use clap::ValueEnum;
use http::Method;
use serde_json::{Value, json};

use super::client::Body;
use super::output::{Column, cell};
use super::{Context, Failure};

const COLUMNS: [Column; 6] = [
    ("ID", "/id"),
    ("NAME", "/name"),
    ("TENANT", "/tenant"),
    ("SCOPES", "/scopes"),
    ("CREATED", "/created_at"),
    ("REVOKED", "/revoked_at"),
];

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Scope {
    /// Bring events in.
    Ingest,
    /// Read /metrics, and nothing else.
    Metrics,
    /// See everything but secrets.
    Read,
    /// See and change subscriptions and plugins, resend.
    Manage,
    /// Everything.
    Admin,
}

/// What to do with keys.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Make a key; it is shown once
    #[command(after_help = "Examples:
  hookway keys create --name shop --scope ingest
  hookway keys create --name prometheus --scope metrics
  hookway keys create --name ci --scope read --scope manage --json | jq -r .key")]
    Create {
        /// A name, to know it by
        #[arg(long)]
        name: String,
        /// What it may do; may be repeated
        #[arg(long = "scope", value_enum, required = true)]
        scopes: Vec<Scope>,
        /// For the whole router: it acts for any tenant
        #[arg(long)]
        router: bool,
    },
    /// List the keys
    #[command(after_help = "Example:\n  hookway keys list")]
    List {
        /// Those of every tenant and of the router too
        #[arg(long)]
        all: bool,
    },
    /// Revoke a key, for ever
    #[command(after_help = "Example:\n  hookway keys revoke key_01j…")]
    Revoke {
        /// Its id
        id: String,
    },
    /// Seal the secrets in the database anew under another key; the router must be stopped
    #[command(after_help = "Example:
  hookway keys rotate-encryption --data-dir /var/lib/hookway

secrets.key is another one then: make a backup with it. Older backups keep the older key.")]
    RotateEncryption,
}

/// Does it.
pub(super) async fn run(verb: Verb, context: &Context) -> Result<(), Failure> {
    if let Verb::RotateEncryption = verb {
        return rotate_encryption(context).await;
    }
    let client = context.client()?;
    let output = &context.output;
    match verb {
        Verb::RotateEncryption => Ok(()),
        Verb::Create { name, scopes, router } => {
            let scopes: Vec<_> = scopes.iter().filter_map(ValueEnum::to_possible_value).collect();
            let scopes: Vec<&str> = scopes.iter().map(|scope| scope.get_name()).collect();
            let body = Body::Json(json!({ "name": name, "scopes": scopes, "router": router }).to_string());
            let key = client.call(Method::POST, &["keys"], &[], body).await?;
            if output.json {
                output.answer(&key)
            } else {
                created(context, &key)
            }
        }
        Verb::List { all } => {
            let query: Vec<_> = all.then(|| ("all", "true".to_owned())).into_iter().collect();
            output.page(&client.get(&["keys"], &query).await?, &COLUMNS, "no keys")
        }
        Verb::Revoke { id } => {
            client
                .call(Method::DELETE, &["keys", &id], &[], Body::Nothing)
                .await?;
            if output.json {
                output.json(&json!({ "id": id, "revoked": true }))
            } else {
                output.line("revoked")
            }
        }
    }
}

/// Works on the data directory itself: a router that serves could not change its key under what it does.
async fn rotate_encryption(context: &Context) -> Result<(), Failure> {
    let config = context.load(Vec::new())?.config;
    let dir = config.data_dir.clone();
    let sealed = tokio::task::spawn_blocking(move || crate::router::reseal(&config)).await;
    let count = sealed
        .map_err(|error| Failure::because("it was cut off", error))?
        .map_err(|error| Failure::because("nothing was changed", error))?;
    let output = &context.output;
    if output.json {
        return output.json(&json!({ "data_dir": dir, "sealed": count }));
    }
    output.line(&format!("{count} secrets are sealed under another key"))?;
    output.note("secrets.key is a new one: make a backup now. Older backups open with the older key only.");
    Ok(())
}

fn created(context: &Context, key: &Value) -> Result<(), Failure> {
    let output = &context.output;
    output.fields(key, &COLUMNS)?;
    output.line("")?;
    output.line(&cell(&key["key"]))?;
    output.note("Keep it now: it is not stored and cannot be shown again.");
    Ok(())
}
