//! A sample through a source: to the address that the service delivers to, signed as the service signs.
//!
//! How it is signed is read from the router; the secret is the caller's, from a file or the environment.
//! The request is a stranger's: it carries no API key. What became of it is read by the API.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::Sample;
use super::shape::{Data, Shape, Wish};
use crate::cli::client::{Answer, Client};
use crate::cli::output::cell;
use crate::cli::{Context, Failure};
use crate::clock::Clock;
use crate::secret::Secret;
use crate::signature::SignError;
use crate::source::{Mapping, Unsigned, Verification, Verifier};
use crate::subscription::SigningSecret;

/// Names the event that a request became.
const EVENT_ID: &str = "hookway-event-id";
/// How many of the newest receptions are looked at for what became of a request; others may have come
/// between.
const RECEPTIONS_READ: u32 = 20;

/// A source to send to.
pub(super) struct Webhook {
    /// Who delivers: nobody with a key.
    sender: Client,
    name: String,
    preset: String,
    /// Where it is, below the router.
    path: String,
    /// The address as its sender knows it, where the router says one: it may be signed.
    url: Option<String>,
    mapping: Mapping,
    verifier: Verifier,
    /// Where the body has the time that is signed, and how it is written.
    time: Option<(String, Option<String>)>,
}

impl Webhook {
    /// Learns from the router what the source wants.
    pub(super) async fn of(client: &Client, name: &str, secret: Secret) -> Result<Self, Failure> {
        let source = client.get(&["sources", name], &[]).await?;
        let unreadable =
            |error| Failure::because(format!("what the router says of {name} cannot be read"), error);
        let verification: Verification =
            serde_json::from_value(source["verification"].clone()).map_err(unreadable)?;
        let mapping = serde_json::from_value(source["events"].clone()).map_err(unreadable)?;
        let preset = cell(&source["preset"]);
        if let Verification::Signature { schemes } = &verification
            && !schemes.iter().any(|scheme| scheme.algorithm().is_symmetric())
        {
            return Err(only_the_service(&preset));
        }
        let secrets = match verification.has_secret() {
            true => vec![SigningSecret { secret, until: None }],
            false => Vec::new(),
        };
        let verifier = Verifier::new(&verification, &secrets)
            .map_err(|fault| Failure::because(format!("the secret does not fit {name}"), fault))?;
        let scheme = &source["verification"]["schemes"][0];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Ok(Self {
            sender: client.stranger()?,
            name: name.to_owned(),
            preset,
            path: cell(&source["path"]),
            url: text(&source["url"]),
            mapping,
            verifier,
            time: text(&scheme["ts_pointer"]).map(|pointer| (pointer, text(&scheme["ts_format"]))),
        })
    }

    /// Sends a sample, and says which event it became.
    pub(super) async fn send(
        &self,
        context: &Context,
        client: &Client,
        event_type: &str,
        sample: &Sample,
        data: Data,
    ) -> Result<Answer, Failure> {
        let id = format!("trigger-{:016x}", rand::random::<u64>());
        let wish = Wish {
            event_type,
            id: &id,
            data,
        };
        let mut shape = Shape::new(sample, &self.mapping, wish)?;
        let now = Clock::system().now();
        if let Some((pointer, format)) = &self.time {
            shape.put_time(pointer, format.as_deref(), now)?;
        }
        let body = shape.body();
        let here = format!("{}{}", client.base().as_str().trim_end_matches('/'), self.path);
        let signed_url = with_query(self.url.as_ref().unwrap_or(&here), &shape.query);
        let unsigned = Unsigned {
            id: &id,
            url: &signed_url,
            content_type: shape.content_type(),
            body: &body,
        };
        let credentials = self.verifier.sign(&unsigned, now).map_err(|error| match error {
            SignError::PublicKey => only_the_service(&self.preset),
            error => Failure::because(
                format!("a request of {} cannot be signed here", self.preset),
                error,
            ),
        })?;
        let url = with_query(&with_query(&here, &shape.query), &credentials.query);
        let mut headers = HeaderMap::new();
        let content_type = (header::CONTENT_TYPE.to_string(), shape.content_type().to_owned());
        let written = shape
            .headers
            .iter()
            .chain([&content_type])
            .chain(&credentials.headers);
        for (name, value) in written {
            let (name, value) = pair(name, value)?;
            headers.insert(name, value);
        }
        let answered = self.sender.deliver(&url, headers, body).await?;
        let Some(id) = answered.get(EVENT_ID).and_then(|id| id.to_str().ok()) else {
            return Err(Failure::other(format!(
                "it was answered, but became no event: `hookway sources receptions {}` says why",
                self.name
            )));
        };
        let told = self.told(client, id).await?;
        if told["type"] != event_type {
            context.output.note(&format!(
                "it became {}, not {event_type}: {} reads the type from {}",
                cell(&told["type"]),
                self.name,
                self.mapping.event_type.as_deref().unwrap_or_default().join(", ")
            ));
        }
        Ok(told)
    }

    /// What became of a request, in the words of an accepted event.
    async fn told(&self, client: &Client, id: &str) -> Result<Answer, Failure> {
        let event = client.get(&["events", id], &[]).await?;
        let limit = [("limit", RECEPTIONS_READ.to_string())];
        let receptions = client.get(&["sources", &self.name, "receptions"], &limit).await?;
        let receptions = receptions["data"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let ours = receptions.iter().find(|reception| reception["event_id"] == id);
        let told = json!({
            "id": id,
            "type": event["type"],
            "source": event["source"],
            "matched": event["matched"],
            "duplicate": ours.is_some_and(|reception| reception["outcome"] == "duplicate"),
        });
        Answer::read(told.to_string().as_bytes())
            .map_err(|error| Failure::because("what was accepted cannot be told", error))
    }
}

fn only_the_service(preset: &str) -> Failure {
    Failure::other(format!(
        "{preset} signs with a private key that only the service has, so its webhooks cannot be made here; \
         without a secret, trigger sends the event by the API"
    ))
}

fn pair(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let fault = || Failure::usage(format!("{value:?} cannot stand in the header {name}"));
    let name = HeaderName::try_from(name).map_err(|_| fault())?;
    Ok((name, HeaderValue::try_from(value).map_err(|_| fault())?))
}

fn with_query(url: &str, query: &[(String, String)]) -> String {
    if query.is_empty() {
        return url.to_owned();
    }
    let joint = if url.contains('?') { '&' } else { '?' };
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    format!("{url}{joint}{}", pairs.extend_pairs(query).finish())
}
