//! `hookway events`: what came in, and why it went where it went.

use super::client::given;
use super::indent::indented;
use super::output::Column;
use super::story::{Depth, Story, Telling};
use super::{Context, Failure, deliveries};
use crate::clock::Clock;

const COLUMNS: [Column; 5] = [
    ("ID", "/id"),
    ("TYPE", "/type"),
    ("SOURCE", "/source"),
    ("RECEIVED", "/received_at"),
    ("MATCHED", "/matched"),
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
        /// Only this type, whole: no pattern
        #[arg(long = "type", value_name = "TYPE")]
        event_type: Option<String>,
        /// Only this source's
        #[arg(long)]
        source: Option<String>,
        /// Only those received at this time or later (RFC 3339)
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Only those received before this time (RFC 3339)
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// How many at the most
        #[arg(long)]
        limit: Option<u32>,
        /// Goes on where the page before ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Tell the whole story of one event: accepted, matched or not and why, delivered or not and why
    #[command(after_help = "Examples:
  hookway events show evt_01j…
  hookway events show evt_01j… --json | jq '.deliveries[].status'
  hookway events show evt_01j… --curl          # the requests, as lines for a shell")]
    Show {
        /// Its id
        id: String,
        /// Whole bodies and all headers
        #[arg(long)]
        full: bool,
        /// Only the lines for a shell that repeat what was sent
        #[arg(long, conflicts_with = "full")]
        curl: bool,
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
            since,
            until,
            limit,
            cursor,
        } => {
            let query = given([
                ("type", event_type),
                ("source", source),
                ("since", since),
                ("until", until),
                ("limit", limit.map(|n| n.to_string())),
                ("cursor", cursor),
            ]);
            output.page(&client.get(&["events"], &query).await?, &COLUMNS, "no events")
        }
        Verb::Show { id, full, curl } => {
            let story = Story::of(&client, &id).await?;
            if curl {
                return deliveries::curl(output, &story.repeats(), &id);
            }
            if output.json {
                return output.line(&indented(&story.document()));
            }
            let telling = Telling {
                output,
                now: Clock::system().now(),
                depth: if full { Depth::Full } else { Depth::Short },
            };
            output.lines(&story.lines(&telling))
        }
        Verb::Why { id } => {
            let page = client.get(&["events", &id, "matches"], &[]).await?;
            output.page(&page, &MATCH_COLUMNS, "there are no subscriptions")
        }
    }
}
