//! The process's environment, read once. Nothing else in Hookway reads it.

use std::path::PathBuf;

use crate::secret::Secret;

/// Variables that are not settings of the router: they tell the command line where to find one.
pub const CLIENT_VARIABLES: [&str; 5] = [
    "HOOKWAY_URL",
    "HOOKWAY_KEY",
    "HOOKWAY_TENANT",
    "HOOKWAY_CONFIG",
    "HOOKWAY_SIGNING_SECRET",
];
/// Prefixes that say nothing to a running router. Some are read when it is built. And Kubernetes puts
/// `<NAME>_SERVICE_…` and `<NAME>_PORT…` of every service beside a container into its environment; a service
/// called `hookway` must not stop the router.
const FOREIGN_PREFIXES: [&str; 4] = [
    "HOOKWAY_PLUGINS_DIR",
    "HOOKWAY_WASM_TOOLCHAIN",
    "HOOKWAY_SERVICE_",
    "HOOKWAY_PORT",
];

/// What the environment says.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Where the router is, for commands that talk to one: `HOOKWAY_URL`.
    pub url: Option<String>,
    /// The API key of such commands: `HOOKWAY_KEY`.
    pub key: Option<Secret>,
    /// The tenant that an admin key acts for: `HOOKWAY_TENANT`.
    pub tenant: Option<String>,
    /// The secret of `hookway sign` and `verify`: `HOOKWAY_SIGNING_SECRET`.
    pub signing_secret: Option<Secret>,
    /// The configuration file: `HOOKWAY_CONFIG`.
    pub config: Option<PathBuf>,
    /// Whether colours are unwanted: `NO_COLOR` (no-color.org: set and not empty), or a dumb terminal.
    pub no_color: bool,
    /// Everything else that starts with `HOOKWAY_`: settings, by name.
    pub settings: Vec<(String, String)>,
}

impl Environment {
    /// Reads the process's environment.
    #[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
    pub fn read() -> Self {
        Self::from_variables(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// Takes what is Hookway's from these variables.
    pub fn from_variables(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            match name.as_str() {
                "NO_COLOR" => environment.no_color |= !value.is_empty(),
                "TERM" => environment.no_color |= value == "dumb",
                "HOOKWAY_URL" => environment.url = some(value),
                "HOOKWAY_KEY" => environment.key = some(value).map(Secret::new),
                "HOOKWAY_TENANT" => environment.tenant = some(value),
                "HOOKWAY_SIGNING_SECRET" => environment.signing_secret = some(value).map(Secret::new),
                "HOOKWAY_CONFIG" => environment.config = some(value).map(PathBuf::from),
                name if FOREIGN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) => {}
                name if name.starts_with("HOOKWAY_") => environment.settings.push((name.to_owned(), value)),
                _ => {}
            }
        }
        environment.settings.sort();
        environment
    }
}

/// A secret from the variable that a person named, for commands that take one so.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
pub fn secret(name: &str) -> Option<Secret> {
    some(std::env::var(name).ok()?).map(Secret::new)
}

fn some(value: String) -> Option<String> {
    Some(value).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_ours_is_taken() {
        let given = [
            ("PATH", "/bin"),
            ("HOOKWAY_URL", "http://a"),
            ("HOOKWAY_KEY", "hw_secret"),
            ("HOOKWAY_CONFIG", ""),
            ("HOOKWAY_LISTEN", "127.0.0.1:1"),
            ("HOOKWAY_SERVICE_HOST", "10.0.0.1"),
            ("HOOKWAY_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
            ("NO_COLOR", "1"),
        ];
        let read =
            Environment::from_variables(given.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(read.url.as_deref(), Some("http://a"));
        assert_eq!(read.config, None);
        assert!(read.no_color);
        assert_eq!(
            read.settings,
            [("HOOKWAY_LISTEN".to_owned(), "127.0.0.1:1".to_owned())]
        );
        assert!(!format!("{read:?}").contains("hw_secret"));
    }
}
