//! `hookway tenants`: owners of subscriptions, plugins and keys. Needs the key of the whole router.

use http::Method;
use serde_json::{Value, json};

use super::client::{Answer, Body};
use super::output::Column;
use super::{Context, Failure};

const COLUMNS: [Column; 6] = [
    ("ID", "/id"),
    ("NAME", "/name"),
    ("IN DELIVERIES", "/external_id"),
    ("PROFILE", "/default_profile"),
    ("VALIDATES", "/validate_events"),
    ("CREATED", "/created_at"),
];

/// What a tenant says about itself.
#[derive(Debug, clap::Args)]
pub(super) struct Settings {
    /// What it is called in deliveries, such as the `orgId` of WorkFlows; can be set once
    #[arg(long, value_name = "TEXT")]
    external_id: Option<String>,
    /// The profile of its subscriptions that name none
    #[arg(long, value_name = "PROFILE")]
    default_profile: Option<String>,
    /// Whether payloads of its events must keep to the schemas of their types: off or refuse
    #[arg(long, value_name = "WORD")]
    validate_events: Option<String>,
}

impl Settings {
    fn onto(&self, body: &mut Value) {
        let given = [
            ("external_id", &self.external_id),
            ("default_profile", &self.default_profile),
            ("validate_events", &self.validate_events),
        ];
        for (name, value) in given {
            if let Some(value) = value {
                body[name] = value.as_str().into();
            }
        }
    }
}

/// What to do with tenants.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Make a tenant
    #[command(after_help = "Examples:
  hookway tenants create acme
  hookway tenants create acme --external-id org_abc123 --default-profile workflows")]
    Create {
        /// Its name: lower-case letters, digits and dashes
        name: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Change what a tenant says about itself
    #[command(after_help = "Example:\n  hookway tenants update default --default-profile workflows")]
    Update {
        /// Its name or id
        tenant: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Show one tenant
    #[command(after_help = "Example:\n  hookway tenants show acme")]
    Show {
        /// Its name or id
        tenant: String,
    },
    /// List the tenants
    #[command(after_help = "Example:\n  hookway tenants list")]
    List,
}

/// Does it.
pub(super) async fn run(verb: Verb, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match verb {
        Verb::Create { name, settings } => {
            let mut body = json!({ "name": name });
            settings.onto(&mut body);
            let body = Body::Json(body.to_string());
            show(
                context,
                &client.call(Method::POST, &["tenants"], &[], body).await?,
            )
        }
        Verb::Update { tenant, settings } => {
            let mut body = json!({});
            settings.onto(&mut body);
            if body == json!({}) {
                return Err(Failure::usage(format!(
                    "nothing of {tenant} is to be changed: give --external-id, --default-profile or --validate-events"
                )));
            }
            let body = Body::Json(body.to_string());
            let path = ["tenants", tenant.as_str()];
            show(context, &client.call(Method::PATCH, &path, &[], body).await?)
        }
        Verb::Show { tenant } => show(context, &client.get(&["tenants", &tenant], &[]).await?),
        Verb::List => {
            let page = client.get(&["tenants"], &[]).await?;
            context.output.page(&page, &COLUMNS, "no tenants")
        }
    }
}

fn show(context: &Context, tenant: &Answer) -> Result<(), Failure> {
    if context.output.json {
        context.output.answer(tenant)
    } else {
        context.output.fields(tenant, &COLUMNS)
    }
}
