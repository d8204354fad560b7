//! `hookway event-types`: what is said about types of events, and the catalogues that come with the router.

use http::Method;
use http::header::ACCEPT_LANGUAGE;
use serde_json::{Value, json};

use super::client::{Answer, Body, Client};
use super::output::{Column, cell};
use super::{Context, Failure, input};

const COLUMNS: [Column; 5] = [
    ("TYPE", "/name"),
    ("GROUP", "/group"),
    ("SCHEMA", "/has_schema"),
    ("SAMPLE", "/has_sample"),
    ("DESCRIPTION", "/description"),
];
const FIELDS: [Column; 8] = [
    ("type", "/name"),
    ("group", "/group"),
    ("description", "/description"),
    ("deprecated", "/deprecated"),
    ("fault", "/fault"),
    ("version", "/version"),
    ("created", "/created_at"),
    ("updated", "/updated_at"),
];

/// What to do with event types.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List the event types that are described
    #[command(after_help = "Examples:
  hookway event-types list
  hookway event-types list --group Alerts --language es")]
    List {
        /// Only those of this group
        #[arg(long, value_name = "NAME")]
        group: Option<String>,
        /// The language of the descriptions, as in Accept-Language
        #[arg(long, value_name = "TAG")]
        language: Option<String>,
    },
    /// Show one event type with its schema and its sample
    #[command(after_help = "Example:\n  hookway event-types show alert.created --language es")]
    Show {
        /// The type
        name: String,
        /// The language of the description, as in Accept-Language
        #[arg(long, value_name = "TAG")]
        language: Option<String>,
    },
    /// Describe an event type, whole: what is not given is not kept
    #[command(after_help = "Examples:
  hookway event-types put order.paid --group Orders --description en='An order was paid' \\
      --schema @order.schema.json --sample @order.json
  hookway event-types put order.paid --file order-paid.json")]
    Put(Box<Put>),
    /// Forget what is said about an event type; its events stay
    #[command(after_help = "Example:\n  hookway event-types delete order.paid --yes")]
    Delete {
        /// The type
        name: String,
        /// Yes, forget it
        #[arg(long)]
        yes: bool,
    },
    /// Describe many at once: a built-in catalogue, or a file of your own; all or none
    #[command(after_help = "Examples:
  hookway event-types load --list
  hookway event-types load workflows
  hookway event-types load ./our-types.json     # {\"event_types\": [{\"name\": …, \"descriptions\": …}, …]}")]
    Load {
        /// The name of a catalogue, or a JSON file (with a dot or a slash in its name; - for standard input)
        #[arg(value_name = "NAME or FILE", required_unless_present = "list")]
        what: Option<String>,
        /// List the built-in catalogues
        #[arg(long, conflicts_with = "what")]
        list: bool,
    },
}

/// An event type, as flags.
#[derive(Debug, clap::Args)]
pub(super) struct Put {
    /// The type
    name: String,
    /// A file with the event type as JSON, in place of the other flags (- for standard input)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["group", "descriptions", "schema", "sample", "deprecated"])]
    file: Option<String>,
    /// What it is listed under
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// What it means in one language; may be repeated
    #[arg(long = "description", value_name = "TAG=TEXT")]
    descriptions: Vec<String>,
    /// JSON Schema of the payload: JSON or @FILE
    #[arg(long, value_name = "JSON")]
    schema: Option<String>,
    /// A payload as it may look: JSON or @FILE
    #[arg(long, value_name = "JSON")]
    sample: Option<String>,
    /// New subscriptions should choose another
    #[arg(long)]
    deprecated: bool,
}

impl Put {
    /// The body of the call. Schema and sample keep their bytes.
    fn body(&self) -> Result<String, Failure> {
        if let Some(path) = &self.file {
            return Ok(input::json(path, input::file(path)?)?.get().to_owned());
        }
        let mut members = vec![("name", json!(self.name).to_string())];
        members.extend(
            self.group
                .as_ref()
                .map(|group| ("group", json!(group).to_string())),
        );
        if !self.descriptions.is_empty() {
            let read = |text: &String| match text.split_once('=') {
                Some((tag, text)) => Ok((tag.to_owned(), json!(text))),
                None => Err(Failure::usage(format!(
                    "--description {text}: write it as TAG=TEXT, such as en='An order was paid'"
                ))),
            };
            let texts: Result<serde_json::Map<_, _>, _> = self.descriptions.iter().map(read).collect();
            members.push(("descriptions", Value::Object(texts?).to_string()));
        }
        for (name, given) in [("schema", &self.schema), ("sample", &self.sample)] {
            if let Some(text) = given {
                let raw = input::json(&format!("--{name}"), input::argument(text)?)?;
                members.push((name, raw.get().to_owned()));
            }
        }
        if self.deprecated {
            members.push(("deprecated", "true".to_owned()));
        }
        let members: Vec<String> = members
            .into_iter()
            .map(|(name, raw)| format!("\"{name}\":{raw}"))
            .collect();
        Ok(format!("{{{}}}", members.join(",")))
    }
}

/// Does it.
pub(super) async fn run(verb: Verb, context: &Context) -> Result<(), Failure> {
    let output = &context.output;
    let client = context.client()?;
    match verb {
        Verb::List { group, language } => {
            let query: Vec<_> = group.into_iter().map(|group| ("group", group)).collect();
            let page = read(&client, &["event-types"], &query, language.as_deref()).await?;
            output.page(
                &page,
                &COLUMNS,
                "no event types are described; `hookway event-types load --list` shows the catalogues",
            )
        }
        Verb::Show { name, language } => {
            let known = read(&client, &["event-types", &name], &[], language.as_deref()).await?;
            shown(context, &known)
        }
        Verb::Put(put) => {
            let (path, body) = (["event-types", put.name.as_str()], Body::Json(put.body()?));
            shown(context, &client.call(Method::PUT, &path, &[], body).await?)
        }
        Verb::Delete { name, yes } => {
            if !yes {
                return Err(Failure::usage(format!(
                    "deleting {name} cannot be undone: say --yes"
                )));
            }
            let path = ["event-types", name.as_str()];
            client.call(Method::DELETE, &path, &[], Body::Nothing).await?;
            if output.json {
                output.json(&json!({ "name": name, "deleted": true }))
            } else {
                output.line("deleted")
            }
        }
        Verb::Load { what: None, .. } => catalogues(context, &client).await,
        Verb::Load { what: Some(what), .. } => load(context, &client, &what).await,
    }
}

async fn read(
    client: &Client,
    path: &[&str],
    query: &[(&str, String)],
    language: Option<&str>,
) -> Result<Answer, Failure> {
    let headers: Vec<_> = language
        .map(|language| (ACCEPT_LANGUAGE.as_str(), language))
        .into_iter()
        .collect();
    client
        .call_with(Method::GET, path, query, Body::Nothing, &headers)
        .await
}

fn shown(context: &Context, known: &Answer) -> Result<(), Failure> {
    let output = &context.output;
    if output.json {
        return output.answer(known);
    }
    output.fields(known, &FIELDS)?;
    for part in ["schema", "sample"] {
        if let Some(raw) = known.member(part) {
            output.line(&format!("\n{part}:\n{}", super::indent::indented(raw)))?;
        }
    }
    Ok(())
}

async fn catalogues(context: &Context, client: &Client) -> Result<(), Failure> {
    let page = client.get(&["event-type-catalogues"], &[]).await?;
    if context.output.json {
        return context.output.answer(&page);
    }
    let rows: Vec<Value> = page["data"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|catalogue| {
            let count = catalogue["event_types"].as_array().map_or(0, Vec::len);
            json!({ "name": catalogue["name"], "title": catalogue["title"], "count": count })
        })
        .collect();
    let columns = [("NAME", "/name"), ("PRODUCT", "/title"), ("TYPES", "/count")];
    context.output.rows(&rows, &columns)
}

async fn load(context: &Context, client: &Client, what: &str) -> Result<(), Failure> {
    let output = &context.output;
    // No catalogue has a dot or a slash in its name, and no file of types is without an ending.
    let is_file = what == "-" || what.contains(['.', '/']);
    let body = match is_file {
        true => input::json(what, input::file(what)?)?.get().to_owned(),
        false => json!({ "catalogue": what }).to_string(),
    };
    let path = ["event-types", "load"];
    let loaded = client.call(Method::POST, &path, &[], Body::Json(body)).await?;
    if output.json {
        return output.answer(&loaded);
    }
    for (what, pointer) in [
        ("added", "/added"),
        ("changed", "/changed"),
        ("unchanged", "/unchanged"),
    ] {
        let names = loaded.pointer(pointer).cloned().unwrap_or_default();
        let count = names.as_array().map_or(0, Vec::len);
        if count > 0 {
            output.line(&format!("{count} {what}: {}", cell(&names)))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_a_body_and_json_keeps_its_bytes() {
        let put = Put {
            name: "order.paid".to_owned(),
            file: None,
            group: Some("Orders".to_owned()),
            descriptions: vec!["en=An order was paid = done".to_owned()],
            schema: Some("{ \"type\":\"object\" }".to_owned()),
            sample: Some("{\"n\": 1.0}".to_owned()),
            deprecated: true,
        };
        assert_eq!(
            put.body().unwrap(),
            r#"{"name":"order.paid","group":"Orders","descriptions":{"en":"An order was paid = done"},"#
                .to_owned()
                + r#""schema":{ "type":"object" },"sample":{"n": 1.0},"deprecated":true}"#
        );
        let wrong = Put {
            descriptions: vec!["An order was paid".to_owned()],
            ..put
        };
        assert_eq!(
            format!("{:?}", wrong.body().unwrap_err().exit_code()),
            format!("{:?}", std::process::ExitCode::from(2))
        );
    }
}
