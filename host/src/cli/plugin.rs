//! `hookway plugin`: the way from an idea to a plugin that runs, and a look at those that do.
//!
//! `new` makes a crate, `build` a component of it, `test` and `run` try it here and need no router. What
//! they share: `target` (which plugin is meant), `bench` (the runtime that serves, for one command),
//! `sample` (the event), `golden` and `difference` (what came of it, and what differs).

mod bench;
pub(super) mod build;
pub(super) mod crate_dir;
pub(super) mod difference;
pub(super) mod golden;
pub(super) mod inspect;
mod new;
pub(super) mod run;
pub(super) mod sample;
mod schema;
mod target;
mod test;

use http::Method;

use super::client::Body;
use super::output::Column;
use super::{Context, Failure, input};
use build::BuildFlags;
use target::Target;

const COLUMNS: [Column; 5] = [
    ("NAME", "/name"),
    ("VERSION", "/version"),
    ("ORIGIN", "/origin"),
    ("SUMMARY", "/summary"),
    ("DIGEST", "/digest"),
];
const FIELDS: [Column; 9] = [
    ("name", "/name"),
    ("version", "/version"),
    ("summary", "/summary"),
    ("origin", "/origin"),
    ("digest", "/digest"),
    ("event types", "/event_types"),
    ("reaches", "/imports"),
    ("used by", "/used_by"),
    ("held now", "/held"),
];

/// What to do with plugins.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Make a crate that builds at once and passes its own tests
    #[command(after_help = "Examples:
  hookway plugin new leads
  hookway plugin new gate --template filter --dir plugins/gate
  hookway plugin new leads --sdk-path ~/hookway/guest-sdk")]
    New(new::Args),
    /// Build a crate into a component that this router takes
    #[command(after_help = "Examples:
  hookway plugin build
  hookway plugin build ./leads --offline")]
    Build(build::Args),
    /// Try a plugin on the events in fixtures/ and compare with what is expected
    #[command(after_help = "Examples:
  hookway plugin test
  hookway plugin test --update             # what came is what is expected
  hookway plugin test target/leads.wasm")]
    Test(test::Args),
    /// Run a plugin on one event; nothing is sent, and no router is needed
    #[command(after_help = "Examples:
  hookway plugin run . --event fixtures/lead.json
  hookway plugin run slack --type alert.created --data '{\"title\":\"Disk full\"}'
  hookway plugin run jq --type lead.created --data '{\"score\":80}' \\
      --plugin-config '{\"program\":\".score\"}'
  hookway plugin run . --event-id evt_01j… --against leads      # what the new version does otherwise

Exit codes: 0 the plugin decided something, if only to reject the event; 1 the run was a fault; 2 the
configuration is refused.")]
    Run(run::Args),
    /// Upload a plugin under a name; subscriptions that follow the name use it from then on
    #[command(after_help = "Examples:
  hookway plugin push leads .
  hookway plugin push leads target/leads.wasm")]
    Push {
        /// The name that subscriptions use
        name: String,
        /// The component (- for standard input), or a crate's folder, which is built first
        file: String,
        /// Upload even where it breaks subscriptions; those are held
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        flags: BuildFlags,
    },
    /// List the plugins, first-party ones too
    #[command(after_help = "Example:\n  hookway plugin list")]
    List,
    /// Show a plugin: what it reaches, its configuration, its versions, who uses it
    #[command(after_help = "Examples:
  hookway plugin inspect slack
  hookway plugin inspect target/leads.wasm
  hookway plugin inspect slack --schema > slack.schema.json")]
    Inspect(inspect::Args),
}

/// Does it.
pub(super) async fn run(verb: Verb, context: &Context) -> Result<(), Failure> {
    match verb {
        Verb::New(args) => new::run(&args, context),
        Verb::Build(args) => build::run(args, context).await,
        Verb::Test(args) => test::run(args, context).await,
        Verb::Run(args) => run::run(args, context).await,
        Verb::Push {
            name,
            file,
            force,
            flags,
        } => push(&name, &file, force, &flags, context).await,
        Verb::List => {
            let page = context.client()?.get(&["plugins"], &[]).await?;
            context.output.page(&page, &COLUMNS, "no plugins")
        }
        Verb::Inspect(args) => inspect::run(args, context).await,
    }
}

async fn push(
    name: &str,
    file: &str,
    force: bool,
    flags: &BuildFlags,
    context: &Context,
) -> Result<(), Failure> {
    let output = &context.output;
    // Before anything is built: without a key it would be for nothing.
    let client = context.client()?;
    let component = match file {
        "-" => input::file(file)?.into(),
        path => match Target::at(path.as_ref())?.local(flags, output).await? {
            Some(local) => local.component,
            None => return Err(Failure::usage(format!("there is no {path}"))),
        },
    };
    let query: Vec<_> = force.then(|| ("force", "true".to_owned())).into_iter().collect();
    let plugin = client
        .call(
            Method::PUT,
            &["plugins", name],
            &query,
            Body::Component(component),
        )
        .await?;
    if output.json {
        output.answer(&plugin)
    } else {
        output.fields(&plugin, &FIELDS)
    }
}
