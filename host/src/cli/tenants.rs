//! `hookway tenants`: owners of subscriptions, plugins and keys. Needs the key of the whole router.

use http::Method;
use serde_json::json;

use super::client::Body;
use super::output::Column;
use super::{Context, Failure};

const COLUMNS: [Column; 3] = [("ID", "/id"), ("NAME", "/name"), ("CREATED", "/created_at")];

/// What to do with tenants.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Make a tenant
    #[command(after_help = "Example:\n  hookway tenants create acme")]
    Create {
        /// Its name: lower-case letters, digits and dashes
        name: String,
    },
    /// List the tenants
    #[command(after_help = "Example:\n  hookway tenants list")]
    List,
}

/// Does it.
pub(super) async fn run(verb: Verb, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match verb {
        Verb::Create { name } => {
            let body = Body::Json(json!({ "name": name }).to_string());
            let tenant = client.call(Method::POST, &["tenants"], &[], body).await?;
            if context.output.json {
                context.output.answer(&tenant)
            } else {
                context.output.fields(&tenant, &COLUMNS)
            }
        }
        Verb::List => {
            let page = client.get(&["tenants"], &[]).await?;
            context.output.page(&page, &COLUMNS, "no tenants")
        }
    }
}
