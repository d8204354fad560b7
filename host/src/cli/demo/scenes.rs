//! The scenes of the demonstration: what is sent, what is waited for, what is shown.
//!
//! Every scene sends an event by the API, waits for what the receiver gets and for the delivery to stand
//! where it should, and fails if it does not: the demonstration is a test that people can watch.

use std::path::Path;
use std::time::Duration;

use futures_util::future::try_join_all;
use http::Method;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::endpoint::FLAKY_PATH;
use super::show::Show;
use crate::cli::client::{Answer, Body, Client};
use crate::cli::failure::Failure;
use crate::cli::output::cell;
use crate::cli::receiver::{Received, Receiver};
use crate::cli::signature::{Age, check, keyring_of};
use crate::clock::Clock;
use crate::secret::Secret;
use crate::time::Timestamp;

/// A push as GitHub sends it.
const GITHUB_PUSH: &str = include_str!("../samples/github.push.json");
/// The alert of the WorkFlows documentation.
const WORKFLOWS_ALERT: &str = include_str!("../samples/alert.created.json");
/// An order, for the endpoint that fails at first.
const ORDER: &str = r#"{"order":"ord_17","total":"129.90","currency":"EUR"}"#;
/// What the jq plugin makes of an alert.
const JQ_PROGRAM: &str = r#"select(.severity == "critical") | {summary: .title, area, since: .createdAt}"#;
/// Longest wait for something that the router is to do.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks at a delivery.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Of a small event, all is shown.
const EVERY_LINE: usize = usize::MAX;
/// The plugins that the demonstration needs.
const PLUGINS: [&str; 2] = ["slack", "jq"];

/// What is said at the end.
const AFTER_THE_END: &str = r#"How to go on:

  {hookway} demo --keep                   # the same, left running to play with
  {hookway} serve                         # a router of your own, in ./hookway-data
  {hookway} subscriptions create --help   # where your events should go
  {hookway} listen                        # an endpoint on this machine that shows what arrives
  {hookway} trigger alert.created --wait  # a sample event, followed to its end
  {hookway} tail                          # what happens, as it happens
"#;
/// What is said where it is left running.
const KEPT: &str = r#"Router and receiver keep running until Ctrl-C. In another terminal:

  export HOOKWAY_URL={url}
  export HOOKWAY_KEY="$(cat {key})"
  {hookway} tail
  {hookway} trigger alert.created --wait
  {hookway} send alert.created --data '{"title":"Disk full","severity":"critical"}'
  {hookway} deliveries list
  curl {url}api/v1/events -H "Authorization: Bearer $HOOKWAY_KEY" \
    -H 'Content-Type: application/json' -d '{"type":"push","data":{"ref":"refs/heads/main"}}'
"#;

/// How the demonstration ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending<'a> {
    /// Everything goes.
    Over,
    /// Router and receiver go on.
    Kept {
        /// Where the admin key is.
        key: &'a Path,
    },
}

/// The demonstration: who takes part.
pub(super) struct Demo {
    /// The terminal.
    pub show: Show,
    /// The way to the router.
    pub client: Client,
    /// Tells the time.
    pub clock: Clock,
    /// The endpoint.
    pub receiver: Receiver,
}

/// A subscription of the demonstration.
struct Subscription {
    id: String,
    path: &'static str,
    secret: Secret,
}

/// What was sent in.
struct Sent {
    id: String,
    at: Timestamp,
}

impl Demo {
    /// Plays all scenes.
    pub(super) async fn play(&mut self) -> Result<(), Failure> {
        self.show.0.line(&format!(
            "A router on {} with an empty database, and a receiver on http://{}.",
            self.client.base().as_str().trim_end_matches('/'),
            self.receiver.address,
        ))?;
        self.require_plugins().await?;
        let [slack, alerts, orders] = self.subscribe().await?;
        self.push_to_slack(&slack).await?;
        self.alert_to_slack_and_jq(&slack, &alerts).await?;
        self.order_to_an_endpoint_that_fails(&orders).await
    }

    /// Asks for the plugins, both at once, since the first question has them compiled.
    async fn require_plugins(&self) -> Result<(), Failure> {
        let asked = PLUGINS.map(|name| self.missing_plugin(name));
        let missing: Vec<&str> = try_join_all(asked).await?.into_iter().flatten().collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Failure::other(format!(
            "this binary was built without first-party plugins ({} missing): run `cargo xtask demo`, or \
             `cargo xtask plugins` and build again",
            missing.join(" and ")
        )))
    }

    /// The name of the plugin, if it is missing.
    async fn missing_plugin(&self, name: &'static str) -> Result<Option<&'static str>, Failure> {
        match self.client.get(&["plugins", name], &[]).await {
            Ok(_) => Ok(None),
            Err(Failure::Problem(problem)) if problem.status == 404 => Ok(Some(name)),
            Err(failure) => Err(failure),
        }
    }

    /// Creates the subscriptions, all at once: each has its plugin compiled and its configuration checked.
    async fn subscribe(&self) -> Result<[Subscription; 3], Failure> {
        self.show
            .chapter("1. Three subscriptions, made with POST /api/v1/subscriptions")?;
        let wanted = [
            (
                "/slack",
                json!({
                    "name": "Pushes and alerts to Slack", "key": "slack", "events": ["push", "alert.*"],
                    "plugins": [{ "name": "slack", "config": { "types": ["push", "alert.*"] } }],
                }),
            ),
            (
                "/alerts",
                json!({
                    "name": "Critical alerts, reshaped", "key": "alerts", "events": ["alert.*"],
                    "plugins": [{ "name": "jq", "config": { "program": JQ_PROGRAM } }],
                }),
            ),
            (
                FLAKY_PATH,
                json!({ "name": "Orders", "key": "orders", "events": ["order.*"] }),
            ),
        ];
        let made = try_join_all(wanted.map(|(path, body)| self.subscribe_one(path, body))).await?;
        made.try_into()
            .map_err(|_| Failure::other("not all subscriptions were made"))
    }

    async fn subscribe_one(&self, path: &'static str, mut body: Value) -> Result<Subscription, Failure> {
        let url = format!("http://{}{path}", self.receiver.address);
        body["url"] = json!(url);
        let text = Body::Json(body.to_string());
        let made = self
            .client
            .call(Method::POST, &["subscriptions"], &[], text)
            .await?;
        let id = cell(&made["id"]);
        let plugin = body["plugins"][0]["name"]
            .as_str()
            .map(|name| format!(" → {name}"))
            .unwrap_or_default();
        self.show.line(
            &cell(&body["key"]),
            &format!("{}{plugin} → POST {url}  ({id})", cell(&body["events"])),
        )?;
        let secret = made["secret"].as_str().map(Secret::new);
        let secret = secret.ok_or_else(|| Failure::other("a new subscription came without its secret"))?;
        Ok(Subscription { id, path, secret })
    }

    async fn push_to_slack(&mut self, slack: &Subscription) -> Result<(), Failure> {
        self.show
            .chapter("2. A push, as GitHub sends it, becomes a Slack message")?;
        let sent = self.send("push", "github", GITHUB_PUSH, 6).await?;
        let received = self.next_at(slack.path).await?;
        let delivery = self.delivery(slack, &sent, "delivered").await?;
        self.show.runs(&delivery)?;
        self.arrived(slack, &sent, &received)
    }

    async fn alert_to_slack_and_jq(
        &mut self,
        slack: &Subscription,
        alerts: &Subscription,
    ) -> Result<(), Failure> {
        self.show
            .chapter("3. An alert, as WorkFlows describes it, goes two ways: Slack and jq")?;
        let sent = self
            .send("alert.created", "workflows", WORKFLOWS_ALERT, EVERY_LINE)
            .await?;
        // Whichever comes first: both are waited for before anything is shown.
        let first = self.next().await?;
        let second = self.next().await?;
        for subscription in [slack, alerts] {
            let received = [&first, &second]
                .into_iter()
                .find(|received| received.path == subscription.path);
            let received = received.ok_or_else(|| Failure::other("a delivery went to the wrong place"))?;
            let delivery = self.delivery(subscription, &sent, "delivered").await?;
            self.show.runs(&delivery)?;
            self.arrived(subscription, &sent, received)?;
        }
        self.show
            .chapter("   The same alert, no longer critical: the jq program filters it out")?;
        let harmless = WORKFLOWS_ALERT
            .replace("critical\"", "low\"")
            .replace("active", "resolved");
        let sent = self.send("alert.resolved", "workflows", &harmless, 0).await?;
        let delivery = self.delivery(alerts, &sent, "filtered").await?;
        self.show.runs(&delivery)?;
        self.show.status(&delivery)?;
        // Slack shows it all the same; it is not looked at again.
        self.next_at(slack.path).await.map(drop)
    }

    async fn order_to_an_endpoint_that_fails(&mut self, orders: &Subscription) -> Result<(), Failure> {
        self.show
            .chapter("4. An endpoint that fails twice: retries save the delivery")?;
        let sent = self.send("order.paid", "shop", ORDER, EVERY_LINE).await?;
        let mut requests = Vec::new();
        while requests
            .last()
            .is_none_or(|last: &Received| !last.answered.is_success())
        {
            requests.push(self.next_at(orders.path).await?);
        }
        let delivery = self.delivery(orders, &sent, "delivered").await?;
        self.show.attempts(&delivery)?;
        self.show.status(&delivery)?;
        let id = |received: &Received| received.headers.get("webhook-id").cloned();
        let same = requests
            .iter()
            .all(|r| id(r) == id(&requests[0]) && r.body == requests[0].body);
        if !same || id(&requests[0]).is_none() {
            return Err(Failure::other(
                "the attempts did not have the same webhook-id and body",
            ));
        }
        for received in &requests {
            self.verify(orders, received)?;
        }
        self.show.good(
            "verified",
            &format!(
                "{} requests, one webhook-id, the same bytes, each signed anew",
                requests.len()
            ),
        )
    }

    /// Sends an event and shows what went in.
    async fn send(&self, event_type: &str, source: &str, data: &str, lines: usize) -> Result<Sent, Failure> {
        let data: &RawValue = serde_json::from_str(data)
            .map_err(|error| Failure::because("an event of the demonstration is not JSON", error))?;
        let body = format!(
            r#"{{"type":{},"source":{},"data":{}}}"#,
            json!(event_type),
            json!(source),
            data.get()
        );
        let at = self.clock.now();
        let answer = self
            .client
            .call(Method::POST, &["events"], &[], Body::Json(body))
            .await?;
        let id = cell(&answer["id"]);
        let size = data.get().len();
        let matched = cell(&answer["matched"]);
        self.show.line(
            "event",
            &format!("{event_type} from {source}, {size} bytes → {id}, matched {matched}"),
        )?;
        if lines > 0 {
            self.show
                .body(&data.get().lines().take(lines).collect::<Vec<_>>().join("\n"))?;
        }
        Ok(Sent { id, at })
    }

    /// The next request that the receiver gets.
    async fn next(&mut self) -> Result<Received, Failure> {
        match tokio::time::timeout(PATIENCE, self.receiver.received.recv()).await {
            Ok(Some(received)) => Ok(received),
            Ok(None) => Err(Failure::other("the receiver has stopped")),
            Err(_) => Err(Failure::other(format!(
                "nothing arrived within {} s",
                PATIENCE.as_secs()
            ))),
        }
    }

    async fn next_at(&mut self, path: &str) -> Result<Received, Failure> {
        let received = self.next().await?;
        if received.path == path {
            return Ok(received);
        }
        Err(Failure::other(format!(
            "a request came to {} where one to {path} was expected",
            received.path
        )))
    }

    /// The delivery of an event for a subscription, once it stands where it should.
    async fn delivery(
        &self,
        subscription: &Subscription,
        sent: &Sent,
        status: &str,
    ) -> Result<Answer, Failure> {
        let path = ["subscriptions", &subscription.id, "deliveries"];
        let deadline = self.clock.now().plus(PATIENCE);
        loop {
            let page = self.client.get(&path, &[]).await?;
            let found = list(&page["data"])
                .iter()
                .find(|delivery| delivery["event_id"] == sent.id.as_str());
            if let Some(delivery) = found.filter(|delivery| delivery["status"] == status) {
                return self
                    .client
                    .get(&["deliveries", &cell(&delivery["id"])], &[])
                    .await;
            }
            if self.clock.now() > deadline {
                let stands = found.map_or_else(|| "missing".to_owned(), |delivery| cell(&delivery["status"]));
                return Err(Failure::other(format!(
                    "the delivery of {} is {stands}; {status} was expected",
                    sent.id
                )));
            }
            self.clock.sleep_until(self.clock.now().plus(LOOK_EVERY)).await;
        }
    }

    fn arrived(&self, subscription: &Subscription, sent: &Sent, received: &Received) -> Result<(), Failure> {
        self.show.received(received, received.at.since(sent.at))?;
        self.verify(subscription, received)?;
        self.show.good(
            "verified",
            "the Standard Webhooks signature is right for these bytes",
        )
    }

    fn verify(&self, subscription: &Subscription, received: &Received) -> Result<(), Failure> {
        let body = received.body.as_ref();
        let body = body.map_err(|error| Failure::because("a request cannot be verified", *error))?;
        let keyring = keyring_of(&subscription.secret)?;
        check(&keyring, &received.headers, body, self.clock.now(), Age::Fresh)
    }

    /// Says how to go on, with the command as it was typed.
    pub(super) fn go_on(&self, took: Duration, ending: Ending<'_>, program: &str) -> Result<(), Failure> {
        let show = self.show;
        show.chapter(&format!("All of it took {:.1} s.", took.as_secs_f64()))?;
        let text = match ending {
            Ending::Over => AFTER_THE_END.to_owned(),
            Ending::Kept { key } => KEPT
                .replace("{url}", self.client.base().as_str())
                .replace("{key}", &key.display().to_string()),
        };
        show.0.line(text.replace("{hookway}", program).trim_end())
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_events_are_json_and_keep_their_shape() {
        let push: Value = serde_json::from_str(GITHUB_PUSH).unwrap();
        for pointer in [
            "/ref",
            "/repository/full_name",
            "/commits/0/author/username",
            "/pusher/name",
            "/head_commit/id",
        ] {
            assert!(push.pointer(pointer).is_some_and(Value::is_string), "{pointer}");
        }
        let alert: Value = serde_json::from_str(WORKFLOWS_ALERT).unwrap();
        assert_eq!(alert["title"], "Inventario crítico: Materia Prima A");
        assert!(serde_json::from_str::<Value>(ORDER).is_ok());
    }
}
