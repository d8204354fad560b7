//! `hookway subscriptions`: the routing table, by hand.

mod test;

use http::Method;
use serde_json::{Map, Value, json};

use super::client::{Answer, Body, Client};
use super::output::{Column, cell};
use super::{Context, Failure, input};

const COLUMNS: [Column; 6] = [
    ("ID", "/id"),
    ("KEY", "/key"),
    ("NAME", "/name"),
    ("STATUS", "/status"),
    ("EVENTS", "/events"),
    ("URL", "/url"),
];
const FIELDS: [Column; 21] = [
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
  hookway subscriptions create --file subscription.json")]
    Create(Box<Fields>),
    /// Change a subscription; what is not given stays
    #[command(after_help = "Example:\n  hookway subscriptions update leads --filter 'data.score > 50'")]
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

/// The fields of a subscription, as flags.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Fields {
    /// A file with the subscription as JSON, in place of the other flags (- for standard input)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "key", "url", "events", "filter", "plugins", "profile", "envelope", "isolation", "headers", "rate_limit", "max_in_flight"])]
    file: Option<String>,
    /// A name for people; needed to make one
    #[arg(long)]
    name: Option<String>,
    /// A unique slug that may stand for the id
    #[arg(long)]
    key: Option<String>,
    /// Where deliveries go; needed to make one (@FILE keeps a URL with a token out of the shell's history)
    #[arg(long)]
    url: Option<String>,
    /// An event type or pattern, such as alert.*; needed to make one, may be repeated
    #[arg(long = "event", value_name = "PATTERN")]
    events: Vec<String>,
    /// A CEL expression over the event
    #[arg(long, value_name = "CEL")]
    filter: Option<String>,
    /// A plugin, with its configuration as JSON or @FILE; up to four, in order
    #[arg(long = "plugin", value_name = "NAME[=JSON]")]
    plugins: Vec<String>,
    /// How deliveries look and behave
    #[arg(long)]
    profile: Option<String>,
    /// Whether the profile's envelope is put around what plugins made: auto (it is not) or profile
    #[arg(long)]
    envelope: Option<String>,
    /// Who shares a plugin's instance: subscription, or event for a fresh one every time
    #[arg(long)]
    isolation: Option<String>,
    /// A header of every delivery; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Deliveries per time, such as 10/1 for ten a second
    #[arg(long, value_name = "REQUESTS/SECONDS")]
    rate_limit: Option<String>,
    /// Deliveries in flight at once
    #[arg(long, value_name = "REQUESTS")]
    max_in_flight: Option<u16>,
}

impl Fields {
    /// The body of the call.
    fn body(&self) -> Result<String, Failure> {
        if let Some(path) = &self.file {
            return Ok(input::json(path, input::file(path)?)?.get().to_owned());
        }
        let mut body = Map::new();
        let texts = [
            ("name", &self.name),
            ("key", &self.key),
            ("filter", &self.filter),
            ("profile", &self.profile),
            ("envelope", &self.envelope),
            ("isolation", &self.isolation),
        ];
        for (name, text) in texts {
            body.extend(text.as_ref().map(|text| (name.to_owned(), json!(text))));
        }
        if let Some(url) = &self.url {
            let url = match url.strip_prefix('@') {
                Some(path) => String::from_utf8_lossy(&input::file(path)?).trim().to_owned(),
                None => url.clone(),
            };
            body.insert("url".to_owned(), json!(url));
        }
        if !self.events.is_empty() {
            body.insert("events".to_owned(), json!(self.events));
        }
        if !self.plugins.is_empty() {
            let plugins: Vec<Value> = self
                .plugins
                .iter()
                .map(|text| plugin_from(text))
                .collect::<Result<_, _>>()?;
            body.insert("plugins".to_owned(), json!(plugins));
        }
        if !self.headers.is_empty() {
            let headers: Map<String, Value> = self
                .headers
                .iter()
                .map(|text| header_from(text))
                .collect::<Result<_, _>>()?;
            body.insert("headers".to_owned(), json!(headers));
        }
        if let Some(text) = &self.rate_limit {
            body.insert("rate_limit".to_owned(), rate_from(text)?);
        }
        if let Some(requests) = self.max_in_flight {
            body.insert("max_in_flight".to_owned(), json!(requests));
        }
        if body.is_empty() {
            return Err(Failure::usage("nothing is given; `--help` shows the flags"));
        }
        Ok(Value::Object(body).to_string())
    }
}

fn plugin_from(text: &str) -> Result<Value, Failure> {
    let (name, config) = text.split_once('=').unwrap_or((text, "{}"));
    let config = input::json(
        &format!("the configuration of --plugin {name}"),
        input::argument(config)?,
    )?;
    Ok(json!({ "name": name, "config": config }))
}

fn header_from(text: &str) -> Result<(String, Value), Failure> {
    match text.split_once(':') {
        Some((name, value)) => Ok((name.trim().to_owned(), json!(value.trim()))),
        // The value may be a credential: it is not repeated.
        None => Err(Failure::usage("--header: write it as NAME: VALUE")),
    }
}

/// Reads `REQUESTS/SECONDS`.
pub(super) fn rate_from(text: &str) -> Result<Value, Failure> {
    let parts = text.split_once('/').and_then(|(requests, seconds)| {
        Some((
            requests.trim().parse::<u32>().ok()?,
            seconds.trim().parse::<u32>().ok()?,
        ))
    });
    let (requests, seconds) = parts.ok_or_else(|| {
        Failure::usage(format!(
            "--rate-limit {text}: write it as REQUESTS/SECONDS, such as 10/1"
        ))
    })?;
    Ok(json!({ "requests": requests, "per_seconds": seconds }))
}

/// Does it.
pub(super) async fn run(verb: Verb, context: &Context) -> Result<(), Failure> {
    let output = &context.output;
    match verb {
        Verb::List { limit, cursor } => {
            let query = [
                ("limit", limit.map(|limit| limit.to_string())),
                ("cursor", cursor),
            ];
            let query: Vec<_> = query
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect();
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

/// A subscription with its plugins and its rate as people write them.
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
    shown
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
    fn flags_become_a_body() {
        let fields = Fields {
            name: Some("n".into()),
            url: Some("https://example.com/x".into()),
            events: vec!["alert.*".into()],
            plugins: vec!["slack".into(), "jq={\"program\": \".data\"}".into()],
            headers: vec!["X-Team: ops".into()],
            rate_limit: Some("10/1".into()),
            ..Fields::default()
        };
        let body: Value = serde_json::from_str(&fields.body().unwrap()).unwrap();
        assert_eq!(
            body,
            json!({
                "name": "n", "url": "https://example.com/x", "events": ["alert.*"],
                "plugins": [{"name": "slack", "config": {}}, {"name": "jq", "config": {"program": ".data"}}],
                "headers": {"X-Team": "ops"}, "rate_limit": {"requests": 10, "per_seconds": 1},
            })
        );
    }

    #[test]
    fn a_subscription_is_shown_as_it_is_written() {
        let shown = readable(&json!({
            "plugins": [{"name": "slack", "digest": null, "config": {}},
                        {"name": "jq", "digest": "0123456789abcdef", "config": {"program": "."}}],
            "rate_limit": {"requests": 10, "per_seconds": 2, "burst": 10},
        }));
        assert_eq!(
            shown["plugins"],
            json!(["slack", "jq@0123456789ab={\"program\":\".\"}"])
        );
        assert_eq!(shown["rate_limit"], "10/2");
        assert_eq!(
            readable(&json!({"plugins": [], "rate_limit": null}))["rate_limit"],
            Value::Null
        );
    }

    #[test]
    fn wrong_flags_are_usage_errors_that_repeat_no_secret() {
        let cases = [
            Fields::default(),
            Fields {
                plugins: vec!["jq={".into()],
                ..Fields::default()
            },
            Fields {
                rate_limit: Some("ten".into()),
                ..Fields::default()
            },
            Fields {
                headers: vec!["Bearer s3cret".into()],
                ..Fields::default()
            },
        ];
        for fields in cases {
            let failure = fields.body().unwrap_err();
            assert!(
                matches!(failure, Failure::Usage(_)) && !failure.to_string().contains("s3cret"),
                "{failure}"
            );
        }
    }
}
