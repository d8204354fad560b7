//! `hookway events`: what came in, and why it went where it went.

use super::deliveries::pretty;
use super::output::{Column, Tone};
use super::{Context, Failure};

const COLUMNS: [Column; 5] = [
    ("ID", "/id"),
    ("TYPE", "/type"),
    ("SOURCE", "/source"),
    ("RECEIVED", "/received_at"),
    ("MATCHED", "/matched"),
];
const FIELDS: [Column; 9] = [
    ("id", "/id"),
    ("type", "/type"),
    ("source", "/source"),
    ("producer id", "/producer_id"),
    ("subject", "/subject"),
    ("time", "/time"),
    ("received", "/received_at"),
    ("content type", "/datacontenttype"),
    ("matched", "/matched"),
];
const MATCH_COLUMNS: [Column; 4] = [
    ("SUBSCRIPTION", "/subscription_id"),
    ("NAME", "/name"),
    ("MATCHED", "/matched"),
    ("WHY", "/reason"),
];

/// What to do with events.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List events, newest first
    #[command(after_help = "Example:\n  hookway events list --type alert.created --limit 20")]
    List {
        /// Only this type
        #[arg(long = "type", value_name = "TYPE")]
        event_type: Option<String>,
        /// Only this source's
        #[arg(long)]
        source: Option<String>,
        /// How many at the most
        #[arg(long)]
        limit: Option<u32>,
        /// Goes on where the page before ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Show one event
    #[command(after_help = "Example:\n  hookway events show evt_01j…")]
    Show {
        /// Its id
        id: String,
    },
    /// Say for each subscription why the event matches it, or why not
    #[command(
        after_help = "Example:\n  hookway events why evt_01j…",
        visible_alias = "matches"
    )]
    Why {
        /// Its id
        id: String,
    },
}

/// Does it.
pub(super) async fn run(verb: Verb, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let output = &context.output;
    match verb {
        Verb::List {
            event_type,
            source,
            limit,
            cursor,
        } => {
            let query = [
                ("type", event_type),
                ("source", source),
                ("limit", limit.map(|n| n.to_string())),
                ("cursor", cursor),
            ];
            let query: Vec<_> = query
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect();
            output.page(&client.get(&["events"], &query).await?, &COLUMNS, "no events")
        }
        Verb::Show { id } => {
            let event = client.get(&["events", &id], &[]).await?;
            if output.json {
                return output.answer(&event);
            }
            output.fields(&event, &FIELDS)?;
            if let Some(data) = event.member("data").or_else(|| event.member("data_base64")) {
                output.line(&output.tone(Tone::Faint, "data"))?;
                for line in pretty(data) {
                    output.line(&line)?;
                }
            }
            Ok(())
        }
        Verb::Why { id } => {
            let page = client.get(&["events", &id, "matches"], &[]).await?;
            output.page(&page, &MATCH_COLUMNS, "there are no subscriptions")
        }
    }
}
