//! `hookway dev`: a router that builds your plugin again whenever its code changes.
//!
//! It is the router of `serve` with the development switches, and a plugin gets into it as it always
//! does, by an upload: subscriptions follow the name, what is under way ends with the version that it
//! began with, and nothing is lost. Code that does not compile, and a version that a subscription's
//! configuration does not fit, are shown; the version before serves on. After a swap the last event is
//! run once more, by both versions, and what differs is shown.

mod again;
mod watch;

use std::path::PathBuf;
use std::str::FromStr;

use http::Method;

use super::client::{Body, Client, base_of};
use super::output::{Output, Tone, cell, clean};
use super::plugin::build::{BuildFlags, build};
use super::plugin::crate_dir::CrateDir;
use super::plugin::inspect::{kilobytes, short};
use super::serve::{Signals, set_flags};
use super::{Context, Failure, read_key};
use crate::clock::Clock;
use crate::router::Router;
use crate::telemetry;
use again::Versions;
use watch::Watch;

/// Flags of `dev`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookway dev --plugin .
  hookway dev --plugin ./leads --plugin gate=../other --listen 127.0.0.1:9000")]
pub(super) struct Args {
    /// The folder of a plugin's crate; NAME=DIR where subscriptions name it otherwise than its package
    #[arg(long = "plugin", value_name = "[NAME=]DIR", required = true)]
    plugins: Vec<Named>,
    /// Address and port to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Any setting; `hookway config` lists them
    #[arg(long = "set", value_name = "SETTING=VALUE")]
    settings: Vec<String>,
    #[command(flatten)]
    flags: BuildFlags,
}

/// A crate, and the name that subscriptions use where it is not the package's.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    name: Option<String>,
    path: PathBuf,
}

impl FromStr for Named {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.split_once('=') {
            Some((name, path)) if !name.contains('/') => Self {
                name: Some(name.to_owned()),
                path: path.into(),
            },
            _ => Self {
                name: None,
                path: text.into(),
            },
        })
    }
}

/// One plugin under development.
struct Plugin {
    name: String,
    source: CrateDir,
    watch: Watch,
}

/// Runs the router and keeps the plugins in it new.
pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let mut plugins = Vec::with_capacity(args.plugins.len());
    for Named { name, path } in &args.plugins {
        let source = CrateDir::open(path)?;
        plugins.push(Plugin {
            name: name.clone().unwrap_or_else(|| source.name.clone()),
            watch: Watch::start(path)?,
            source,
        });
    }
    let config = context.load(args.settings()?)?.config;
    telemetry::start(&config.log, context.output.log_colour())
        .map_err(|error| Failure::because("cannot set up logging", error))?;
    let mut signals = Signals::new()?;
    let given_key = config.admin_key.clone();
    let router = Router::start(config, Clock::system())
        .await
        .map_err(|error| Failure::because("the router cannot start", error))?;
    let key = match (given_key, router.admin_key_path()) {
        (Some(key), _) => Some(key),
        (None, Some(path)) => Some(read_key(path)?),
        (None, None) => None,
    };
    let base = base_of(router.address());
    let output = context.output;
    output.line(&format!(
        "{} {}; ctrl-c ends it",
        output.tone(Tone::Title, "router"),
        base.origin().ascii_serialization()
    ))?;
    if let Some(warning) = beyond_this_machine(router.address()) {
        output.line(&output.tone(Tone::Bad, warning))?;
    }
    let client = Client::new(base, key, context.global.tenant.clone())?;
    let told = tokio::select! {
        kept = keep_new(&plugins, &client, &args.flags, &output) => kept,
        () = signals.next() => Ok(()),
        () = router.failed() => Err(Failure::other("the store failed; the log says how")),
    };
    let ended = router.shutdown().await;
    told?;
    ended
        .map(drop)
        .map_err(|error| Failure::because("the store did not close", error))
}

/// What is said of an address that others can reach: it may be a setting's that was meant for `serve`.
fn beyond_this_machine(address: std::net::SocketAddr) -> Option<&'static str> {
    (!address.ip().to_canonical().is_loopback()).then_some(
        "others can reach it, and it sends over plain HTTP and into private networks; \
         --listen 127.0.0.1:8080 keeps it on this machine",
    )
}

impl Args {
    fn settings(&self) -> Result<Vec<(String, String, String)>, Failure> {
        let switch = |path: &str| ("hookway dev".to_owned(), path.to_owned(), "true".to_owned());
        let mut flags = vec![
            switch("egress.allow_http"),
            switch("egress.allow_private_networks"),
        ];
        let listen = self.listen.clone();
        flags.extend(listen.map(|value| ("--listen".to_owned(), "server.listen".to_owned(), value)));
        flags.extend(set_flags(&self.settings)?);
        Ok(flags)
    }
}

/// Builds and uploads each plugin, now and after every change, for ever.
async fn keep_new(
    plugins: &[Plugin],
    client: &Client,
    flags: &BuildFlags,
    output: &Output,
) -> Result<(), Failure> {
    // One build at a time, so that two compilers do not talk at once.
    let turn = tokio::sync::Mutex::new(());
    let each = plugins.iter().map(async |plugin| {
        let mut serving = None;
        loop {
            {
                let _turn = turn.lock().await;
                renew(plugin, &mut serving, client, flags, output).await?;
            }
            plugin.watch.changed().await;
        }
    });
    futures_util::future::try_join_all(each)
        .await
        .map(|_: Vec<()>| ())
}

/// One build and upload. Only an output that nobody reads is a failure; the rest is the author's to read.
/// `serving` is the digest of the version that was uploaded last.
async fn renew(
    plugin: &Plugin,
    serving: &mut Option<String>,
    client: &Client,
    flags: &BuildFlags,
    output: &Output,
) -> Result<(), Failure> {
    let name = output.tone(Tone::Title, &clean(&plugin.name));
    let built = match build(&plugin.source, flags, output).await {
        Ok(built) => built,
        Err(failure) => {
            return kept(output, &name, "it does not build", &failure);
        }
    };
    let size = built.component.len();
    let path = ["plugins", &plugin.name];
    let upload = client.call(Method::PUT, &path, &[], Body::Component(built.component));
    match upload.await {
        Ok(answer) => {
            let used_by = answer["used_by"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            let users = match used_by.len() {
                1 => "1 subscription".to_owned(),
                users => format!("{users} subscriptions"),
            };
            output.line(&format!(
                "{name}  {} {}  {}  {}  used by {users}",
                output.tone(Tone::Good, "serves"),
                cell(&answer["version"]),
                kilobytes(size),
                output.tone(Tone::Faint, &short(&cell(&answer["digest"]))),
            ))?;
            let new = cell(&answer["digest"]);
            let old = serving.replace(new.clone()).filter(|old| *old != new);
            let (Some(old), Some(subscription)) = (old, used_by.first().and_then(|id| id.as_str())) else {
                return Ok(());
            };
            let versions = Versions {
                name: &plugin.name,
                old: &old,
                new: &new,
            };
            again::show(&versions, subscription, client, output).await
        }
        Err(failure) => kept(output, &name, "the router does not take it", &failure),
    }
}

fn kept(output: &Output, name: &str, what: &str, failure: &Failure) -> Result<(), Failure> {
    output.line(&format!(
        "{name}  {}; the version before serves on, if there is one",
        output.tone(Tone::Bad, what)
    ))?;
    for line in failure.chain().iter().flat_map(|text| text.lines()) {
        output.line(&format!("  {line}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_works_for_others_too_is_told() {
        for (address, told) in [
            ("127.0.0.1:1", false),
            ("[::1]:1", false),
            ("[::ffff:127.0.0.1]:1", false),
            ("0.0.0.0:1", true),
            ("[::]:1", true),
            ("192.168.0.2:1", true),
        ] {
            assert_eq!(
                beyond_this_machine(address.parse().unwrap()).is_some(),
                told,
                "{address}"
            );
        }
    }

    #[test]
    fn a_plugin_may_have_another_name_than_its_package() {
        let parse = |text: &str| text.parse::<Named>().unwrap();
        assert_eq!(parse("./a").name, None);
        assert_eq!(parse("./a=b").path, PathBuf::from("./a=b"));
        let named = parse("gate=../x");
        assert_eq!(
            (named.name.as_deref(), named.path),
            (Some("gate"), PathBuf::from("../x"))
        );
    }
}
