//! `hookway deliveries`: what became of an event for a subscription, and once more by hand.

use clap::ValueEnum;
use data_encoding::BASE64;
use http::Method;
use serde_json::{Value, json};

use super::client::{Body, Client, given};
use super::output::{Column, Output, cell, write_bytes};
use super::story::{Depth, Repeat, Telling, delivery_lines, repeats};
pub(super) use super::story::{pretty, run_line};
use super::{Context, Failure};
use crate::clock::Clock;

const COLUMNS: [Column; 9] = [
    ("ID", "/id"),
    ("STATUS", "/status"),
    ("EVENT", "/event_type"),
    ("SUBSCRIPTION", "/subscription_id"),
    ("ATTEMPTS", "/attempt_count"),
    ("CODE", "/status_code"),
    ("CAUSE", "/cause"),
    ("NEXT", "/next_attempt_at"),
    ("REASON", "/reason"),
];
const CAUSE_COLUMNS: [Column; 7] = [
    ("CAUSE", "/cause"),
    ("CODE", "/code"),
    ("COUNT", "/count"),
    ("FIRST", "/first_at"),
    ("LAST", "/last_at"),
    ("SAMPLE", "/sample_delivery_id"),
    ("REASON", "/sample_reason"),
];
const FIELDS: [Column; 4] = [
    ("event", "/event_id"),
    ("type", "/event_type"),
    ("created", "/created_at"),
    ("attempts", "/attempt_count"),
];

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Status {
    /// Something is still to be done.
    Pending,
    /// Accepted by the endpoint.
    Delivered,
    /// A plugin decided that there is nothing to send.
    Filtered,
    /// A dead letter.
    Failed,
    /// Pending, and its subscription is off.
    Held,
}

/// What to do with deliveries.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List deliveries, newest first
    #[command(after_help = "Examples:
  hookway deliveries list --status failed --cause auth
  hookway deliveries list --type 'alert.*' --code 5xx --since 2026-05-19T00:00:00Z
  hookway deliveries list --subscription slack-alerts --limit 20 --json")]
    List {
        /// Only those that stand so
        #[arg(long, value_enum)]
        status: Option<Status>,
        /// Only this subscription's (id or key)
        #[arg(long)]
        subscription: Option<String>,
        /// Only this event's
        #[arg(long)]
        event: Option<String>,
        #[command(flatten)]
        narrowed: Narrowed,
        /// Only those that failed of this, such as auth, timeout or server
        #[arg(long)]
        cause: Option<String>,
        /// Only those whose last answer had such a status: 404, 4xx, 500-599, or several with commas
        #[arg(long, value_name = "STATUS")]
        code: Option<String>,
        /// How many at the most
        #[arg(long)]
        limit: Option<u32>,
        /// Goes on where the page before ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Group the dead letters by why they failed, the largest group first
    #[command(after_help = "Examples:
  hookway deliveries causes
  hookway deliveries causes --subscription slack-alerts --since 2026-05-19T00:00:00Z")]
    Causes {
        /// Only this subscription's (id or key)
        #[arg(long)]
        subscription: Option<String>,
        #[command(flatten)]
        narrowed: Narrowed,
    },
    /// Show one delivery: plugin runs, requests, attempts, what comes next, and how to repeat it
    #[command(after_help = "Examples:
  hookway deliveries show dlv_01j…
  hookway deliveries show dlv_01j… --curl | sh          # sends the last attempt again, as it was
  hookway deliveries show dlv_01j… --body > body.json   # exactly the bytes that are sent")]
    Show(Shown),
    /// Send the same request again, of one delivery or of several
    #[command(after_help = "Examples:
  hookway deliveries resend dlv_01j…
  hookway deliveries resend dlv_01j… dlv_01k… --json
  hookway recover leads          # everything that failed")]
    Resend {
        /// Their ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
}

/// Which deliveries are meant, by type and time.
#[derive(Debug, clap::Args)]
pub(super) struct Narrowed {
    /// Only those of events of this type, or of a pattern such as alert.*
    #[arg(long = "type", value_name = "PATTERN")]
    event_type: Option<String>,
    /// Only those made at this time or later (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only those made before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// What is shown of a delivery.
#[derive(Debug, clap::Args)]
pub(super) struct Shown {
    /// Its id
    id: String,
    /// Whole bodies and all headers
    #[arg(long)]
    full: bool,
    /// Only the lines for a shell that repeat what was sent
    #[arg(long, conflicts_with_all = ["full", "body"])]
    curl: bool,
    /// Only the body of the request, byte for byte
    #[arg(long, conflicts_with = "full")]
    body: bool,
    /// Which request, where a delivery has several
    #[arg(long, value_name = "REQUEST", requires = "body")]
    request: Option<String>,
}

/// Does it.
pub(super) async fn run(verb: Verb, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let output = &context.output;
    match verb {
        Verb::List {
            status,
            subscription,
            event,
            narrowed,
            cause,
            code,
            limit,
            cursor,
        } => {
            let status = status
                .and_then(|s| s.to_possible_value())
                .map(|value| value.get_name().to_owned());
            let query = [
                ("status", status),
                ("subscription", subscription),
                ("event", event),
                ("type", narrowed.event_type),
                ("since", narrowed.since),
                ("until", narrowed.until),
                ("cause", cause),
                ("code", code),
                ("limit", limit.map(|limit| limit.to_string())),
                ("cursor", cursor),
            ];
            let page = client.get(&["deliveries"], &given(query)).await?;
            output.page(&page, &COLUMNS, "no deliveries")
        }
        Verb::Causes {
            subscription,
            narrowed,
        } => {
            let query = [
                ("subscription", subscription),
                ("type", narrowed.event_type),
                ("since", narrowed.since),
                ("until", narrowed.until),
            ];
            let causes = client.get(&["deliveries", "causes"], &given(query)).await?;
            if causes["truncated"] == true {
                output.note("there are more than these: the oldest dead letters are not counted");
            }
            output.page(&causes, &CAUSE_COLUMNS, "no dead letters")
        }
        Verb::Show(args) => show(args, &client, context).await,
        Verb::Resend { ids } => match ids.as_slice() {
            [id] => resend(id, &client, output).await,
            ids => resend_all(ids, &client, output).await,
        },
    }
}

async fn resend(id: &str, client: &Client, output: &Output) -> Result<(), Failure> {
    let answer = client
        .call(Method::POST, &["deliveries", id, "resend"], &[], Body::Nothing)
        .await?;
    if output.json {
        return if answer.is_null() {
            output.json(&json!({ "id": id }))
        } else {
            output.answer(&answer)
        };
    }
    output.line(&format!(
        "{id} is on its way again; `hookway deliveries show {id}` tells how it goes"
    ))
}

/// Sends several again. It fails where one of them is not sent.
async fn resend_all(ids: &[String], client: &Client, output: &Output) -> Result<(), Failure> {
    let body = Body::Json(json!({ "ids": ids }).to_string());
    let answer = client
        .call(Method::POST, &["deliveries", "resend"], &[], body)
        .await?;
    if output.json {
        output.answer(&answer)?;
    } else {
        let rows = answer["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        output.rows(rows, &[("ID", "/id"), ("RESULT", "/result")])?;
    }
    let sent = answer["sent"].as_u64().unwrap_or_default();
    if sent == ids.len() as u64 {
        return Ok(());
    }
    Err(Failure::other(format!(
        "{sent} of {} are on their way again",
        ids.len()
    )))
}

async fn show(args: Shown, client: &Client, context: &Context) -> Result<(), Failure> {
    let output = &context.output;
    let delivery = client.get(&["deliveries", &args.id], &[]).await?;
    if args.body {
        return write_bytes(&body_of(&delivery, args.request.as_deref())?);
    }
    if args.curl {
        return curl(output, &repeats(&delivery), &args.id);
    }
    if output.json {
        return output.answer(&delivery);
    }
    let to = subscription_name(client, &cell(&delivery["subscription_id"])).await?;
    let telling = Telling {
        output,
        now: Clock::system().now(),
        depth: if args.full { Depth::Full } else { Depth::Short },
    };
    output.fields(&delivery, &FIELDS)?;
    output.line("")?;
    output.lines(&delivery_lines(&telling, &delivery, &to))
}

/// How the subscription of a delivery is called.
async fn subscription_name(client: &Client, id: &str) -> Result<String, Failure> {
    match client.get(&["subscriptions", id], &[]).await {
        Ok(subscription) => Ok(format!("{} ({id})", cell(&subscription["name"]))),
        Err(Failure::Problem(problem)) if problem.status == 404 => Ok(format!("{id}, which was removed")),
        Err(failure) => Err(failure),
    }
}

/// Prints lines for a shell, and says what is missing in them.
pub(super) fn curl(output: &Output, repeats: &[Repeat], id: &str) -> Result<(), Failure> {
    if repeats.is_empty() {
        return Err(Failure::other(format!(
            "nothing of {id} was sent yet, or what was sent is no longer kept"
        )));
    }
    for repeat in repeats {
        if !repeat.unknown.is_empty() {
            output.note(&format!(
                "this key does not see {}: set it, or use a key with the scope manage",
                repeat.unknown.join(", ")
            ));
        }
        output.line(&repeat.line)?;
    }
    Ok(())
}

/// The body of the only request, or of the one that is named.
fn body_of(delivery: &Value, request: Option<&str>) -> Result<Vec<u8>, Failure> {
    let requests = delivery["requests"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let found = match (requests, request) {
        ([], _) => {
            return Err(Failure::other(
                "it has no request: nothing was made for it that could be sent, or it is no longer kept",
            ));
        }
        ([only], None) => Some(only),
        (_, None) => {
            let ids: Vec<String> = requests.iter().map(|request| cell(&request["id"])).collect();
            return Err(Failure::usage(format!(
                "it has several requests: name one with --request: {}",
                ids.join(", ")
            )));
        }
        (_, Some(id)) => requests.iter().find(|request| request["id"] == id),
    };
    let found = found.ok_or_else(|| Failure::usage("it has no such request"))?;
    if let Some(text) = found["body"].as_str() {
        return Ok(text.as_bytes().to_vec());
    }
    let bytes = found["body_base64"].as_str().unwrap_or_default();
    BASE64
        .decode(bytes.as_bytes())
        .map_err(|error| Failure::because("the body in the answer is no base64", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_given_byte_for_byte() {
        let one = json!({"requests": [{"id": "req_1", "body": "{\"a\": 1.0}\n"}]});
        assert_eq!(body_of(&one, None).unwrap(), b"{\"a\": 1.0}\n");
        let two = json!({"requests": [{"id": "req_1", "body": ""}, {"id": "req_2", "body_base64": "AP8="}]});
        assert_eq!(body_of(&two, Some("req_2")).unwrap(), [0, 255]);
        let which = body_of(&two, None).unwrap_err();
        assert!(
            matches!(&which, Failure::Usage(text) if text.contains("req_1, req_2")),
            "{which}"
        );
        assert!(body_of(&two, Some("req_3")).is_err());
        assert!(body_of(&json!({"requests": []}), None).is_err());
    }
}
