//! The command line: one file a verb, and what they share.
//!
//! `serve` and `demo` start a router; `sign`, `verify`, `config`, `explain`, `completions` and `restore` work
//! alone; `backup` does where no router runs; every other verb talks to a router over HTTP and never opens
//! the database beside it. Exit codes are stable: 0 done, 1 it failed, 2 the call was wrong, 3 nobody
//! answered.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

use crate::config::environment::Environment;
use crate::config::{self, Loaded};
use crate::router::ADMIN_KEY_FILE;
use crate::secret::Secret;

mod backup;
pub mod client;
mod completions;
mod deliveries;
mod demo;
mod dev;
mod doctor;
mod event_types;
mod events;
mod explain;
mod failure;
mod follow;
mod health;
mod indent;
mod input;
mod keys;
mod listen;
mod openapi;
mod operations;
mod output;
mod plugin;
pub mod problem;
mod profiles;
mod receiver;
mod restore;
mod send;
mod serve;
mod settings;
mod signature;
mod sources;
mod span;
pub mod sse;
mod story;
mod subscriptions;
mod tail;
mod temporary;
mod tenants;
#[cfg(test)]
mod tests;
mod trigger;

pub use failure::Failure;

use client::Client;
use output::Output;

/// Largest key file. A key has some 60 characters.
const KEY_FILE_BYTES_MAX: u64 = 4_096;
/// How long the runtime waits for what is still running after a command has ended.
const LINGER: std::time::Duration = std::time::Duration::from_millis(200);

/// A self-hosted event router with sandboxed WebAssembly plugins.
#[derive(Debug, Parser)]
#[command(name = "hookway", version, arg_required_else_help = true)]
#[command(after_help = "Try it:\n  hookway demo\n  hookway serve --allow-http --allow-private-networks")]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every verb takes.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Everywhere")]
struct Global {
    /// Where the router is [default: $HOOKWAY_URL, or the configured server.listen on this machine]
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    /// File that holds the API key [or the key itself in $HOOKWAY_KEY; default: admin.key in the data
    /// directory]
    #[arg(long, global = true, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The tenant to act for, with an admin key [default: $HOOKWAY_TENANT]
    #[arg(long, global = true, value_name = "NAME")]
    tenant: Option<String>,
    /// The configuration file [default: $HOOKWAY_CONFIG, or ./hookway.toml if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory [default: ./hookway-data]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// JSON on standard output, for machines
    #[arg(long, global = true)]
    json: bool,
    /// Colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    color: ColourWhen,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ColourWhen {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the router
    Serve(serve::Args),
    /// See it work in ten seconds: a router, a receiver, real events
    Demo(demo::Args),
    /// Run a router that builds your plugin again whenever its code changes
    Dev(dev::Args),
    /// Send an event
    Send(send::Args),
    /// Send a sample event of a type
    Trigger(trigger::Args),
    /// Watch what happens, as it happens
    Tail(tail::Args),
    /// Receive on this machine: show and verify what arrives
    Listen(listen::Args),
    /// API keys
    #[command(
        subcommand,
        after_help = "Examples:\n  hookway keys create --name ci --scope ingest\n  hookway keys list"
    )]
    Keys(keys::Verb),
    /// Tenants: owners of subscriptions, plugins and keys
    #[command(
        subcommand,
        after_help = "Examples:\n  hookway tenants create acme\n  hookway tenants list"
    )]
    Tenants(tenants::Verb),
    /// Subscriptions: which events go where, and what they look like there
    #[command(
        subcommand,
        visible_alias = "webhooks",
        after_help = "Examples:\n  hookway subscriptions list\n  hookway subscriptions create --name orders --event 'order.*' --url https://example.com/hook"
    )]
    Subscriptions(subscriptions::Verb),
    /// Sources: where other services deliver their webhooks
    #[command(
        subcommand,
        after_help = "Examples:\n  hookway sources presets\n  hookway sources create --name github --preset github\n  hookway sources receptions github"
    )]
    Sources(sources::Verb),
    /// Event types: what they mean, their schemas and samples
    #[command(
        subcommand,
        after_help = "Examples:\n  hookway event-types load workflows\n  hookway event-types list --language es"
    )]
    EventTypes(event_types::Verb),
    /// Events that came in
    #[command(
        subcommand,
        after_help = "Examples:\n  hookway events list --type order.paid\n  hookway events show evt_01j…"
    )]
    Events(events::Verb),
    /// Deliveries: what became of an event for a subscription
    #[command(
        subcommand,
        after_help = "Examples:\n  hookway deliveries list --status failed\n  hookway deliveries show dlv_01j…"
    )]
    Deliveries(deliveries::Verb),
    /// Send again what failed: the same requests, under the same ids
    Recover(operations::RecoverArgs),
    /// Make new deliveries of old events, through today's plugins
    Replay(operations::ReplayArgs),
    /// What `recover` and `replay` do in the background
    #[command(
        subcommand,
        after_help = "Examples:\n  hookway operations list --running\n  hookway operations cancel op_01j…"
    )]
    Operations(operations::Verb),
    /// Plugins: make, build, test, upload and look at them
    #[command(
        subcommand,
        after_help = "Examples:\n  hookway plugin new leads\n  hookway plugin test\n  hookway plugin push leads ."
    )]
    Plugin(plugin::Verb),
    /// Profiles: how deliveries look and behave
    #[command(
        subcommand,
        after_help = "Examples:\n  hookway profiles list\n  hookway profiles show github > acme.toml\n  hookway profiles put acme.toml --name acme"
    )]
    Profiles(profiles::Verb),
    /// Sign a body as a delivery is signed
    Sign(signature::SignArgs),
    /// Verify the signature of a delivery
    Verify(signature::VerifyArgs),
    /// Show every setting, its value and where it comes from
    Config(settings::Args),
    /// Ask the router whether it is well (for container health checks)
    Health(health::Args),
    /// Put everything into one file, while the router works
    Backup(backup::Args),
    /// Make a data directory of a backup
    Restore(restore::Args),
    /// Look whether everything is well, and say what to do where it is not
    Doctor(doctor::Args),
    /// Say what a problem means and what to do about it
    Explain(explain::Args),
    /// Print the OpenAPI document
    #[command(after_help = "Example:\n  hookway openapi > openapi.json")]
    Openapi,
    /// Print a completion script
    Completions(completions::Args),
    /// Compile one component; how the router starts its own helper
    #[command(hide = true)]
    CompileWorker,
}

/// What a verb has at hand.
struct Context {
    global: Global,
    environment: Environment,
    output: Output,
}

/// The whole program, behind `main`.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Command::CompileWorker = cli.command {
        // No runtime, no threads: this process lives under tight limits.
        return ExitCode::from(crate::plugin::compile_worker());
    }
    let environment = Environment::read();
    let output = Output::new(cli.global.json, cli.global.color, environment.no_color);
    let context = Context {
        global: cli.global,
        environment,
        output,
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return context.output.failed(&Failure::io("cannot start", error)),
    };
    let result = runtime.block_on(run(cli.command, &context));
    runtime.shutdown_timeout(LINGER);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => context.output.failed(&failure),
    }
}

async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Serve(args) => serve::run(args, context).await,
        Command::Demo(args) => demo::run(args, context).await,
        Command::Dev(args) => dev::run(args, context).await,
        Command::Send(args) => send::run(args, context).await,
        Command::Trigger(args) => trigger::run(args, context).await,
        Command::Tail(args) => tail::run(args, context).await,
        Command::Listen(args) => listen::run(args, context).await,
        Command::Keys(verb) => keys::run(verb, context).await,
        Command::Tenants(verb) => tenants::run(verb, context).await,
        Command::Subscriptions(verb) => subscriptions::run(verb, context).await,
        Command::Sources(verb) => sources::run(verb, context).await,
        Command::EventTypes(verb) => event_types::run(verb, context).await,
        Command::Events(verb) => events::run(verb, context).await,
        Command::Deliveries(verb) => deliveries::run(verb, context).await,
        Command::Recover(args) => operations::recover(args, context).await,
        Command::Replay(args) => operations::replay(args, context).await,
        Command::Operations(verb) => operations::run(verb, context).await,
        Command::Plugin(verb) => plugin::run(verb, context).await,
        Command::Profiles(verb) => profiles::run(verb, context).await,
        Command::Sign(args) => signature::sign(args, context),
        Command::Verify(args) => signature::verify(args, context),
        Command::Config(args) => settings::run(args, context),
        Command::Health(args) => health::run(args, context).await,
        Command::Backup(args) => backup::run(args, context).await,
        Command::Restore(args) => restore::run(args, context),
        Command::Doctor(args) => doctor::run(args, context).await,
        Command::Explain(args) => explain::run(&args, context),
        Command::Openapi => openapi::run(context),
        Command::Completions(args) => completions::run(args, &mut Cli::command()),
        Command::CompileWorker => Ok(()),
    }
}

impl Context {
    /// The configuration, with these flags above it.
    fn load(&self, flags: Vec<(String, String, String)>) -> Result<Loaded, Failure> {
        let data_dir = self.global.data_dir.clone();
        let data_dir = data_dir.map(|dir| ("--data-dir".to_owned(), "data_dir".to_owned(), dir));
        let flags = data_dir.into_iter().chain(flags).collect();
        Ok(config::layers::load(
            flags,
            &self.environment,
            self.global.config.as_deref(),
        )?)
    }

    /// Where somebody said that the router is.
    fn named(&self) -> Option<&String> {
        self.global.server.as_ref().or(self.environment.url.as_ref())
    }

    /// Where the router is: where somebody said, or where one on this machine listens.
    fn base(&self) -> Result<url::Url, Failure> {
        match self.named() {
            Some(url) => client::base_from(url),
            None => Ok(client::base_of(self.load(Vec::new())?.config.server.listen)),
        }
    }

    /// A client of the router, with the key that this machine or the caller has.
    fn client(&self) -> Result<Client, Failure> {
        let loaded = self.load(Vec::new())?;
        let base = match self.named() {
            Some(url) => client::base_from(url)?,
            None => client::base_of(loaded.config.server.listen),
        };
        let (key, key_from) = self.key(&loaded, &base)?;
        let tenant = self
            .global
            .tenant
            .clone()
            .or_else(|| self.environment.tenant.clone());
        Ok(Client::new(base, Some(key), tenant)?.with_key_from(key_from))
    }

    /// The key from `--key-file`, `HOOKWAY_KEY` or, for a router on this machine, its admin key, and
    /// which of them it is. The admin key of this machine is never sent to another one.
    fn key(&self, loaded: &Loaded, base: &url::Url) -> Result<(Secret, String), Failure> {
        if let Some(path) = &self.global.key_file {
            return Ok((read_key(path)?, path.display().to_string()));
        }
        if let Some(key) = &self.environment.key {
            return Ok((key.clone(), variable(key)));
        }
        if !client::is_local(base) {
            return Err(Failure::usage(format!(
                "{} is another machine: give a key of it in HOOKWAY_KEY or with --key-file",
                base.origin().ascii_serialization()
            )));
        }
        if let Some(key) = &loaded.config.admin_key {
            return Ok((key.clone(), "the setting admin_key".to_owned()));
        }
        let path = loaded.config.data_dir.join(ADMIN_KEY_FILE);
        match path.try_exists() {
            Ok(true) => {
                let place = format!("{}; --data-dir names the router's own", path.display());
                Ok((read_key(&path)?, place))
            }
            Ok(false) => Err(Failure::usage(format!(
                "no API key: there is no {}, which a router makes when it first starts; name its data directory \
                 with --data-dir, or give a key in HOOKWAY_KEY or with --key-file",
                path.display()
            ))),
            Err(error) => Err(Failure::io(
                format!(
                    "no API key: {} cannot be looked for; call this as the user that runs the router, or give a \
                     key in HOOKWAY_KEY or with --key-file",
                    path.display()
                ),
                error,
            )),
        }
    }
}

/// What is said of a key in the environment that a router does not know. Some put there where the key is.
fn variable(key: &Secret) -> String {
    match std::path::Path::new(key.reveal()).exists() {
        true => "HOOKWAY_KEY, which looks like the path of a file: it holds the key itself, --key-file names a file",
        false => "HOOKWAY_KEY",
    }
    .to_owned()
}

/// Reads a key or secret from a file, or from standard input for `-`: one line.
fn read_key(path: &std::path::Path) -> Result<Secret, Failure> {
    use std::io::Read;
    let what = || format!("cannot read {}", path.display());
    let mut text = String::new();
    let file: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(path).map_err(|error| Failure::io(what(), error))?)
    };
    file.take(KEY_FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| Failure::io(what(), error))?;
    match text.trim() {
        "" => Err(Failure::usage(format!("{} is empty", path.display()))),
        text => Ok(Secret::new(text)),
    }
}
