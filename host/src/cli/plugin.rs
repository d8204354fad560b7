//! `hookway plugin`: upload, look at and try plugins.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::client::Body;
use super::deliveries::{pretty, run_line};
use super::output::{Column, Output, Tone, cell};
use super::{Context, Failure, input};

const COLUMNS: [Column; 5] = [
    ("NAME", "/name"),
    ("VERSION", "/version"),
    ("ORIGIN", "/origin"),
    ("SUMMARY", "/summary"),
    ("DIGEST", "/digest"),
];
const FIELDS: [Column; 9] = [
    ("name", "/name"),
    ("version", "/version"),
    ("summary", "/summary"),
    ("origin", "/origin"),
    ("digest", "/digest"),
    ("event types", "/event_types"),
    ("reaches", "/imports"),
    ("used by", "/used_by"),
    ("held now", "/held"),
];
const VERSION_COLUMNS: [Column; 4] = [
    ("DIGEST", "/digest"),
    ("BYTES", "/size"),
    ("UPLOADED", "/uploaded_at"),
    ("CURRENT", "/current"),
];

/// What to do with plugins.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Upload a component under a name; subscriptions that follow the name use it from then on
    #[command(after_help = "Example:\n  hookway plugin push score target/wasm32-wasip2/release/score.wasm")]
    Push {
        /// The name that subscriptions use
        name: String,
        /// The component (- for standard input)
        file: String,
        /// Upload even where it breaks subscriptions; those are held
        #[arg(long)]
        force: bool,
    },
    /// List the plugins, first-party ones too
    #[command(after_help = "Example:\n  hookway plugin list")]
    List,
    /// Show a plugin: versions, configuration schema
    #[command(after_help = "Example:\n  hookway plugin inspect slack")]
    Inspect {
        /// Its name
        name: String,
    },
    /// Run a plugin on an event without sending anything
    #[command(after_help = "Examples:
  hookway plugin run slack --event event.json
  hookway plugin run jq --type lead.created --data '{\"score\":80}' \\
      --plugin-config '{\"program\":\".score\"}'")]
    Run {
        /// Its name
        name: String,
        /// A file with the event as it would be posted to /events (- for standard input)
        #[arg(long, value_name = "FILE", conflicts_with_all = ["event_type", "data"])]
        event: Option<String>,
        /// The event's type, in place of --event
        #[arg(long = "type", value_name = "TYPE")]
        event_type: Option<String>,
        /// The event's data: JSON, @FILE or -
        #[arg(long, value_name = "JSON")]
        data: Option<String>,
        /// The plugin's configuration: JSON, @FILE or -
        #[arg(long, value_name = "JSON", default_value = "{}")]
        plugin_config: String,
    },
}

/// Does it.
pub(super) async fn run(verb: Verb, context: &Context) -> Result<(), Failure> {
    let output = &context.output;
    match verb {
        Verb::Push { name, file, force } => {
            let component = Bytes::from(input::file(&file)?);
            let query: Vec<_> = force.then(|| ("force", "true".to_owned())).into_iter().collect();
            let client = context.client()?;
            let plugin = client
                .call(
                    Method::PUT,
                    &["plugins", &name],
                    &query,
                    Body::Component(component),
                )
                .await?;
            if output.json {
                output.answer(&plugin)
            } else {
                output.fields(&plugin, &FIELDS)
            }
        }
        Verb::List => {
            let page = context.client()?.get(&["plugins"], &[]).await?;
            output.page(&page, &COLUMNS, "no plugins")
        }
        Verb::Inspect { name } => {
            let plugin = context.client()?.get(&["plugins", &name], &[]).await?;
            if output.json {
                return output.answer(&plugin);
            }
            output.fields(&plugin, &FIELDS)?;
            let versions = plugin["versions"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            if !versions.is_empty() {
                output.line("")?;
                output.rows(versions, &VERSION_COLUMNS)?;
                output.line("")?;
            }
            let schema = &plugin["config_schema"];
            if !schema.is_null() {
                output.line(&output.tone(Tone::Faint, "configuration"))?;
                for line in pretty(&schema.to_string()) {
                    output.line(&format!("  {line}"))?;
                }
            }
            Ok(())
        }
        Verb::Run {
            name,
            event,
            event_type,
            data,
            plugin_config,
        } => {
            let body = run_body(event, event_type, data, &plugin_config)?;
            let client = context.client()?;
            let result = client
                .call(Method::POST, &["plugins", &name, "run"], &[], Body::Json(body))
                .await?;
            if output.json {
                output.answer(&result)
            } else {
                show_run(context, &name, &result)
            }
        }
    }
}

fn run_body(
    event: Option<String>,
    event_type: Option<String>,
    data: Option<String>,
    config: &str,
) -> Result<String, Failure> {
    let event = match (event, event_type) {
        (Some(path), _) => input::json(&path, input::file(&path)?)?.get().to_owned(),
        (None, Some(event_type)) => {
            let data = input::json("--data", input::argument(data.as_deref().unwrap_or("{}"))?)?;
            format!(r#"{{"type":{},"data":{}}}"#, json!(event_type), data.get())
        }
        (None, None) => {
            return Err(Failure::usage(
                "give an event: --event FILE, or --type and --data",
            ));
        }
    };
    let config = input::json("--plugin-config", input::argument(config)?)?;
    // Spliced in byte for byte: the plugin is to see here what it sees when the event is posted.
    Ok(format!(r#"{{"event":{event},"config":{}}}"#, config.get()))
}

fn show_run(context: &Context, name: &str, answer: &Value) -> Result<(), Failure> {
    let output = &context.output;
    // On a delivery a run names its plugin; here the caller did.
    let mut result = answer.clone();
    result["plugin"] = json!(name);
    output.line(&run_line(output, &result))?;
    for log in result["logs"].as_array().map(Vec::as_slice).unwrap_or_default() {
        output.line(&format!(
            "  {}  {}",
            output.tone(Tone::Faint, &cell(&log["level"])),
            cell(&log["message"])
        ))?;
    }
    for request in result["requests"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
    {
        let method = request["method"].as_str().unwrap_or("POST");
        let title = format!("request {method} {}", cell(&request["path"]));
        output.line(&output.tone(Tone::Title, title.trim_end()))?;
        body(output, &request["body"])?;
    }
    for event in result["events"].as_array().map(Vec::as_slice).unwrap_or_default() {
        output.line(&output.tone(Tone::Title, &format!("event {}", cell(&event["type"]))))?;
        body(output, &event["data"])?;
    }
    Ok(())
}

fn body(output: &Output, text: &Value) -> Result<(), Failure> {
    pretty(text.as_str().unwrap_or("(not text)"))
        .iter()
        .try_for_each(|line| output.line(&format!("  {line}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_comes_from_a_file_or_from_flags() {
        let exact = run_body(None, Some("a".into()), Some("{\"n\": 1.50}".into()), "{}").unwrap();
        assert_eq!(exact, r#"{"event":{"type":"a","data":{"n": 1.50}},"config":{}}"#);
        let flags = run_body(None, Some("a.b".into()), Some("{\"x\":1}".into()), "{\"c\":2}").unwrap();
        let flags: Value = serde_json::from_str(&flags).unwrap();
        assert_eq!(
            flags,
            json!({"event": {"type": "a.b", "data": {"x": 1}}, "config": {"c": 2}})
        );
        assert!(matches!(run_body(None, None, None, "{}"), Err(Failure::Usage(_))));
        assert!(matches!(
            run_body(None, Some("a".into()), None, "{"),
            Err(Failure::Usage(_))
        ));
    }
}
