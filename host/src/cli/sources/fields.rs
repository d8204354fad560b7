//! The fields of a source, as flags, and the body of the call that they make.

use std::path::{Path, PathBuf};

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::cli::subscriptions::rate_from;
use crate::cli::{Failure, input, read_key};
use crate::secret::Secret;

/// The fields of a source, as flags.
#[derive(Debug, Default, clap::Args)]
pub(in crate::cli) struct Fields {
    /// A file with the source as JSON; other flags go over it (- for standard input)
    #[arg(long, value_name = "FILE")]
    file: Option<String>,
    /// The last part of its address, and the `source` of its events; needed to make one
    #[arg(long)]
    name: Option<String>,
    /// The service; `hookway sources presets` lists them [default: hmac-sha256]
    #[arg(long)]
    preset: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// File that holds the secret, - for standard input [default: the router makes one where the service
    /// takes ours]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Name of the environment variable that holds the secret
    #[arg(long, value_name = "NAME", conflicts_with = "secret_file")]
    secret_env: Option<String>,
    /// File that holds the token that a handshake must show (Meta's verify token)
    #[arg(long, value_name = "FILE")]
    verify_token_file: Option<PathBuf>,
    /// How requests prove where they come from, in place of the preset's way: JSON or @FILE
    #[arg(long, value_name = "JSON")]
    verification: Option<String>,
    /// Which requests are handshakes, in place of the preset's: JSON or @FILE
    #[arg(long, value_name = "JSON")]
    handshakes: Option<String>,
    /// Where type, id and subject of events stand: JSON or @FILE
    #[arg(long, value_name = "JSON")]
    events: Option<String>,
    /// What requests that were taken are answered: JSON or @FILE
    #[arg(long, value_name = "JSON")]
    response: Option<String>,
    /// The address as its sender knows it, where that is signed or shown
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// An address or network that may send; may be repeated
    #[arg(long = "allowed-ip", value_name = "CIDR")]
    allowed_ips: Vec<String>,
    /// Largest body, in bytes
    #[arg(long, value_name = "BYTES")]
    body_bytes_max: Option<u32>,
    /// Requests per time, such as 10/1 for ten a second
    #[arg(long, value_name = "REQUESTS/SECONDS")]
    rate_limit: Option<String>,
    /// Answer refused requests as taken ones, for services that switch a webhook off after refusals
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    always_ok: Option<bool>,
    /// Keep the bodies of refused requests, to look into a problem
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    keep_refused: Option<bool>,
    /// Whether requests are let in
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    enabled: Option<bool>,
}

/// A secret from a file or a variable; a secret is no argument.
pub(in crate::cli) fn secret_from(
    file: Option<&Path>,
    variable: Option<&str>,
) -> Result<Option<Secret>, Failure> {
    match (file, variable) {
        (Some(path), _) => read_key(path).map(Some),
        (None, Some(name)) => match crate::config::environment::secret(name) {
            Some(secret) => Ok(Some(secret)),
            None => Err(Failure::usage(format!("--secret-env: {name} is not set"))),
        },
        (None, None) => Ok(None),
    }
}

impl Fields {
    /// The body of the call.
    pub(super) fn body(&self) -> Result<String, Failure> {
        let mut body = match &self.file {
            Some(path) => object(path, &input::json(path, input::file(path)?)?)?,
            None => Map::new(),
        };
        let texts = [
            ("name", &self.name),
            ("preset", &self.preset),
            ("description", &self.description),
            ("public_url", &self.public_url),
        ];
        for (name, text) in texts {
            body.extend(text.as_ref().map(|text| (name.to_owned(), json!(text))));
        }
        let documents = [
            ("verification", &self.verification),
            ("handshakes", &self.handshakes),
            ("events", &self.events),
            ("response", &self.response),
        ];
        for (name, text) in documents {
            if let Some(text) = text {
                let document = input::json(&format!("--{name}"), input::argument(text)?)?;
                body.insert(name.to_owned(), value(&document)?);
            }
        }
        let switches = [
            ("always_ok", self.always_ok),
            ("keep_refused", self.keep_refused),
            ("enabled", self.enabled),
        ];
        for (name, switch) in switches {
            body.extend(switch.map(|switch| (name.to_owned(), json!(switch))));
        }
        if let Some(secret) = secret_from(self.secret_file.as_deref(), self.secret_env.as_deref())? {
            body.insert("secret".to_owned(), json!(secret.reveal()));
        }
        if let Some(path) = &self.verify_token_file {
            body.insert("verify_token".to_owned(), json!(read_key(path)?.reveal()));
        }
        if !self.allowed_ips.is_empty() {
            body.insert("allowed_ips".to_owned(), json!(self.allowed_ips));
        }
        if let Some(bytes) = self.body_bytes_max {
            body.insert("body_bytes_max".to_owned(), json!(bytes));
        }
        if let Some(text) = &self.rate_limit {
            body.insert("rate_limit".to_owned(), rate_from(text)?);
        }
        if body.is_empty() {
            return Err(Failure::usage("nothing is given; `--help` shows the flags"));
        }
        Ok(Value::Object(body).to_string())
    }
}

fn value(raw: &RawValue) -> Result<Value, Failure> {
    serde_json::from_str(raw.get()).map_err(|error| Failure::because("this JSON cannot be read", error))
}

fn object(path: &str, raw: &RawValue) -> Result<Map<String, Value>, Failure> {
    match value(raw)? {
        Value::Object(members) => Ok(members),
        _ => Err(Failure::usage(format!("{path} is no JSON object"))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn body(fields: &Fields) -> Value {
        serde_json::from_str(&fields.body().unwrap()).unwrap()
    }

    #[test]
    fn flags_become_a_body() {
        let mut secret = tempfile::NamedTempFile::new().unwrap();
        writeln!(secret, "s3cret").unwrap();
        let fields = Fields {
            name: Some("github".into()),
            preset: Some("github".into()),
            secret_file: Some(secret.path().to_owned()),
            events: Some(r#"{"type": {"fixed": "push"}}"#.into()),
            allowed_ips: vec!["192.0.2.0/24".into()],
            rate_limit: Some("5/1".into()),
            keep_refused: Some(true),
            enabled: Some(false),
            ..Fields::default()
        };
        assert_eq!(
            body(&fields),
            json!({"name": "github", "preset": "github", "secret": "s3cret", "events": {"type": {"fixed": "push"}},
                "allowed_ips": ["192.0.2.0/24"], "rate_limit": {"requests": 5, "per_seconds": 1},
                "keep_refused": true, "enabled": false})
        );
    }

    #[test]
    fn flags_go_over_a_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "{}", json!({"name": "a", "preset": "stripe"})).unwrap();
        let path = file.path().display().to_string();
        let fields = Fields {
            file: Some(path.clone()),
            name: Some("b".into()),
            ..Fields::default()
        };
        assert_eq!(body(&fields), json!({"name": "b", "preset": "stripe"}));
        write!(file, "[]").unwrap();
        assert!(fields.body().is_err(), "no JSON any more");
    }

    #[test]
    fn nothing_and_nonsense_are_usage_errors() {
        let nonsense = Fields {
            verification: Some("{".into()),
            ..Fields::default()
        };
        let unset = Fields {
            secret_env: Some("HOOKWAY_TEST_NO_SUCH_VARIABLE".into()),
            ..Fields::default()
        };
        for fields in [Fields::default(), nonsense, unset] {
            assert!(matches!(fields.body(), Err(Failure::Usage(_))));
        }
    }
}
