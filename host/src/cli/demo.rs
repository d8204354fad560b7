//! `hookway demo`: a router, a receiver and real events, in ten seconds on an empty machine.
//!
//! The router is the real one, with a database in a temporary directory; the demonstration talks to it
//! as anybody does, by the HTTP API. Only two settings differ from the defaults: egress may reach the
//! receiver on this machine by plain HTTP, and the waits between attempts are short enough to watch.

mod endpoint;
mod scenes;
mod show;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::client::{Client, base_of};
use super::receiver::Receiver;
use super::serve::Signals;
use super::temporary::TemporaryDirectory;
use super::{Context, Failure, read_key};
use crate::clock::Clock;
use crate::config::{AllowRule, AllowWhat, Config};
use crate::router::{ADMIN_KEY_FILE, Router};
use crate::telemetry;
use scenes::{Demo, Ending};
use show::Show;

/// Waits between attempts: short enough to watch. The default profile waits 5 s and then minutes.
const RETRY_WAITS: [Duration; 3] = [
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_secs(2),
];
/// Flags of `demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookway demo
  hookway demo --keep        # leaves router and receiver running, to play with")]
pub(super) struct Args {
    /// Leave it running at the end
    #[arg(long)]
    keep: bool,
}

/// Shows it.
pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let clock = Clock::system();
    let begun = clock.now();
    let directory = TemporaryDirectory::make("demo")?;
    let log = crate::config::Log {
        filter: "error".to_owned(),
        ..Config::default().log
    };
    telemetry::start(&log, context.output.log_colour())
        .map_err(|error| Failure::because("cannot set up logging", error))?;
    let receiver = Receiver::start(clock.clone(), 0, endpoint::replies()).await;
    let receiver = receiver.map_err(|error| Failure::io("cannot listen on this machine", error))?;
    let router = Router::start(config_for(directory.path()), clock.clone())
        .await
        .map_err(|error| Failure::because("the router cannot start", error))?;
    let key_path = directory.path().join(ADMIN_KEY_FILE);
    let client = Client::new(base_of(router.address()), Some(read_key(&key_path)?), None)?;
    let mut demo = Demo {
        show: Show(context.output),
        client,
        clock: clock.clone(),
        receiver,
    };
    let shown = tokio::select! {
        shown = demo.play() => shown,
        () = signals.next() => Err(Failure::other("interrupted")),
    };
    let took = clock.now().since(begun);
    let shown = match shown {
        Ok(()) => demo.go_on(
            took,
            if args.keep {
                Ending::Kept { key: &key_path }
            } else {
                Ending::Over
            },
            &program(),
        ),
        Err(failure) => Err(failure),
    };
    if shown.is_ok() && args.keep {
        // Nobody looks any more, and nothing shall wait for it.
        demo.receiver.received.close();
        signals.next().await;
    }
    let ended = router.shutdown().await;
    shown?;
    ended
        .map(drop)
        .map_err(|error| Failure::because("the store did not close", error))
}

/// What to type to call this program again: after a build it is in no directory of the path.
fn program() -> String {
    let called = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let here = std::env::current_dir().unwrap_or_default();
    let near = called.strip_prefix(&here).ok();
    // Without a slash a shell would look for it in the path.
    let near = near.filter(|near| near.components().nth(1).is_some());
    near.unwrap_or(&called).display().to_string()
}

/// The defaults, but for what the demonstration needs.
fn config_for(directory: &Path) -> Config {
    let this_machine = ipnet::IpNet::from(std::net::IpAddr::from(std::net::Ipv4Addr::LOCALHOST));
    let mut config = Config {
        data_dir: directory.to_owned(),
        ..Config::default()
    };
    config.server.listen.set_port(0);
    config.egress.allow.push(AllowRule {
        what: AllowWhat::Network(this_machine),
        http: true,
    });
    config.dispatch.retry_waits = Some(RETRY_WAITS.to_vec());
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_must_differ_differs_from_the_defaults() {
        let config = config_for(Path::new("x"));
        let defaults = Config::default();
        let differ = crate::config::SETTINGS
            .iter()
            .filter(|setting| setting.show(&config) != setting.show(&defaults));
        let differ: Vec<&str> = differ.map(|setting| setting.path).collect();
        assert_eq!(
            differ,
            [
                "data_dir",
                "server.listen",
                "dispatch.retry_waits",
                "egress.allow"
            ]
        );
    }
}
