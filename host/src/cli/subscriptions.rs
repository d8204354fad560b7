//! `hookway subscriptions`: the routing table, by hand.

mod fields;
mod secret;
mod test;

use http::Method;
use serde_json::{Value, json};

use super::client::{Answer, Body, Client, given};
use super::output::{Column, cell};
use super::{Context, Failure};

use self::fields::Fields;
pub(super) use self::fields::rate_from;
use self::secret::SecretFlags;

const COLUMNS: [Column; 6] = [
    ("ID", "/id"),
    ("KEY", "/key"),
    ("NAME", "/name"),
    ("STATUS", "/status"),
    ("EVENTS", "/events"),
    ("URL", "/url"),
];
const FIELDS: [Column; 23] = [
    ("id", "/id"),
    ("key", "/key"),
    ("name", "/name"),
    ("status", "/status"),
    ("because", "/status_reason"),
    ("tries again", "/probe_at"),
    ("events", "/events"),
    ("filter", "/filter"),
    ("plugins", "/plugins"),
    ("url", "/url"),
    ("profile", "/profile"),
    ("own retries", "/retry"),
    ("own time-out", "/timeout_seconds"),
    ("envelope", "/envelope"),
    ("isolation", "/isolation"),
    ("rate limit", "/rate_limit"),
    ("max in flight", "/max_in_flight"),
    ("created", "/created_at"),
    ("updated", "/updated_at"),
    ("delivered", "/deliveries/delivered"),
    ("filtered", "/deliveries/filtered"),
    ("failed", "/deliveries/failed"),
    ("pending", "/deliveries/pending"),
];

const STATS: [Column; 10] = [
    ("LAST", "/last"),
    ("ATTEMPTS", "/attempts"),
    ("DELIVERED", "/delivered"),
    ("RETRIED", "/retried"),
    ("FAILED", "/failed"),
    ("SUCCESS", "/success"),
    ("P50", "/response_ms/p50"),
    ("P95", "/response_ms/p95"),
    ("P99", "/response_ms/p99"),
    ("MAX (MS)", "/response_ms/max"),
];

/// Characters of a pinned digest that are shown; as many as where a run is.
const PIN_CHARACTERS: usize = 12;

/// What to do with subscriptions.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List the subscriptions
    #[command(after_help = "Example:\n  hookway subscriptions list")]
    List {
        /// How many at the most
        #[arg(long)]
        limit: Option<u32>,
        /// Goes on where the page before ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Show one subscription
    #[command(after_help = "Example:\n  hookway subscriptions show slack-alerts")]
    Show {
        /// Its id or key
        id: String,
    },
    /// Make a subscription; its signing secret is shown once
    #[command(after_help = "Examples:
  hookway subscriptions create --name 'Alerts to Slack' --event 'alert.*' --plugin slack \\
      --url https://hooks.slack.com/services/T0/B0/x
  hookway subscriptions create --name Leads --key leads --url https://n8n.example.com/webhook/1 \\
      --event lead.created --plugin 'jq={\"program\":\"{mail: .email}\"}'
  hookway subscriptions create --name Alerts --event 'alert.*' --profile workflows \\
      --secret-env WEBHOOK_SECRET --url https://example.com/hook
  hookway subscriptions create --file subscription.json")]
    Create(Box<NewFields>),
    /// Change a subscription; what is not given stays
    #[command(after_help = "Examples:
  hookway subscriptions update leads --filter 'data.score > 50'
  hookway subscriptions update leads --retry-waits 30s,5m --retry-jitter 0 --timeout-seconds 5
  hookway subscriptions update leads --retry-waits profile --timeout-seconds profile")]
    Update {
        /// Its id or key
        id: String,
        #[command(flatten)]
        fields: Box<Fields>,
    },
    /// Delete a subscription; what it still has to deliver fails
    #[command(after_help = "Example:\n  hookway subscriptions delete leads --yes")]
    Delete {
        /// Its id or key
        id: String,
        /// Yes, delete it
        #[arg(long)]
        yes: bool,
    },
    /// Let its deliveries go out
    #[command(after_help = "Example:\n  hookway subscriptions enable leads")]
    Enable {
        /// Its id or key
        id: String,
    },
    /// Hold its deliveries back
    #[command(after_help = "Example:\n  hookway subscriptions disable leads")]
    Disable {
        /// Its id or key
        id: String,
    },
    /// Show its success rate and response times of the last hour and day
    #[command(after_help = "Example:\n  hookway subscriptions stats leads")]
    Stats {
        /// Its id or key
        id: String,
    },
    /// Send it a test event, and say what is probably wrong where it is not taken
    #[command(after_help = "Examples:
  hookway subscriptions test leads
  hookway subscriptions test leads --type lead.created --data @lead.json
  hookway subscriptions test --url https://example.com/hook --profile workflows \\
      --secret-file secret.txt --type alert.created    # nothing is stored")]
    Test(Box<test::Args>),
    /// Give it a new signing secret, shown once; the old one signs too for a while
    #[command(after_help = "Example:\n  hookway subscriptions rotate-secret leads")]
    RotateSecret {
        /// Its id or key
        id: String,
    },
}

/// The fields of a new subscription. The secret of one that is there is changed by `rotate-secret`.
#[derive(Debug, clap::Args)]
pub(super) struct NewFields {
    #[command(flatten)]
    fields: Fields,
    #[command(flatten)]
    secret: SecretFlags,
}

impl NewFields {
    fn body(&self) -> Result<String, Failure> {
        let secret = Value::Object(self.secret.members()?).to_string();
        test::joined([self.fields.body()?.as_str(), &secret].into_iter())
    }
}

/// Does it.
pub(super) async fn run(verb: Verb, context: &Context) -> Result<(), Failure> {
    let output = &context.output;
    match verb {
        Verb::List { limit, cursor } => {
            let query = given([
                ("limit", limit.map(|limit| limit.to_string())),
                ("cursor", cursor),
            ]);
            let page = context.client()?.get(&["subscriptions"], &query).await?;
            output.page(
                &page,
                &COLUMNS,
                "no subscriptions; `hookway subscriptions create --help` shows how to make one",
            )
        }
        Verb::Show { id } => shown(
            context,
            &context.client()?.get(&["subscriptions", &id], &[]).await?,
        ),
        Verb::Create(fields) => {
            let body = Body::Json(fields.body()?);
            let made = context
                .client()?
                .call(Method::POST, &["subscriptions"], &[], body)
                .await?;
            shown(context, &made)?;
            if !output.json {
                output.line("")?;
            }
            secret(context, &made)
        }
        Verb::Update { id, fields } => {
            let body = Body::Json(fields.body()?);
            shown(
                context,
                &context
                    .client()?
                    .call(Method::PATCH, &["subscriptions", &id], &[], body)
                    .await?,
            )
        }
        Verb::Delete { id, yes } => {
            if !yes {
                return Err(Failure::usage(format!(
                    "deleting {id} cannot be undone: say --yes"
                )));
            }
            context
                .client()?
                .call(Method::DELETE, &["subscriptions", &id], &[], Body::Nothing)
                .await?;
            if output.json {
                output.json(&json!({ "id": id, "deleted": true }))
            } else {
                output.line("deleted")
            }
        }
        Verb::Enable { id } => shown(context, &post(&context.client()?, &id, "enable").await?),
        Verb::Disable { id } => shown(context, &post(&context.client()?, &id, "disable").await?),
        Verb::Stats { id } => {
            let stats = context
                .client()?
                .get(&["subscriptions", &id, "stats"], &[])
                .await?;
            if output.json {
                return output.answer(&stats);
            }
            output.rows(
                &[
                    window(&stats, "hour", "last_hour"),
                    window(&stats, "24 hours", "last_day"),
                ],
                &STATS,
            )?;
            output.note(&format!("counted since {}", cell(&stats["since"])));
            Ok(())
        }
        Verb::Test(args) => test::run(&args, context).await,
        Verb::RotateSecret { id } => {
            let rotated = post(&context.client()?, &id, "rotate-secret").await?;
            if output.json {
                output.answer(&rotated)
            } else {
                secret(context, &rotated)
            }
        }
    }
}

/// A stretch of time as a row of the table.
fn window(stats: &Value, name: &str, field: &str) -> Value {
    let mut row = stats[field].clone();
    if row.is_object() {
        row["last"] = json!(name);
        let rate = row["success_rate"].as_f64();
        row["success"] = rate.map_or(Value::Null, |rate| json!(format!("{:.1} %", rate * 100.0)));
    }
    row
}

async fn post(client: &Client, id: &str, verb: &str) -> Result<Answer, Failure> {
    client
        .call(Method::POST, &["subscriptions", id, verb], &[], Body::Nothing)
        .await
}

fn shown(context: &Context, subscription: &Answer) -> Result<(), Failure> {
    let output = &context.output;
    if output.json {
        return output.answer(subscription);
    }
    output.fields(&readable(subscription), &FIELDS)
}

/// A subscription with its plugins, its rate and its retries as people write them.
fn readable(subscription: &Value) -> Value {
    let mut shown = subscription.clone();
    let steps = subscription["plugins"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    shown["plugins"] = steps.iter().map(plugin_text).collect();
    let rate = &subscription["rate_limit"];
    if rate.is_object() {
        shown["rate_limit"] = json!(format!("{}/{}", rate["requests"], rate["per_seconds"]));
    }
    if let Some(waits) = subscription["retry"]["waits"].as_array() {
        shown["retry"] = json!(retry_text(waits, &subscription["retry"]["jitter"]));
    }
    if let Some(seconds) = subscription["timeout_seconds"].as_u64() {
        shown["timeout_seconds"] = json!(format!("{seconds} s"));
    }
    shown
}

/// Waits and jitter in a line.
fn retry_text(waits: &[Value], jitter: &Value) -> String {
    if waits.is_empty() {
        return "none: one attempt".to_owned();
    }
    let waits: Vec<String> = waits.iter().map(cell).collect();
    format!("after {}; jitter {jitter}", waits.join(", "))
}

/// A plugin as it is given to `--plugin`; a pinned one with the start of its digest.
fn plugin_text(step: &Value) -> String {
    let config = &step["config"];
    let config = match config.as_object() {
        Some(members) if members.is_empty() => String::new(),
        _ => format!("={config}"),
    };
    let pin = step["digest"].as_str().unwrap_or_default();
    let pin: String = pin.chars().take(PIN_CHARACTERS).collect();
    let at = if pin.is_empty() { "" } else { "@" };
    format!("{}{at}{pin}{config}", cell(&step["name"]))
}

/// Shows the signing secret where the answer has one.
fn secret(context: &Context, answer: &Value) -> Result<(), Failure> {
    let output = &context.output;
    if output.json || !answer["secret"].is_string() {
        return Ok(());
    }
    output.line(&cell(&answer["secret"]))?;
    output.note("Keep this signing secret now: it is not shown again.");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_subscription_may_have_a_secret_or_none() {
        let body = |unsigned| {
            let made = NewFields {
                fields: Fields {
                    name: Some("n".to_owned()),
                    ..Fields::default()
                },
                secret: SecretFlags {
                    unsigned,
                    ..SecretFlags::default()
                },
            };
            made.body().unwrap()
        };
        assert_eq!(body(false), r#"{"name":"n"}"#);
        assert_eq!(body(true), r#"{"name":"n","secret":null}"#);
    }

    #[test]
    fn a_subscription_is_shown_as_it_is_written() {
        let shown = readable(&json!({
            "plugins": [{"name": "slack", "digest": null, "config": {}},
                        {"name": "jq", "digest": "0123456789abcdef", "config": {"program": "."}}],
            "rate_limit": {"requests": 10, "per_seconds": 2, "burst": 10},
            "retry": {"waits": ["30s", "5m"], "jitter": 0.0, "throttles_max": 20}, "timeout_seconds": 5,
        }));
        assert_eq!(
            shown["plugins"],
            json!(["slack", "jq@0123456789ab={\"program\":\".\"}"])
        );
        assert_eq!(shown["rate_limit"], "10/2");
        assert_eq!(shown["retry"], "after 30s, 5m; jitter 0.0");
        assert_eq!(shown["timeout_seconds"], "5 s");
        let once = readable(&json!({"retry": {"waits": [], "jitter": 0.2}}));
        assert_eq!(once["retry"], "none: one attempt");
        let nothing = json!({"plugins": [], "rate_limit": null, "retry": null, "timeout_seconds": null});
        assert_eq!(readable(&nothing), nothing);
    }
}
