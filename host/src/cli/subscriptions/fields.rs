//! The fields of a subscription, as flags, and the body of the call that they make.

use serde_json::{Map, Value, json};

use crate::cli::{Failure, input};

/// Says of a field that the profile's is to count again.
const PROFILES_OWN: &str = "profile";
/// No waits at all, which means one attempt.
const NO_WAITS: &str = "none";

/// The fields of a subscription, as flags.
#[derive(Debug, Default, clap::Args)]
pub(in crate::cli) struct Fields {
    /// A file with the subscription as JSON, in place of the other flags (- for standard input)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "key", "url", "events", "filter", "plugins", "profile", "envelope", "isolation", "headers", "rate_limit", "max_in_flight", "retry_waits", "retry_jitter", "timeout_seconds"])]
    pub(super) file: Option<String>,
    /// A name for people; needed to make one
    #[arg(long)]
    pub(super) name: Option<String>,
    /// A unique slug that may stand for the id
    #[arg(long)]
    pub(super) key: Option<String>,
    /// Where deliveries go; needed to make one (@FILE keeps a URL with a token out of the shell's history)
    #[arg(long)]
    pub(super) url: Option<String>,
    /// An event type or pattern, such as alert.*; needed to make one, may be repeated
    #[arg(long = "event", value_name = "PATTERN")]
    pub(super) events: Vec<String>,
    /// A CEL expression over the event
    #[arg(long, value_name = "CEL")]
    pub(super) filter: Option<String>,
    /// A plugin, with its configuration as JSON or @FILE; up to four, in order
    #[arg(long = "plugin", value_name = "NAME[=JSON]")]
    pub(super) plugins: Vec<String>,
    /// How deliveries look and behave
    #[arg(long)]
    pub(super) profile: Option<String>,
    /// Whether the profile's envelope is put around what plugins made: auto (it is not) or profile
    #[arg(long)]
    pub(super) envelope: Option<String>,
    /// Who shares a plugin's instance: subscription, or event for a fresh one every time
    #[arg(long)]
    pub(super) isolation: Option<String>,
    /// A header of every delivery; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub(super) headers: Vec<String>,
    /// Deliveries per time, such as 10/1 for ten a second
    #[arg(long, value_name = "REQUESTS/SECONDS")]
    pub(super) rate_limit: Option<String>,
    /// Deliveries in flight at once
    #[arg(long, value_name = "REQUESTS")]
    pub(super) max_in_flight: Option<u16>,
    /// The waits between its attempts, such as 30s,5m, in place of its profile's; none for one attempt alone,
    /// profile for the profile's own again
    #[arg(long, value_name = "WAITS")]
    pub(super) retry_waits: Option<String>,
    /// The part of these waits by which each may be shorter or longer, 0 to 0.5 [default: 0.2]
    #[arg(long, value_name = "PART", requires = "retry_waits")]
    pub(super) retry_jitter: Option<f64>,
    /// The whole time for one attempt, 1 to 300, in place of its profile's; profile for the profile's own
    /// again
    #[arg(long, value_name = "SECONDS")]
    pub(super) timeout_seconds: Option<String>,
}

impl Fields {
    /// The body of the call.
    pub(super) fn body(&self) -> Result<String, Failure> {
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
        if let Some(text) = &self.retry_waits {
            body.insert("retry".to_owned(), retry_from(text, self.retry_jitter)?);
        }
        if let Some(text) = &self.timeout_seconds {
            body.insert("timeout_seconds".to_owned(), timeout_from(text)?);
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
pub(in crate::cli) fn rate_from(text: &str) -> Result<Value, Failure> {
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

/// Reads `WAIT,WAIT`, `none` or `profile`. Whether a wait is one is the router's to say.
fn retry_from(text: &str, jitter: Option<f64>) -> Result<Value, Failure> {
    let waits: Vec<&str> = match text {
        PROFILES_OWN if jitter.is_some() => {
            return Err(Failure::usage("--retry-jitter: the profile has its own"));
        }
        PROFILES_OWN => return Ok(Value::Null),
        NO_WAITS => Vec::new(),
        text => text.split(',').map(str::trim).collect(),
    };
    let mut retry = json!({ "waits": waits });
    if let Some(part) = jitter {
        // What is no number would be sent as null, and mean the default.
        if !part.is_finite() {
            return Err(Failure::usage(format!(
                "--retry-jitter {part}: write a number from 0 to 0.5"
            )));
        }
        retry["jitter"] = json!(part);
    }
    Ok(retry)
}

/// Reads a number of seconds, or `profile`.
fn timeout_from(text: &str) -> Result<Value, Failure> {
    match (text, text.parse::<u16>()) {
        (PROFILES_OWN, _) => Ok(Value::Null),
        (_, Ok(seconds)) => Ok(json!(seconds)),
        (_, Err(_)) => Err(Failure::usage(format!(
            "--timeout-seconds {text}: write a number of seconds from 1 to 300, or {PROFILES_OWN}"
        ))),
    }
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
            retry_waits: Some("30s, 5m".into()),
            retry_jitter: Some(0.0),
            timeout_seconds: Some("5".into()),
            ..Fields::default()
        };
        let body: Value = serde_json::from_str(&fields.body().unwrap()).unwrap();
        assert_eq!(
            body,
            json!({
                "name": "n", "url": "https://example.com/x", "events": ["alert.*"],
                "plugins": [{"name": "slack", "config": {}}, {"name": "jq", "config": {"program": ".data"}}],
                "headers": {"X-Team": "ops"}, "rate_limit": {"requests": 10, "per_seconds": 1},
                "retry": {"waits": ["30s", "5m"], "jitter": 0.0}, "timeout_seconds": 5,
            })
        );
    }

    #[test]
    fn one_attempt_and_the_profiles_own_have_words() {
        let body = |retry: &str, timeout: Option<&str>| {
            let fields = Fields {
                retry_waits: Some(retry.into()),
                timeout_seconds: timeout.map(str::to_owned),
                ..Fields::default()
            };
            fields.body().unwrap()
        };
        assert_eq!(body("none", None), r#"{"retry":{"waits":[]}}"#);
        assert_eq!(
            body("profile", Some("profile")),
            r#"{"retry":null,"timeout_seconds":null}"#
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
                timeout_seconds: Some("soon".into()),
                ..Fields::default()
            },
            Fields {
                retry_waits: Some("5s".into()),
                retry_jitter: Some(f64::NAN),
                ..Fields::default()
            },
            Fields {
                retry_waits: Some("profile".into()),
                retry_jitter: Some(0.1),
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
