//! The signing secret of a subscription, as flags of `create` and `test`: from a file or a variable, never an
//! argument, or none at all.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::cli::Failure;
use crate::cli::sources::secret_from;

/// Where the signing secret is.
#[derive(Debug, Default, clap::Args)]
pub(in crate::cli) struct SecretFlags {
    /// File that holds the signing secret, - for standard input [default: one is made, and shown]
    #[arg(long, value_name = "FILE")]
    pub(super) secret_file: Option<PathBuf>,
    /// Name of the environment variable that holds the signing secret
    #[arg(long, value_name = "NAME", conflicts_with = "secret_file")]
    pub(super) secret_env: Option<String>,
    /// No secret: requests are not signed, where the profile lets them go so
    #[arg(long, conflicts_with_all = ["secret_file", "secret_env"])]
    pub(super) unsigned: bool,
}

impl SecretFlags {
    /// What they say in the body of a call.
    pub(super) fn members(&self) -> Result<Map<String, Value>, Failure> {
        let given = secret_from(self.secret_file.as_deref(), self.secret_env.as_deref())?;
        let value = match (self.unsigned, given) {
            (true, _) => Some(Value::Null),
            (false, Some(secret)) => Some(json!(secret.reveal())),
            (false, None) => None,
        };
        Ok(value
            .map(|value| ("secret".to_owned(), value))
            .into_iter()
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_given_made_or_left_out() {
        let members = |flags: &SecretFlags| Value::Object(flags.members().unwrap());
        assert_eq!(members(&SecretFlags::default()), json!({}));
        let unsigned = SecretFlags {
            unsigned: true,
            ..SecretFlags::default()
        };
        assert_eq!(members(&unsigned), json!({ "secret": null }));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hush\n").unwrap();
        let given = SecretFlags {
            secret_file: Some(file.path().to_owned()),
            ..SecretFlags::default()
        };
        assert_eq!(members(&given), json!({ "secret": "hush" }));
        let unset = SecretFlags {
            secret_env: Some("HOOKWAY_TEST_NO_SUCH_VARIABLE".to_owned()),
            ..SecretFlags::default()
        };
        assert!(matches!(unset.members(), Err(Failure::Usage(_))));
    }
}
