//! `hookway tail`: what happens, as it happens, one line each.
//!
//! A stream that breaks is opened again, with growing pauses; only the first opening may fail the
//! command, so that a tail survives a restart of the router.

use std::time::Duration;

use serde_json::Value;

use super::client::Client;
use super::output::{Output, Tone, cell, clean};
use super::sse::{Parser, StreamEvent};
use super::{Context, Failure};

/// First pause before a stream is opened again.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// Flags of `tail`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookway tail
  hookway tail --subscription sub_01j… --json | jq .activity")]
pub(super) struct Args {
    /// Only what concerns this subscription (id or key)
    #[arg(long, value_name = "SUBSCRIPTION")]
    subscription: Option<String>,
    /// Only events of this type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// End after this many lines
    #[arg(long, value_name = "LINES")]
    count: Option<u64>,
}

/// Watches until it is stopped.
pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let query = [("subscription", args.subscription), ("type", args.event_type)];
    let query: Vec<_> = query
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    let mut tail = Tail {
        client,
        query,
        output: context.output,
        left: args.count,
        last_id: None,
    };
    let mut response = tail.open().await?;
    if !context.output.json {
        context.output.note(&format!("watching {}", tail.client.base()));
    }
    let mut pause = PAUSE_MIN;
    loop {
        match tail.follow(response).await? {
            Ended::Enough => return Ok(()),
            Ended::Broken { seen } if seen => pause = PAUSE_MIN,
            Ended::Broken { .. } => {}
        }
        context.output.note("the stream ended; opening it again");
        response = loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
            match tail.open().await {
                Ok(response) => break response,
                // Nobody there, or there but not ready: it may come back.
                Err(Failure::Unreachable { .. }) => {}
                Err(Failure::Problem(problem)) if problem.status >= 500 => {}
                Err(failure) => return Err(failure),
            }
        };
    }
}

struct Tail {
    client: Client,
    query: Vec<(&'static str, String)>,
    output: Output,
    left: Option<u64>,
    last_id: Option<String>,
}

/// Why a stream is no longer followed.
enum Ended {
    /// As many lines as wanted were shown.
    Enough,
    /// It broke, after something had been seen of it or not.
    Broken { seen: bool },
}

impl Tail {
    async fn open(&self) -> Result<reqwest::Response, Failure> {
        self.client
            .stream(&["tail"], &self.query, self.last_id.as_deref())
            .await
    }

    async fn follow(&mut self, mut response: reqwest::Response) -> Result<Ended, Failure> {
        let mut parser = Parser::default();
        let mut seen = false;
        while let Ok(Some(chunk)) = response.chunk().await {
            seen = true;
            let events = parser
                .push(&chunk)
                .map_err(|error| Failure::because("cannot read the stream", error))?;
            self.last_id.clone_from(&parser.last_id);
            for event in events {
                self.show(&event)?;
                if let Some(left) = &mut self.left {
                    *left = left.saturating_sub(1);
                    if *left == 0 {
                        return Ok(Ended::Enough);
                    }
                }
            }
        }
        Ok(Ended::Broken { seen })
    }

    fn show(&self, event: &StreamEvent) -> Result<(), Failure> {
        if self.output.json {
            return self.output.line(&event.data);
        }
        let activity: Value =
            serde_json::from_str(&event.data).unwrap_or_else(|_| Value::String(event.data.clone()));
        self.output.line(&line(&self.output, &activity))
    }
}

/// One activity as a line.
fn line(output: &Output, activity: &Value) -> String {
    let at = |name: &str| cell(&activity[name]);
    let time = at("time");
    // The date is known to who is watching; the time of day is enough.
    let time = time.split_once('T').map_or(time.as_str(), |(_, time)| time);
    let time = output.tone(Tone::Faint, time);
    match activity["activity"].as_str().unwrap_or_default() {
        "accepted" => format!(
            "{time}  event      {}  {}  matched {}",
            at("event_id"),
            at("event_type"),
            at("matched")
        ),
        "attempted" => {
            let status = at("status_code");
            let (tone, result) = match status.as_str() {
                "" => (Tone::Bad, at("error")),
                code if code.starts_with('2') => (Tone::Good, status.clone()),
                _ => (Tone::Odd, status.clone()),
            };
            let next = at("next_attempt_at");
            let next = if next.is_empty() {
                String::new()
            } else {
                format!("  next {next}")
            };
            format!(
                "{time}  attempt    {}  {}  #{}  {}  {} ms{next}",
                at("delivery_id"),
                at("subscription_id"),
                at("number"),
                output.tone(tone, &result),
                at("duration_ms"),
            )
        }
        "ended" => {
            let status = at("status");
            let status = output.tone(Tone::of_status(&status), &format!("{status:9}"));
            let (delivery, subscription) = (at("delivery_id"), at("subscription_id"));
            format!("{time}  {status}  {delivery}  {subscription}  {}", at("reason"))
                .trim_end()
                .to_owned()
        }
        "stopped" => {
            let stopped = output.tone(Tone::Bad, "stopped  ");
            format!("{time}  {stopped}  {}  {}", at("subscription_id"), at("reason"))
        }
        _ => clean(&activity.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::cli::ColourWhen;

    #[test]
    fn every_activity_is_a_line() {
        let output = Output::new(false, ColourWhen::Never, true);
        let time = "2026-05-19T16:30:00.000Z";
        let cases = [
            (
                json!({"time": time, "activity": "accepted", "event_id": "evt_1", "event_type": "a.b", "matched": 2}),
                "16:30:00.000Z  event      evt_1  a.b  matched 2",
            ),
            (
                json!({"time": time, "activity": "attempted", "delivery_id": "dlv_1",
                       "subscription_id": "sub_1", "number": 1,
                       "status_code": 503, "error": null, "duration_ms": 4, "next_attempt_at": "T"}),
                "16:30:00.000Z  attempt    dlv_1  sub_1  #1  503  4 ms  next T",
            ),
            (
                json!({"time": time, "activity": "ended", "delivery_id": "dlv_1", "subscription_id": "sub_1",
                       "status": "delivered", "reason": null}),
                "16:30:00.000Z  delivered  dlv_1  sub_1",
            ),
            (
                json!({"time": time, "activity": "stopped", "subscription_id": "sub_1", "reason": "410\u{7}"}),
                "16:30:00.000Z  stopped    sub_1  410\\u{7}",
            ),
            (json!({"missed": 3}), "{\"missed\":3}"),
        ];
        for (activity, expected) in cases {
            assert_eq!(line(&output, &activity), expected);
        }
    }

    /// Answers one request with these bytes, closes, and gives the head of the request.
    async fn answer_once(listener: &TcpListener, answer: &str) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(head).unwrap()
    }

    #[tokio::test]
    async fn a_broken_stream_is_opened_again_where_it_broke() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let global = crate::cli::Global {
            server: Some(format!("http://{}", listener.local_addr().unwrap())),
            ..crate::cli::Global::default()
        };
        let environment = crate::config::environment::Environment {
            key: Some(crate::secret::Secret::new("hw_k")),
            ..Default::default()
        };
        let output = Output::new(true, ColourWhen::Never, true);
        let context = Context {
            global,
            environment,
            output,
        };
        let args = Args {
            subscription: Some("a b".into()),
            event_type: None,
            count: Some(2),
        };
        let stream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
        let router = async {
            let first = answer_once(&listener, &format!("{stream}id: 7\ndata: {{}}\n\ndata: cut")).await;
            // A router that is still starting is no reason to give up.
            answer_once(
                &listener,
                "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            )
            .await;
            let last = answer_once(&listener, &format!("{stream}data: {{}}\n\n")).await;
            (first, last)
        };
        let (ended, (first, last)) = tokio::join!(run(args, &context), router);
        ended.unwrap();
        assert!(
            first.starts_with("GET /api/v1/tail?subscription=a+b HTTP/1.1\r\n"),
            "{first}"
        );
        assert!(
            first.contains("authorization: Bearer hw_k\r\n") && !first.contains("last-event-id"),
            "{first}"
        );
        assert!(last.contains("last-event-id: 7\r\n"), "{last}");
    }
}
