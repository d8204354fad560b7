//! Layers: flag over environment over file over default, with the origin of every value.
//!
//! All faults are found at once, each with the place where it stands and, for an unknown name, the one
//! that may have been meant.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::Config;
use super::environment::{CLIENT_VARIABLES, Environment};
use super::setting::{Layers, SETTINGS, Setting};
use super::suggest::nearest;

/// The configuration file that is read where none is named.
pub const FILE_DEFAULT: &str = "hookway.toml";
/// Largest configuration file. A long one has a few kilobytes.
const FILE_BYTES_MAX: u64 = 1_024 * 1_024;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody gave one.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// This variable.
    Environment(String),
    /// This flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A configuration and where its values came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    origins: HashMap<&'static str, Origin>,
}

impl Loaded {
    /// Where the value of a setting came from.
    pub fn origin(&self, setting: &Setting) -> &Origin {
        self.origins.get(setting.path).unwrap_or(&Origin::Default)
    }
}

/// What the layers give, before it is read.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Flags: what was typed, the setting's path, the value.
    pub flags: Vec<(String, String, String)>,
    /// Variables.
    pub environment: Vec<(String, String)>,
    /// The file, with its text.
    pub file: Option<(PathBuf, String)>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it stands.
    pub origin: Origin,
    /// What is wrong there.
    pub detail: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.detail)
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is too large to be a configuration.
    #[error("the configuration file {} is larger than 1 MiB", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
    },
    /// Names or values are wrong.
    #[error("the configuration is wrong:{}", lines(.0))]
    Faults(Vec<Fault>),
}

fn lines(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("\n  {fault}")).collect()
}

/// Reads the file (the named one, which must exist, or `./hookway.toml`, which need not) and puts the
/// layers together.
pub fn load(
    flags: Vec<(String, String, String)>,
    environment: &Environment,
    file: Option<&Path>,
) -> Result<Loaded, Error> {
    let named = file.or(environment.config.as_deref());
    let file = match named {
        Some(path) => Some((path.to_owned(), read(path)?)),
        None if Path::new(FILE_DEFAULT).exists() => {
            Some((PathBuf::from(FILE_DEFAULT), read(Path::new(FILE_DEFAULT))?))
        }
        None => None,
    };
    resolve(&Given {
        flags,
        environment: environment.settings.clone(),
        file,
    })
}

fn read(path: &Path) -> Result<String, Error> {
    let failed = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    if std::fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(Error::TooLarge {
            path: path.to_owned(),
        });
    }
    std::fs::read_to_string(path).map_err(failed)
}

/// Puts the layers together. Pure.
pub fn resolve(given: &Given) -> Result<Loaded, Error> {
    let mut found = Found {
        values: HashMap::new(),
        faults: Vec::new(),
    };
    if let Some((path, text)) = &given.file {
        found.add_file(path, text);
    }
    found.add_environment(&given.environment);
    for (flag, path, value) in &given.flags {
        found.add_flag(flag, path, value);
    }
    found.finish()
}

/// The strongest value of each setting so far.
struct Found {
    values: HashMap<&'static str, (Origin, Value)>,
    faults: Vec<Fault>,
}

impl Found {
    fn add_file(&mut self, path: &Path, text: &str) {
        let origin = Origin::File(path.to_owned());
        match text.parse::<Table>() {
            Ok(table) => self.add_table(&origin, "", &table),
            Err(error) => self.fault(origin, error.to_string().trim_end().to_owned()),
        }
    }

    fn add_table(&mut self, origin: &Origin, prefix: &str, table: &Table) {
        for (key, value) in table {
            let path = format!("{prefix}{key}");
            if let Some(setting) = setting_of(&path) {
                if setting.layers == Layers::Environment {
                    let variable = &setting.variables()[0];
                    self.fault(
                        origin.clone(),
                        format!("{path} is a secret: give it as {variable}, not in a file"),
                    );
                } else {
                    self.values.insert(setting.path, (origin.clone(), value.clone()));
                }
                continue;
            }
            let inner = format!("{path}.");
            match value {
                Value::Table(table) if SETTINGS.iter().any(|setting| setting.path.starts_with(&inner)) => {
                    self.add_table(origin, &inner, table);
                }
                Value::Table(_) => self.fault(origin.clone(), unknown_section(&path)),
                _ => self.fault(origin.clone(), unknown(&path)),
            }
        }
    }

    fn add_environment(&mut self, variables: &[(String, String)]) {
        for (name, value) in variables {
            let origin = Origin::Environment(name.clone());
            let Some(setting) = SETTINGS.iter().find(|setting| setting.variables().contains(name)) else {
                self.fault(origin, unknown_variable(name));
                continue;
            };
            let given = (origin.clone(), Value::String(value.clone()));
            if let Some((Origin::Environment(other), _)) = self.values.insert(setting.path, given) {
                self.fault(
                    origin,
                    format!("is the same setting as {other}; give one of them"),
                );
            }
        }
    }

    fn add_flag(&mut self, flag: &str, path: &str, value: &str) {
        let origin = Origin::Flag(flag.to_owned());
        match setting_of(path) {
            Some(setting) if setting.layers == Layers::All => {
                self.values
                    .insert(setting.path, (origin, Value::String(value.to_owned())));
            }
            Some(setting) => {
                let variable = &setting.variables()[0];
                self.fault(
                    origin,
                    format!("{path} is a secret: give it as {variable}, not as an argument"),
                );
            }
            None => self.fault(origin, unknown(path)),
        }
    }

    fn finish(mut self) -> Result<Loaded, Error> {
        let mut config = Config::default();
        let mut origins = HashMap::new();
        for setting in SETTINGS {
            let Some((origin, value)) = self.values.remove(setting.path) else {
                continue;
            };
            match setting.assign(&mut config, &value) {
                Ok(()) => {
                    origins.insert(setting.path, origin);
                }
                Err(detail) => self.fault(origin, format!("{} {detail}", setting.path)),
            }
        }
        if self.faults.is_empty() {
            Ok(Loaded { config, origins })
        } else {
            Err(Error::Faults(self.faults))
        }
    }

    fn fault(&mut self, origin: Origin, detail: String) {
        self.faults.push(Fault { origin, detail });
    }
}

fn setting_of(path: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.path == path)
}

fn unknown(path: &str) -> String {
    // Somebody may have the name right and the section wrong, or not there.
    let last = path.rsplit('.').next().unwrap_or(path);
    let elsewhere = || {
        SETTINGS
            .iter()
            .map(|s| s.path)
            .find(|known| known.rsplit('.').next() == Some(last))
    };
    match nearest(path, SETTINGS.iter().map(|setting| setting.path)).or_else(elsewhere) {
        Some(near) => format!("there is no setting {path}; did you mean {near}?"),
        None => format!("there is no setting {path}; `hookway config` lists all"),
    }
}

fn unknown_section(path: &str) -> String {
    let sections = SETTINGS
        .iter()
        .filter_map(|setting| Some(setting.path.rsplit_once('.')?.0));
    match nearest(path, sections) {
        Some(near) => format!("there is no section [{path}]; did you mean [{near}]?"),
        None => format!("there is no section [{path}]; `hookway config` lists all settings"),
    }
}

fn unknown_variable(name: &str) -> String {
    let known: Vec<String> = SETTINGS.iter().flat_map(Setting::variables).collect();
    let known = known.iter().map(String::as_str).chain(CLIENT_VARIABLES);
    match nearest(name, known) {
        Some(near) => format!("there is no such setting; did you mean {near}?"),
        None => "there is no such setting; `hookway config` lists all".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Given {
        Given {
            file: Some((PathBuf::from("h.toml"), file.to_owned())),
            environment: environment
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
            flags: flags
                .iter()
                .map(|(p, v)| (format!("--{p}"), (*p).to_owned(), (*v).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn the_stronger_layer_wins_and_is_named() {
        let file = "[server]\nlisten = \"127.0.0.1:1\"";
        let variables = [("HOOKWAY_SERVER__LISTEN", "127.0.0.1:2")];
        let flags = [("server.listen", "127.0.0.1:3")];
        let file_origin = Origin::File(PathBuf::from("h.toml"));
        let variable = Origin::Environment("HOOKWAY_SERVER__LISTEN".into());
        let cases = [
            (given("", &[], &[]), 8080, Origin::Default),
            (given(file, &[], &[]), 1, file_origin),
            (given(file, &variables, &[]), 2, variable),
            (
                given(file, &variables, &flags),
                3,
                Origin::Flag("--server.listen".into()),
            ),
            (
                given("", &[("HOOKWAY_LISTEN", "[::1]:4")], &[]),
                4,
                Origin::Environment("HOOKWAY_LISTEN".into()),
            ),
        ];
        for (given, port, origin) in cases {
            let loaded = resolve(&given).unwrap();
            assert_eq!(loaded.config.server.listen.port(), port);
            assert_eq!(loaded.origin(setting_of("server.listen").unwrap()), &origin);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_a_way_out() {
        let cases: [(Given, &str); 14] = [
            (
                given("[server]\nlisen = 1", &[], &[]),
                "h.toml: there is no setting server.lisen; did you mean server.listen?",
            ),
            (
                given("listen = \"a\"", &[], &[]),
                "h.toml: there is no setting listen; did you mean server.listen?",
            ),
            (
                given("[zebra]\nx = 1", &[], &[]),
                "h.toml: there is no section [zebra]; `hookway config` lists all",
            ),
            (given("server = 1", &[], &[]), "there is no setting server"),
            (
                given("[server]\nlisten = 5", &[], &[]),
                "h.toml: server.listen is 5, which is not an IP address",
            ),
            (
                given("[server]\nbody_bytes_max = \"1 B\"", &[], &[]),
                "server.body_bytes_max must be between 1 KiB and 64 MiB",
            ),
            (
                given("[egres]\nallow_http = true", &[], &[]),
                "h.toml: there is no section [egres]; did you mean [egress]?",
            ),
            (
                given("[elsewhere]\nallow_http = true", &[], &[]),
                "there is no section [elsewhere]; `hookway config` lists all",
            ),
            (given("[server\n", &[], &[]), "h.toml: TOML parse error at line 1"),
            (
                given("admin_key = \"x\"", &[], &[]),
                "give it as HOOKWAY_ADMIN_KEY, not in a file",
            ),
            (
                given("", &[("HOOKWAY_ADMIN_KEY", "short")], &[]),
                "HOOKWAY_ADMIN_KEY: admin_key is shorter than 32",
            ),
            (
                given("", &[("HOOKWAY_SERVER__LISEN", "x")], &[]),
                "HOOKWAY_SERVER__LISEN: there is no such setting; did you mean HOOKWAY_SERVER__LISTEN?",
            ),
            (
                given(
                    "",
                    &[("HOOKWAY_LISTEN", "[::]:1"), ("HOOKWAY_SERVER__LISTEN", "[::]:1")],
                    &[],
                ),
                "is the same setting as HOOKWAY_LISTEN",
            ),
            (
                given("", &[], &[("store.retenton", "5d")]),
                "--store.retenton: there is no setting store.retenton; did you mean store.retention?",
            ),
        ];
        for (given, expected) in cases {
            let said = resolve(&given).unwrap_err().to_string();
            assert!(said.contains(expected), "{said}\n  expected: {expected}");
        }
    }

    #[test]
    fn all_faults_are_found_at_once() {
        let Error::Faults(faults) =
            resolve(&given("a = 1\nb = 2", &[("HOOKWAY_C", "3")], &[("d", "4")])).unwrap_err()
        else {
            panic!("other error");
        };
        assert_eq!(faults.len(), 4);
    }

    #[test]
    fn every_layer_reads_every_kind() {
        let file =
            "[egress]\nallow = [{ cidr = \"10.0.0.0/8\" }]\n[dispatch]\nretry_waits = [\"1s\", \"2s\"]";
        let loaded = resolve(&given(file, &[("HOOKWAY_DISPATCH__DRAIN", "3s")], &[])).unwrap();
        assert_eq!(loaded.config.egress.allow.len(), 1);
        assert_eq!(loaded.config.dispatch.retry_waits.as_ref().map(Vec::len), Some(2));
        let loaded = resolve(&given(
            file,
            &[("HOOKWAY_DISPATCH__RETRY_WAITS", "250ms, 5s, 1h")],
            &[],
        ))
        .unwrap();
        assert_eq!(loaded.config.dispatch.retry_waits.as_ref().map(Vec::len), Some(3));
    }

    #[test]
    fn a_named_file_must_exist() {
        let missing = Path::new("/nonexistent/h.toml");
        assert!(matches!(
            load(Vec::new(), &Environment::default(), Some(missing)),
            Err(Error::Read { .. })
        ));
    }
}
