//! `hookway serve`: runs the router until it is told to stop.
//!
//! The first SIGTERM or SIGINT stops it gracefully (nothing new is accepted, what is in flight is
//! finished within `dispatch.drain`), the second at once. Nothing is lost either way.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Context, Failure};
use crate::clock::Clock;
use crate::config::Config;
use crate::router::{Ended, Router};
use crate::telemetry;

/// Flags of `serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookway serve
  hookway serve --listen 127.0.0.1:9000 --data-dir /var/lib/hookway
  hookway serve --allow-http --allow-private-networks      # for development
  hookway serve --set store.retention=7d --set dispatch.in_flight_max=128")]
pub(super) struct Args {
    /// Address and port to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Let deliveries go over plain HTTP (development)
    #[arg(long)]
    allow_http: bool,
    /// Let deliveries go to private and loopback addresses (development)
    #[arg(long)]
    allow_private_networks: bool,
    /// How log lines look [default: text]
    #[arg(long, value_name = "text|json")]
    log_format: Option<String>,
    /// Any setting; `hookway config` lists them
    #[arg(long = "set", value_name = "SETTING=VALUE")]
    settings: Vec<String>,
}

impl Args {
    /// The settings that these flags give.
    fn flags(&self) -> Result<Vec<(String, String, String)>, Failure> {
        let yes = |given: bool| given.then(|| "true".to_owned());
        let named = [
            ("--listen", "server.listen", self.listen.clone()),
            ("--allow-http", "egress.allow_http", yes(self.allow_http)),
            (
                "--allow-private-networks",
                "egress.allow_private_networks",
                yes(self.allow_private_networks),
            ),
            ("--log-format", "log.format", self.log_format.clone()),
        ];
        let mut flags: Vec<_> = named
            .into_iter()
            .filter_map(|(flag, path, value)| Some((flag.to_owned(), path.to_owned(), value?)))
            .collect();
        flags.extend(set_flags(&self.settings)?);
        Ok(flags)
    }
}

/// The settings of `--set`.
pub(super) fn set_flags(settings: &[String]) -> Result<Vec<(String, String, String)>, Failure> {
    let split = |setting: &String| {
        let (path, value) = setting
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("--set {setting}: write it as SETTING=VALUE")))?;
        Ok(("--set".to_owned(), path.trim().to_owned(), value.to_owned()))
    };
    settings.iter().map(split).collect()
}

/// Runs the router.
pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let config = context.load(args.flags()?)?.config;
    telemetry::start(&config.log, context.output.log_colour())
        .map_err(|error| Failure::because("cannot set up logging", error))?;
    let mut signals = Signals::new()?;
    warn_of(&config);
    let data_dir = config.data_dir.clone();
    let router = Router::start(config, Clock::system())
        .await
        .map_err(|error| Failure::because("the router cannot start", error))?;
    let admin_key = match router.admin_key_path() {
        Some(path) => path.display().to_string(),
        None => "from HOOKWAY_ADMIN_KEY".to_owned(),
    };
    tracing::info!(server.address = %router.address(), data_dir = %data_dir.display(), admin_key, "ready");
    let told = tokio::select! {
        () = signals.next() => Ok(()),
        // Nothing can be accepted or delivered without a store; a supervisor starts us again.
        () = router.failed() => Err(Failure::other("the store failed; the log says how")),
    };
    tracing::info!("stopping: finishing what is in flight; a second signal stops at once");
    tokio::select! {
        ended = router.shutdown() => {
            let ended = ended.map_err(|error| Failure::because("the store did not close", error))?;
            match ended {
                Ended::Whole => tracing::info!("stopped"),
                Ended::CutOff => tracing::warn!("stopped; deliveries that were cut off go on after the next start"),
            }
            told
        }
        () = signals.next() => Err(Failure::other("stopped at once; what was in flight goes on after the next start")),
    }
}

/// Says which doors are open that production keeps shut.
fn warn_of(config: &Config) {
    if config.egress.allow_http {
        tracing::warn!("egress.allow_http: payloads may leave without encryption");
    }
    if config.egress.allow_private_networks {
        tracing::warn!("egress.allow_private_networks: whoever may write subscriptions reaches this network");
    }
    if !config.server.listen.ip().is_loopback() {
        tracing::warn!(
            server.listen = %config.server.listen,
            "listening beyond this machine without TLS: put a proxy that speaks TLS before it"
        );
    }
}

/// The signals that stop a router.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Catches them from now on.
    pub(super) fn new() -> Result<Self, Failure> {
        let catch = |kind| signal(kind).map_err(|error| Failure::io("cannot catch signals", error));
        Ok(Self {
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_settings_with_their_names() {
        let mut args = Args {
            listen: Some("[::1]:1".into()),
            allow_http: true,
            allow_private_networks: false,
            log_format: None,
            settings: vec!["store.retention=7d".into()],
        };
        let expected = [
            ("--listen", "server.listen", "[::1]:1"),
            ("--allow-http", "egress.allow_http", "true"),
            ("--set", "store.retention", "7d"),
        ];
        let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(args.flags().unwrap(), expected);
        args.settings = vec!["store.retention".into()];
        assert!(matches!(args.flags(), Err(Failure::Usage(_))));
    }
}
