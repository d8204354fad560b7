//! `hookway trigger`: a sample event of a type, to see what becomes of it.
//!
//! The sample is what `--data` gives, else the built-in one of the type, else the one that the router has in
//! the description of the type, else the newest event of the type in the router's history. Without changes it
//! is sent byte for byte; with `--override` or `--remove` the JSON is written anew. With the secret of a
//! source it goes the way of a webhook.

mod edit;
mod reach;
mod samples;
mod shape;
mod webhook;

use std::path::PathBuf;

use http::Method;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::client::{Answer, Body, Client};
use super::output::{Column, Output};
use super::send::{Draft, Wait, accepted, see_through};
use super::sources::secret_from;
use super::{Context, Failure, input};
use edit::Edit;
use samples::SAMPLES;
use shape::Data;
use webhook::Webhook;

/// Most events that one call sends.
const COUNT_MAX: u32 = 1_000;
/// The status of what the router does not have.
const NOT_FOUND: u16 = 404;
const COLUMNS: [Column; 3] = [("TYPE", "/type"), ("SOURCE", "/source"), ("WHAT", "/about")];

/// Flags of `trigger`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookway trigger --list
  hookway trigger order.paid --wait
  hookway trigger alert.created --override severity=low --remove area
  hookway trigger order.paid --override items.0.quantity=3 --override /customer/name='Ada Lovelace'
  hookway trigger user.joined        # a type of `event-types load workflows`: its sample
  hookway trigger my.own.type --data @body.json --count 10
  hookway trigger github.push --source github --secret-file github.secret --wait   # as GitHub would send it

The sample of a type is the built-in one (--list), else that of `hookway event-types show TYPE`, else the newest
event of the type. A value of --override is JSON where it reads as such, and text otherwise.")]
pub(super) struct Args {
    /// The event type, such as order.paid
    #[arg(value_name = "TYPE", required_unless_present = "list")]
    event_type: Option<String>,
    /// List the built-in samples
    #[arg(long, conflicts_with_all = ["event_type", "data", "overrides", "removals", "count", "wait", "source"])]
    list: bool,
    /// Where the event comes from [default: the sample's]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// File that holds the secret of the source NAME: the sample goes to its address, signed as its
    /// service signs
    #[arg(long, value_name = "FILE", requires = "source")]
    secret_file: Option<PathBuf>,
    /// Name of the environment variable that holds the secret of the source
    #[arg(
        long,
        value_name = "NAME",
        requires = "source",
        conflicts_with = "secret_file"
    )]
    secret_env: Option<String>,
    /// The payload in place of a sample: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    /// Set a member: a dotted path or a JSON pointer; may be repeated
    #[arg(long = "override", value_name = "PATH=VALUE", value_parser = Edit::set)]
    overrides: Vec<Edit>,
    /// Remove a member; may be repeated
    #[arg(long = "remove", value_name = "PATH", value_parser = Edit::remove)]
    removals: Vec<Edit>,
    /// How many events
    #[arg(long, default_value_t = 1, value_name = "EVENTS", value_parser = clap::value_parser!(u32).range(1..=i64::from(COUNT_MAX)))]
    count: u32,
    #[command(flatten)]
    wait: Wait,
}

/// What is sent.
#[derive(Debug, Default)]
struct Sample {
    source: Option<String>,
    subject: Option<String>,
    content_type: Option<String>,
    data: Option<Box<RawValue>>,
    data_base64: Option<String>,
}

/// Sends it.
pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let Some(event_type) = &args.event_type else {
        return list(&context.output);
    };
    let client = context.client()?;
    let mut sample = sample(&client, event_type, args.data.as_deref()).await?;
    let edits: Vec<&Edit> = args.overrides.iter().chain(&args.removals).collect();
    if !edits.is_empty() {
        sample.data = Some(edited(sample.data.as_deref(), &edits)?);
    }
    let way = Way::of(&args, &client, event_type, sample).await?;
    let mut failed = Vec::new();
    for _ in 0..args.count {
        let answer = way.send(context, &client, event_type).await?;
        if !args.wait.wait {
            accepted(context, &answer)?;
            continue;
        }
        match see_through(context, &client, &answer, args.wait.timeout).await {
            Ok(()) => {}
            Err(failure @ Failure::Other { .. }) => failed.push(failure),
            Err(failure) => return Err(failure),
        }
    }
    match (failed.len(), failed.pop()) {
        (_, None) => Ok(()),
        (1, Some(only)) => Err(only),
        (bad, Some(last)) => Err(Failure::because(
            format!("{bad} of {} events did not end well; the last", args.count),
            last,
        )),
    }
}

/// How samples get in.
enum Way {
    /// By the API: the body of the call.
    Api(String),
    /// Through a source, as its service would send them.
    Source {
        webhook: Box<Webhook>,
        sample: Sample,
        data: Data,
    },
}

impl Way {
    async fn of(args: &Args, client: &Client, event_type: &str, sample: Sample) -> Result<Self, Failure> {
        let secret = secret_from(args.secret_file.as_deref(), args.secret_env.as_deref())?;
        if let (Some(secret), Some(name)) = (secret, &args.source) {
            let data = match args.data {
                Some(_) => Data::Given,
                None => Data::Sample,
            };
            let webhook = Box::new(Webhook::of(client, name, secret).await?);
            return Ok(Self::Source {
                webhook,
                sample,
                data,
            });
        }
        let draft = Draft {
            event_type,
            id: None,
            source: args.source.as_deref().or(sample.source.as_deref()),
            subject: sample.subject.as_deref(),
            time: None,
            datacontenttype: sample.content_type.as_deref(),
            data: sample.data,
            data_base64: sample.data_base64,
        };
        Ok(Self::Api(draft.text()?))
    }

    async fn send(&self, context: &Context, client: &Client, event_type: &str) -> Result<Answer, Failure> {
        match self {
            Self::Api(body) => {
                let body = Body::Json(body.clone());
                client.call(Method::POST, &["events"], &[], body).await
            }
            Self::Source {
                webhook,
                sample,
                data,
            } => webhook.send(context, client, event_type, sample, *data).await,
        }
    }
}

fn list(output: &Output) -> Result<(), Failure> {
    let rows: Vec<Value> = SAMPLES
        .iter()
        .map(|sample| json!({"type": sample.event_type, "source": sample.source, "about": sample.about}))
        .collect();
    if output.json {
        return output.json(&json!({ "data": rows }));
    }
    output.rows(&rows, &COLUMNS)
}

/// What is sent for a type.
async fn sample(client: &Client, event_type: &str, data: Option<&str>) -> Result<Sample, Failure> {
    if let Some(data) = data {
        return Ok(Sample {
            data: Some(input::json("--data", input::argument(data)?)?),
            ..Sample::default()
        });
    }
    if let Some(known) = samples::of(event_type) {
        return Ok(Sample {
            source: Some(known.source.to_owned()),
            data: Some(input::json("the sample", known.data.trim().as_bytes().to_vec())?),
            ..Sample::default()
        });
    }
    if let Some(sample) = described(client, event_type).await? {
        return Ok(sample);
    }
    match newest(client, event_type).await? {
        Some(sample) => Ok(sample),
        None => {
            let known: Vec<&str> = SAMPLES.iter().map(|sample| sample.event_type).collect();
            Err(Failure::usage(format!(
                "there is no sample of {event_type:?}, neither built in nor with a described event type, and no event \
                 of this type has come yet: give its payload with --data, describe the type with `hookway event-types \
                 put`, or take one of {}",
                known.join(", ")
            )))
        }
    }
}

/// The sample that the router has in the description of a type, byte for byte.
async fn described(client: &Client, event_type: &str) -> Result<Option<Sample>, Failure> {
    let described = match client.get(&["event-types", event_type], &[]).await {
        Ok(described) => described,
        Err(Failure::Problem(problem)) if problem.status == NOT_FOUND => return Ok(None),
        Err(failure) => return Err(failure),
    };
    // A type may be described without a sample.
    let data = described.member("sample").filter(|json| *json != "null");
    let data = data.map(|json| input::json("the sample", json.as_bytes().to_vec()));
    let with = |data| Sample {
        data: Some(data),
        ..Sample::default()
    };
    Ok(data.transpose()?.map(with))
}

/// The newest event of a type in history, without its id and time.
async fn newest(client: &Client, event_type: &str) -> Result<Option<Sample>, Failure> {
    let query = [("type", event_type.to_owned()), ("limit", "1".to_owned())];
    let page = client.get(&["events"], &query).await?;
    let Some(id) = page["data"][0]["id"].as_str() else {
        return Ok(None);
    };
    let event = client.get(&["events", id], &[]).await?;
    let text = |name: &str| event[name].as_str().map(str::to_owned);
    let data = event.member("data");
    let data = data.map(|json| input::json("the payload", json.as_bytes().to_vec()));
    Ok(Some(Sample {
        source: text("source"),
        subject: text("subject"),
        content_type: text("datacontenttype").filter(|media| media != crate::event::JSON),
        data: data.transpose()?,
        data_base64: text("data_base64"),
    }))
}

/// The data with changes.
fn edited(data: Option<&RawValue>, edits: &[&Edit]) -> Result<Box<RawValue>, Failure> {
    let data = data.ok_or_else(|| {
        Failure::usage("the payload is not JSON, so --override and --remove cannot change it")
    })?;
    let mut value: Value = serde_json::from_str(data.get())
        .map_err(|error| Failure::because("the payload cannot be changed", error))?;
    for edit in edits {
        edit.apply(&mut value)
            .map_err(|fault| Failure::usage(format!("{edit}: {fault}")))?;
    }
    serde_json::value::to_raw_value(&value)
        .map_err(|error| Failure::because("the payload cannot be written", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_made_in_the_order_given() {
        let data = input::json("x", b"{\"a\":{\"b\":1},\"l\":[1,2]}".to_vec()).unwrap();
        let edits = [
            Edit::set("a.b=2").unwrap(),
            Edit::set("c=x y").unwrap(),
            Edit::remove("l.0").unwrap(),
        ];
        let edits: Vec<&Edit> = edits.iter().collect();
        let changed = edited(Some(&data), &edits).unwrap();
        assert_eq!(changed.get(), r#"{"a":{"b":2},"c":"x y","l":[2]}"#);
        assert!(edited(None, &edits).is_err());
        let missing = Edit::remove("nothing").unwrap();
        let fault = edited(Some(&data), &[&missing]).unwrap_err();
        assert!(
            matches!(&fault, Failure::Usage(text) if text.contains("--remove nothing")),
            "{fault}"
        );
    }
}
