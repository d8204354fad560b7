//! The router as a whole: opens the store, resumes what is pending, serves the API, and ends in order.
//!
//! This is the one room that knows all others. It builds, in this order: store → plugins → registry →
//! dispatcher and way in → control → API; and ends in this one: no more calls → nothing more is
//! started → what is under way ends and is committed → the store is closed.

mod limits;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::activity::Feed;
use crate::catalogue::Catalogue;
use crate::clock::Clock;
use crate::config::Config;
use crate::control::{self, Control};
use crate::dispatcher::{Dispatcher, Endpoints, QueueLimits, Tools};
use crate::egress::Egress;
use crate::housekeeping::Housekeeping;
use crate::id::Generator;
use crate::ingest::Ingest;
use crate::plugin::{Compiler, Runtime, RuntimeOptions};
use crate::registry::Registry;
use crate::render::Renderer;
use crate::retry::Schedule;
use crate::routing::Route;
use crate::secret::Secret;
use crate::store::sqlite::{SqliteOptions, SqliteStore};
use crate::store::{self, Retention, Store};
use crate::{api, auth};

/// File in the data directory that holds the admin key of the first start.
pub const ADMIN_KEY_FILE: &str = "admin.key";
/// Directory in the data directory that holds compiled plugins.
const ARTEFACTS: &str = "compiled";
/// The argument that makes this binary the compile child.
pub const COMPILE_WORKER: &str = "compile-worker";
/// Due rows in memory for one subscription; more are read from the ledger when there is room.
const LANE_ROWS_MAX: usize = 10_000;
/// Slow requests under way in all: each holds a connection and its body.
const SLOW_MAX: usize = 4_096;

/// Why the router does not start. Each says what, where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be opened.
    #[error("the data directory cannot be used")]
    Open(#[from] store::sqlite::OpenError),
    /// The store does not answer.
    #[error("the store does not answer")]
    Store(#[from] store::Error),
    /// The plugin runtime does not start.
    #[error("the plugin runtime does not start")]
    Plugins(#[from] crate::plugin::StartError),
    /// The client for deliveries cannot be made.
    #[error("the client for deliveries cannot be made")]
    Egress(#[from] crate::egress::StartError),
    /// A stored subscription is not valid any more.
    #[error("the stored subscription {id} is not valid any more")]
    Subscription {
        /// Which.
        id: crate::id::SubscriptionId,
        /// Why.
        #[source]
        fault: crate::routing::RouteError,
    },
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
    draining: watch::Sender<bool>,
    serving: JoinHandle<api::server::Drained>,
    dispatching: JoinHandle<()>,
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
        let store = open_store(&config, &clock).await?;
        let ids = Arc::new(Generator::new(0));
        ids.observe(store.newest_id().await?);
        let operator_key = operator_key(&config)?;
        let registry = Arc::new(Registry::new(stored_routes(&*store).await?));
        let runtime = start_runtime(&config, &store)?;
        let catalogue = Catalogue::open(runtime.clone(), store.clone(), crate::first_party::FIRST_PARTY).await?;
        let catalogue = Arc::new(catalogue);
        let policy = Arc::new(config.egress.policy());
        let egress = Egress::new(&policy, config.egress.limits())?;
        let feed = Feed::default();
        let control = Control::open(control::Parts {
            store: store.clone(),
            registry: registry.clone(),
            catalogue: catalogue.clone(),
            runtime: runtime.clone(),
            policy,
            ids: ids.clone(),
            clock: clock.clone(),
            operator_key: Some(auth::hash_key(operator_key.reveal())),
        })
        .await?;

        let (dispatcher, work) = Dispatcher::new(QueueLimits {
            in_flight_max: config.dispatch.in_flight_max,
            slow_max: SLOW_MAX,
            rows_max: config.dispatch.queue_capacity,
            lane_rows_max: LANE_ROWS_MAX,
        });
        let ingest = Arc::new(Ingest {
            store: store.clone(),
            registry: registry.clone(),
            ids: ids.clone(),
            clock: clock.clone(),
            dispatcher: Arc::new(dispatcher.clone()),
            feed: feed.clone(),
            idempotency_window: config.ingest.idempotency_window,
        });
        let schedule = config.dispatch.retry_waits.clone().map(Schedule::of_waits).transpose()?;
        let tools = Arc::new(Tools {
            store: store.clone(),
            registry: registry.clone(),
            renderer: Renderer::new(catalogue, runtime, control.clone(), ids.clone(), clock.clone()),
            egress,
            ingest: ingest.clone(),
            ids,
            clock: clock.clone(),
            feed: feed.clone(),
            steward: control.clone(),
            endpoints: Endpoints::default(),
            schedule,
        });

        let address = config.server.listen;
        let listening = async { TcpListener::bind(address).await.and_then(|l| Ok((l.local_addr()?, l))) };
        let (address, listener) = listening.await.map_err(|source| StartError::Listen { address, source })?;
        let (draining, stop) = watch::channel(false);
        let housekeeping = Housekeeping {
            store: store.clone(),
            registry: registry.clone(),
            dispatcher: dispatcher.clone(),
            clock: clock.clone(),
            retention: Retention { age: config.store.retention, bytes: config.store.retention_bytes },
            held_max: config.dispatch.held_max,
        };
        tokio::spawn(housekeeping.run(stop.clone()));
        let dispatching = tokio::spawn(work.run(tools));
        let app = api::router(api::State {
            control,
            ingest,
            store: store.clone(),
            registry,
            feed,
            clock,
            wake: Arc::new(dispatcher.clone()),
            draining: stop.clone(),
            limits: config.api_limits(),
        });
        let serving = tokio::spawn(api::server::serve(listener, app, config.server_limits(), stop));
        Ok(Self { address, draining, serving, dispatching, dispatcher, store, drain: config.dispatch.drain })
    }

    /// Where the API is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until nothing is under way and nothing that is due could start.
    pub async fn settled(&self) {
        self.dispatcher.settled().await;
    }

    /// Waits until the router stops by itself, which it does only when its store has failed.
    pub async fn failed(&self) {
        self.dispatcher.ended().await;
    }

    /// Stops accepting, lets what is under way end within the drain time, and closes the store.
    pub async fn shutdown(self) -> store::Result<Ended> {
        self.draining.send_replace(true);
        let served = self.serving.await.unwrap_or(api::server::Drained::CutOff);
        let stopped = tokio::time::timeout(self.drain, self.dispatcher.stop()).await;
        // What is cut off here is in the ledger and goes on after the next start.
        self.dispatching.abort();
        self.store.close().await?;
        Ok(match (served, stopped) {
            (api::server::Drained::Whole, Ok(())) => Ended::Whole,
            _ => Ended::CutOff,
        })
    }
}

async fn open_store(config: &Config, clock: &Clock) -> Result<Arc<dyn Store>, StartError> {
    let options = SqliteOptions {
        dir: config.data_dir.clone(),
        segment_bytes: config.store.segment_bytes,
        readers: config.store.readers,
        now: clock.now(),
    };
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(options)).await;
    Ok(Arc::new(opened.expect("opening does not panic")?))
}

async fn stored_routes(store: &dyn Store) -> Result<Vec<Arc<Route>>, StartError> {
    let compile = |subscription: crate::subscription::Subscription| {
        let id = subscription.id;
        let route = Route::compile(Arc::new(subscription));
        route.map(Arc::new).map_err(|fault| StartError::Subscription { id, fault })
    };
    store.subscriptions().await?.into_iter().map(compile).collect()
}

fn start_runtime(config: &Config, key: [u8; 32]) -> Result<Runtime, StartError> {
    let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("hookway"));
    let program = config.plugins.compiler.clone().unwrap_or(own);
    Ok(Runtime::start(RuntimeOptions {
        limits: config.plugins.clone(),
        artefact_dir: config.data_dir.join(ARTEFACTS),
        artefact_key: key,
        compiler: Compiler::Child { program, args: vec![COMPILE_WORKER.into()] },
    })?)
}

/// The admin key: from outside, or from the file of the first start, which is made where it is not.
fn operator_key(config: &Config) -> Result<Secret, StartError> {
    if let Some(key) = &config.admin_key {
        return Ok(key.clone());
    }
    let path = config.data_dir.join(ADMIN_KEY_FILE);
    admin_key_file(&path).map_err(|source| StartError::AdminKey { path, source })
}

fn admin_key_file(path: &Path) -> std::io::Result<Secret> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            let key = auth::generate_key();
            writeln!(file, "{}", key.reveal())?;
            file.sync_all()?;
            tracing::info!(path = %path.display(), "an admin key was made for this data directory");
            Ok(key)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Ok(Secret::new(std::fs::read_to_string(path)?.trim()))
        }
        Err(error) => Err(error),
    }
}
