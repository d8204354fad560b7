//! The router as a whole: opens the store, resumes what is pending, serves the API, and ends in order.
//!
//! This is the one room that knows all others. It builds, in this order: store → plugins → registry →
//! dispatcher and way in → control → API; and ends in this one: no more calls → nothing more is
//! started → what is under way ends and is committed → the store is closed.

mod settings;
mod stored;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::activity::Feed;
use crate::auth::KeyPrefix;
use crate::backup::{self, Backups};
use crate::catalogue::Catalogue;
use crate::clock::Clock;
use crate::config::Config;
use crate::control::steward::Keeper;
use crate::control::{self, Control};
use crate::dispatcher::{Dispatcher, Endpoints, Loader, Tools};
use crate::doctor::{self, Doctor};
use crate::egress::Egress;
use crate::first_party::FIRST_PARTY;
use crate::housekeeping::Housekeeping;
use crate::id::{Generator, SubscriptionId};
use crate::ingest::Ingest;
use crate::intake::{Certificates, Intake, Recorder, Sources};
use crate::meter::Meters;
use crate::metrics::Metrics;
use crate::plugin::{Compiler, Runtime, RuntimeOptions};
use crate::recovery::{self, Recovery};
use crate::registry::Registry;
use crate::render::Renderer;
use crate::scrape::Scrape;
use crate::secret::Secret;
use crate::sentinel::{Gauges, Sentinel};
use crate::space::{self, Space};
use crate::store::sqlite::SqliteStore;
use crate::store::{self, Store};
use crate::trial::Trial;
use crate::{api, auth};

/// File in the data directory that holds the admin key of the first start.
pub const ADMIN_KEY_FILE: &str = store::files::ADMIN_KEY;
/// Directory in the data directory that holds compiled plugins.
const ARTEFACTS: &str = "compiled";
/// The purpose of the key that authenticates them.
const ARTEFACT_KEY: &str = "hookway compiled plugins";
/// The command that makes this binary the child that compiles.
const COMPILE_WORKER: &str = "compile-worker";

/// Why the router does not start. Each says what, where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be opened.
    #[error("the data directory cannot be used")]
    Open(#[from] store::sqlite::OpenError),
    /// What is stored cannot be read.
    #[error(
        "what is stored in {} cannot be read; restore a backup if it is damaged",
        store::files::DATABASE
    )]
    Store(#[from] store::Error),
    /// The plugin runtime does not start.
    #[error("the plugin runtime does not start")]
    Plugins(#[from] crate::plugin::StartError),
    /// The client for deliveries cannot be made.
    #[error("the client for deliveries cannot be made")]
    Egress(#[from] crate::egress::EgressError),
    /// A stored subscription is not valid any more.
    #[error("the stored subscription {id} is not valid any more")]
    Subscription {
        /// Which.
        id: SubscriptionId,
        /// Why.
        #[source]
        fault: crate::routing::RouteError,
    },
    /// The path of this program is unknown.
    #[error("the path of this program is unknown, but it must be started again to compile plugins")]
    Program(#[source] std::io::Error),
    /// The process is ending already.
    #[error("the process is ending")]
    Interrupted,
    /// The configured waits are no schedule.
    #[error("dispatch.retry_waits is no retry schedule")]
    Schedule(#[from] crate::retry::ScheduleFault),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}; choose another address with --listen")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The admin key cannot be written or read.
    #[error("the admin key at {} cannot be written or read", path.display())]
    AdminKey {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A running router.
pub struct Router {
    address: SocketAddr,
    admin_key_path: Option<PathBuf>,
    draining: watch::Sender<bool>,
    serving: JoinHandle<api::server::Drained>,
    dispatching: JoinHandle<()>,
    recovering: JoinHandle<()>,
    dispatcher: Dispatcher,
    store: Arc<dyn Store>,
    drain: Duration,
}

/// How a router ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything under way ended and was committed.
    Whole,
    /// Some deliveries under way took too long; they are tried again after the next start.
    CutOff,
}

impl Router {
    /// Builds everything and resumes what is pending. It serves when this returns.
    pub async fn start(config: Config, clock: Clock) -> Result<Self, StartError> {
        allow_many_files();
        let marks = space::marks(&config);
        space::before_start(&config.data_dir, &marks);
        let options = settings::store(&config, clock.now());
        let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&options)).await;
        let store = opened.map_err(|_| StartError::Interrupted)??;
        let artefact_key = store.derived_key(ARTEFACT_KEY);
        let store: Arc<dyn Store> = Arc::new(store);
        backup::clean(
            config.store.backup_dir.as_ref().unwrap_or(&config.data_dir),
            &config.data_dir,
        );
        let (operator_key, admin_key_path) = operator_key(&config)?;

        let ids = Arc::new(Generator::new(store.node().await?));
        ids.observe(store.newest_id().await?);
        let runtime = Runtime::start(RuntimeOptions {
            limits: config.plugins.clone(),
            artefact_dir: config.data_dir.join(ARTEFACTS),
            artefact_key,
            compiler: compiler(&config)?,
        })?;
        let catalogue = Arc::new(Catalogue::open(runtime.clone(), store.clone(), FIRST_PARTY).await?);
        let shelf = stored::profiles(&*store, clock.now()).await?;
        let routes = stored::routes(&*store, &shelf, clock.now()).await?;
        let registry = Arc::new(Registry::new(shelf, routes));
        registry.event_types().hold_to(settings::checks(&config));
        let sources = Arc::new(Sources::new(stored::sources(&*store, clock.now()).await?));
        let policy = settings::policy(&config);
        let egress = Egress::new(policy.clone(), settings::egress(&config))?;
        let feed = Feed::default();
        let gauges = Arc::new(Gauges::default());
        let space = Arc::new(Space::default());
        let (metrics, started_at) = (Arc::new(Metrics::default()), clock.now());
        let (dispatcher, work) = Dispatcher::new(settings::queue(&config));
        let ingest = Arc::new(Ingest {
            store: store.clone(),
            registry: registry.clone(),
            ids: ids.clone(),
            clock: clock.clone(),
            dispatcher: Arc::new(dispatcher.clone()),
            feed: feed.clone(),
            gauges: gauges.clone(),
            space: space.clone(),
            metrics: metrics.clone(),
            unmatched: crate::ingest::Unmatched::default(),
            idempotency_window: config.ingest.idempotency_window,
            repetition_window: config.sources.repetition_window,
        });
        let control = Control::open(control::Parts {
            store: store.clone(),
            registry: registry.clone(),
            sources: sources.clone(),
            catalogue: catalogue.clone(),
            runtime: runtime.clone(),
            policy: Arc::new(policy),
            ids: ids.clone(),
            clock: clock.clone(),
            operator_key: Some(auth::hash_key(operator_key.reveal())),
            ingest: ingest.clone(),
            key_prefix: config.keys.prefix.clone(),
        })
        .await?;
        let intake = Intake {
            sources,
            ingest: ingest.clone(),
            certificates: Certificates::new(egress.clone(), clock.clone()),
            recorder: Recorder::new(store.clone(), config.sources.refusals_kept_per_minute),
            ids: ids.clone(),
            clock: clock.clone(),
            feed: feed.clone(),
            failures: crate::telemetry::Budget::default(),
            public_url: config.server.public_url.clone(),
            limits: settings::intake(&config),
        };
        let keeper = Keeper {
            control: control.clone(),
            clock: clock.clone(),
            feed: feed.clone(),
            gauges: gauges.clone(),
        };
        keeper.catch_up().await?;
        let meters = Arc::new(Meters::new(clock.now()));
        let doctor = Doctor::new(doctor::Parts {
            store: store.clone(),
            registry: registry.clone(),
            catalogue: catalogue.clone(),
            dispatcher: dispatcher.clone(),
            policy: egress.policy().clone(),
            clock: clock.clone(),
            config: config.clone(),
        });
        let renderer = Renderer::new(
            catalogue,
            runtime.clone(),
            control.clone(),
            ids.clone(),
            clock.clone(),
        );
        let trial = Trial::new(
            control.clone(),
            renderer.clone(),
            egress.clone(),
            ids.clone(),
            clock.clone(),
        );
        let tools = Tools {
            loader: Loader::start(store.clone()),
            store: store.clone(),
            registry: registry.clone(),
            renderer,
            egress,
            ingest: ingest.clone(),
            ids: ids.clone(),
            clock: clock.clone(),
            feed: feed.clone(),
            told: crate::dispatcher::Told::default(),
            gauges: gauges.clone(),
            meters: meters.clone(),
            metrics: metrics.clone(),
            steward: Arc::new(keeper),
            stalled: crate::dispatcher::Stalled::default(),
            endpoints: Endpoints::default(),
            in_flight: config.dispatch.in_flight_per_subscription,
            schedule: settings::schedule(&config)?,
            wait_max: settings::wait_max(&config),
        };

        let (listener, address) = listen(config.server.listen).await?;
        let (draining, stop) = watch::channel(false);
        let housekeeping = Housekeeping {
            store: store.clone(),
            registry: registry.clone(),
            clock: clock.clone(),
            feed: feed.clone(),
            ingest: ingest.clone(),
            keeping: settings::keeping(&config),
        };
        tokio::spawn(housekeeping.run(stop.clone()));
        let looking = space::Watch {
            data_dir: config.data_dir.clone(),
            marks,
            store: store.clone(),
            space: space.clone(),
            gauges: gauges.clone(),
            clock: clock.clone(),
        };
        let mut watching = space::Watching::default();
        looking.look(&mut watching).await;
        tokio::spawn(looking.run(watching, stop.clone()));
        let sentinel = Sentinel {
            store: store.clone(),
            registry: registry.clone(),
            ingest: ingest.clone(),
            dispatcher: dispatcher.clone(),
            gauges,
            space: space.clone(),
            clock: clock.clone(),
            limits: settings::alerts(&config),
        };
        tokio::spawn(sentinel.run(stop.clone()));
        let dispatching = tokio::spawn(work.run(Arc::new(tools)));
        let recovery = Recovery::new(recovery::Parts {
            store: store.clone(),
            registry: registry.clone(),
            ids,
            clock: clock.clone(),
            wake: Arc::new(dispatcher.clone()),
            announce: Arc::new(recovery::Herald(ingest.clone())),
            stop: stop.clone(),
        });
        let recovering = tokio::spawn(recovery.clone().run(stop.clone()));
        let backups = Backups::new(
            store.clone(),
            config.data_dir.clone(),
            config.store.backup_dir.clone(),
            space.clone(),
            clock.clone(),
        );
        let scrape = Scrape {
            metrics: metrics.clone(),
            store: store.clone(),
            dispatcher: dispatcher.clone(),
            registry: registry.clone(),
            runtime,
            draining: stop.clone(),
            started_at,
        };
        let app = api::router(api::State {
            control,
            ingest,
            trial,
            intake,
            bodies: api::bodies::Room::new(config.sources.body_memory_max),
            refusals: crate::telemetry::Budget::default(),
            store: store.clone(),
            registry,
            feed,
            clock,
            wake: Arc::new(dispatcher.clone()),
            recovery,
            backups,
            meters,
            doctor,
            draining: stop.clone(),
            traffic: api::traffic::Traffic::new(metrics),
            scrape,
            metrics_for: settings::metrics_for(&config),
            limits: settings::api(&config),
        });
        let serving = tokio::spawn(api::server::serve(listener, app, settings::server(&config), stop));
        let drain = config.dispatch.drain;
        Ok(Self {
            address,
            admin_key_path,
            draining,
            serving,
            dispatching,
            recovering,
            dispatcher,
            store,
            drain,
        })
    }

    /// Where the API is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin key is, unless it came from outside.
    pub fn admin_key_path(&self) -> Option<&Path> {
        self.admin_key_path.as_deref()
    }

    /// Waits until nothing is under way and nothing that is due could start.
    pub async fn settled(&self) {
        self.dispatcher.settled().await;
    }

    /// Waits until the router can do no more, which happens only when its store has failed. Where nothing is
    /// to be delivered, the dispatcher would not notice.
    pub async fn failed(&self) {
        tokio::select! {
            () = self.dispatcher.ended() => {}
            () = self.store.ended() => {}
        }
    }

    /// Stops accepting, lets what is under way end within the drain time, and closes the store.
    ///
    /// Everything has the same time, not one after another: who sends a request slowly must neither double
    /// the time nor take it from deliveries that would have ended in it.
    pub async fn shutdown(self) -> store::Result<Ended> {
        self.draining.send_replace(true);
        let mut recovering = self.recovering;
        let (served, recovered, stopped) = tokio::join!(
            self.serving,
            // A step is short; what one of them cannot end is in the store as it was before it.
            tokio::time::timeout(self.drain, &mut recovering),
            tokio::time::timeout(self.drain, self.dispatcher.stop()),
        );
        let served = served.unwrap_or(api::server::Drained::CutOff);
        if recovered.is_err() {
            recovering.abort();
        }
        // What is cut off here is in the ledger and goes on after the next start.
        self.dispatching.abort();
        self.store.close().await?;
        Ok(match (served, stopped) {
            (api::server::Drained::Whole, Ok(())) => Ended::Whole,
            _ => Ended::CutOff,
        })
    }
}

/// Seals everything that is secret in a data directory anew, under another key; says how many values. No
/// router may serve it. Blocks.
pub fn reseal(config: &Config) -> Result<usize, StartError> {
    Ok(store::sqlite::reseal(&config.data_dir)?)
}

/// Every connection is a file, and the usual soft limit of 1,024 is less than the limits of this
/// program allow; the hard limit is what the operator means.
fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, files = limit.current, "the limit of open files could not be raised");
    }
}

/// What compiles plugins: this program as a child, where no other is configured.
pub fn compiler(config: &Config) -> Result<Compiler, StartError> {
    let program = match &config.plugins.compiler {
        Some(program) => program.clone(),
        None => std::env::current_exe().map_err(StartError::Program)?,
    };
    Ok(Compiler::Child {
        program,
        args: vec![COMPILE_WORKER.into()],
    })
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let fault = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(fault)?;
    let address = listener.local_addr().map_err(fault)?;
    Ok((listener, address))
}

/// The admin key: from outside, or from the file of the first start, which is made where it is not.
fn operator_key(config: &Config) -> Result<(Secret, Option<PathBuf>), StartError> {
    if let Some(key) = &config.admin_key {
        return Ok((key.clone(), None));
    }
    let path = config.data_dir.join(ADMIN_KEY_FILE);
    match admin_key_file(&path, &config.keys.prefix) {
        Ok(key) => Ok((key, Some(path))),
        Err(source) => Err(StartError::AdminKey { path, source }),
    }
}

fn admin_key_file(path: &Path, prefix: &KeyPrefix) -> std::io::Result<Secret> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(mut file) => {
            let key = auth::generate_key(prefix);
            writeln!(file, "{}", key.reveal())?;
            file.sync_all()?;
            Ok(key)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Ok(Secret::new(std::fs::read_to_string(path)?.trim()))
        }
        Err(error) => Err(error),
    }
}
