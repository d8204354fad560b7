//! The API as clients see it: the router over a real store, a real plugin runtime and nothing sent.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;

use super::traffic::Traffic;
use super::{Limits, State, routes};
use crate::activity::Feed;
use crate::auth;
use crate::backup::Backups;
use crate::catalogue::Catalogue;
use crate::clock::Clock;
use crate::config::Config;
use crate::control::{Control, Parts};
use crate::delivery::{Attempt, Pending};
use crate::dispatcher::{Dispatcher, QueueLimits};
use crate::doctor::{self, Doctor};
use crate::egress::{self, Egress, Policy};
use crate::event::Event;
use crate::id::{Generator, RequestId};
use crate::ingest::{Handover, Ingest, Wake};
use crate::intake::{self, Certificates, Intake, Recorder, Sources};
use crate::plugin::{Compiler, PluginLimits, Runtime, RuntimeOptions};
use crate::profile::{self, Edition, Shelf};
use crate::recovery::{self, Recovery};
use crate::registry::Registry;
use crate::render::Renderer;
use crate::routing::Route;
use crate::scrape::Scrape;
use crate::store::Store;
use crate::store::sqlite::{SqliteOptions, SqliteStore};
use crate::time::Timestamp;
use crate::trial::Trial;

#[allow(
    clippy::duplicate_mod,
    reason = "the tests of the plugin runtime use the same guests"
)]
#[path = "../../../tests/guests/wrap.rs"]
mod wrap;

mod history;
mod life;
mod refusals;

const ADMIN: &str = "an admin key of thirty-two characters";

/// Takes what is handed over and sends nothing.
#[derive(Default)]
struct Taken {
    offered: Mutex<Vec<(Arc<Event>, Vec<Pending>)>>,
    queued: Mutex<Vec<Pending>>,
}

impl Handover for Taken {
    fn offer(&self, event: Arc<Event>, rows: Vec<Pending>) {
        self.offered.lock().unwrap().push((event, rows));
    }
}

impl Wake for Taken {
    fn queue(&self, rows: Vec<Pending>) {
        self.queued.lock().unwrap().extend(rows);
    }

    fn unread(&self, _from: RequestId) {}
}

/// A whole API with a directory of its own.
struct House {
    router: Router,
    taken: Arc<Taken>,
    store: Arc<dyn Store>,
    control: Arc<Control>,
    draining: watch::Sender<bool>,
    directory: tempfile::TempDir,
}

/// An answer, read whole.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    fn field(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_default().to_owned()
    }

    /// `422 invalid /url /name`: status, kind and pointers of a problem.
    fn problem(&self) -> String {
        assert_eq!(
            self.headers[CONTENT_TYPE],
            "application/problem+json",
            "{}",
            self.json()
        );
        let problem = self.json();
        assert_eq!(
            problem["request_id"],
            self.headers["x-request-id"].to_str().unwrap()
        );
        assert_eq!(problem["status"], self.status.as_u16());
        let mut text = format!(
            "{} {}",
            self.status.as_u16(),
            problem["type"]
                .as_str()
                .unwrap()
                .strip_prefix("/problems/")
                .unwrap()
        );
        for fault in problem["errors"].as_array().into_iter().flatten() {
            text.push(' ');
            text.push_str(fault["pointer"].as_str().unwrap());
        }
        text
    }
}

async fn house() -> House {
    house_with(Limits::default()).await
}

async fn house_with(limits: Limits) -> House {
    house_in(tempfile::tempdir().unwrap(), limits).await
}

async fn house_in(directory: tempfile::TempDir, limits: Limits) -> House {
    let clock = Clock::manual(Timestamp::from_millis(1_779_208_200_000));
    let options = SqliteOptions::new(directory.path().join("data"), clock.now());
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&options).unwrap());
    let runtime = Runtime::start(RuntimeOptions {
        limits: PluginLimits::default(),
        artefact_dir: directory.path().join("artefacts"),
        artefact_key: [7; 32],
        compiler: Compiler::InProcess,
    });
    let runtime = runtime.unwrap();
    let usual = Arc::new(Edition::unstored(
        profile::usual().clone(),
        Timestamp::from_millis(0),
    ));
    let shelf = Shelf::new([usual.clone()]);
    let routes = store.subscriptions().await.unwrap();
    let routes = routes
        .into_iter()
        .map(|known| Arc::new(Route::compile(Arc::new(known), usual.clone(), "default".into()).unwrap()));
    let registry = Arc::new(Registry::new(shelf, routes));
    let ids = Arc::new(Generator::new(0));
    ids.observe(store.newest_id().await.unwrap());
    let echo: &'static [u8] = component("").leak();
    let catalogue = Catalogue::open(runtime.clone(), Arc::clone(&store), &[("echo", echo)])
        .await
        .unwrap();
    let sources = Arc::new(Sources::default());
    let (taken, feed) = (Arc::<Taken>::default(), Feed::default());
    let ingest = Ingest {
        store: Arc::clone(&store),
        registry: Arc::clone(&registry),
        ids: Arc::clone(&ids),
        clock: clock.clone(),
        dispatcher: Arc::clone(&taken) as Arc<dyn Handover>,
        feed: feed.clone(),
        gauges: Arc::default(),
        space: Arc::default(),
        metrics: Arc::default(),
        unmatched: crate::ingest::Unmatched::default(),
        idempotency_window: Duration::from_secs(86_400),
        repetition_window: Duration::from_secs(7 * 86_400),
    };
    let ingest = Arc::new(ingest);
    let catalogue = Arc::new(catalogue);
    let control = Control::open(Parts {
        store: Arc::clone(&store),
        registry: Arc::clone(&registry),
        sources: Arc::clone(&sources),
        catalogue: Arc::clone(&catalogue),
        runtime: runtime.clone(),
        policy: Arc::new(Policy::default()),
        ids: Arc::clone(&ids),
        clock: clock.clone(),
        operator_key: Some(auth::hash_key(ADMIN)),
        ingest: Arc::clone(&ingest),
        key_prefix: auth::KeyPrefix::default(),
    });
    let control = control.await.unwrap();
    let egress = Egress::new(Policy::default(), egress::Limits::default()).unwrap();
    let doctor = Doctor::new(doctor::Parts {
        store: Arc::clone(&store),
        registry: Arc::clone(&registry),
        catalogue: Arc::clone(&catalogue),
        // Its loop does not run: it says nothing of what waits.
        dispatcher: Dispatcher::new(limits_of_nothing()).0,
        policy: Policy::default(),
        clock: clock.clone(),
        config: Config::default(),
    });
    let renderer = Renderer::new(
        catalogue,
        runtime.clone(),
        Arc::clone(&control),
        Arc::clone(&ids),
        clock.clone(),
    );
    let trial = Trial::new(
        Arc::clone(&control),
        renderer,
        egress.clone(),
        Arc::clone(&ids),
        clock.clone(),
    );
    let intake = Intake {
        sources,
        ingest: Arc::clone(&ingest),
        certificates: Certificates::new(egress, clock.clone()),
        recorder: Recorder::new(Arc::clone(&store), NonZeroU32::MIN),
        ids: Arc::clone(&ids),
        clock: clock.clone(),
        feed: feed.clone(),
        failures: crate::telemetry::Budget::default(),
        public_url: None,
        limits: intake::Limits {
            body_bytes_max: limits.body_bytes_max,
            commit_timeout: Duration::from_secs(2),
            events_max: limits.events_max,
        },
    };
    let (stop, draining) = watch::channel(false);
    let recovery = Recovery::new(recovery::Parts {
        store: Arc::clone(&store),
        registry: Arc::clone(&registry),
        ids,
        clock: clock.clone(),
        wake: Arc::clone(&taken) as Arc<dyn Wake>,
        announce: Arc::new(recovery::Herald(Arc::clone(&ingest))),
        stop: draining.clone(),
    });
    // Its loop never runs, so nobody says what there is to do.
    let (dispatcher, _loop) = Dispatcher::new(QueueLimits {
        in_flight_max: 1,
        slow_max: 1,
        rows_max: 1,
        lane_rows_max: 1,
    });
    let scrape = Scrape {
        metrics: Arc::clone(&ingest.metrics),
        store: Arc::clone(&store),
        dispatcher,
        registry: Arc::clone(&registry),
        runtime,
        draining: draining.clone(),
        started_at: clock.now(),
    };
    let router = super::router(State {
        control: Arc::clone(&control),
        ingest,
        trial,
        intake,
        bodies: super::bodies::Room::new(1 << 20),
        refusals: crate::telemetry::Budget::default(),
        store: Arc::clone(&store),
        registry,
        feed,
        clock: clock.clone(),
        doctor,
        meters: Arc::new(crate::meter::Meters::new(clock.now())),
        wake: Arc::clone(&taken) as Arc<dyn Wake>,
        recovery,
        backups: Backups::new(
            Arc::clone(&store),
            directory.path().join("data"),
            None,
            Arc::default(),
            clock.clone(),
        ),
        draining,
        traffic: Traffic::new(Arc::clone(&scrape.metrics)),
        scrape,
        metrics_for: super::metrics::Readers::Keyed,
        limits,
    });
    House {
        router,
        taken,
        store,
        control,
        draining: stop,
        directory,
    }
}

const fn limits_of_nothing() -> QueueLimits {
    QueueLimits {
        in_flight_max: 1,
        slow_max: 1,
        rows_max: 1,
        lane_rows_max: 1,
    }
}

fn component(guest: &str) -> Vec<u8> {
    wat::parse_str(wrap::component(guest)).unwrap()
}

impl House {
    async fn send(&self, request: Request<Body>) -> Answer {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// With the admin key.
    async fn call(&self, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        self.call_as(ADMIN, method, path, body).await
    }

    async fn call_as(&self, key: &str, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        self.send(
            request
                .header(AUTHORIZATION, format!("Bearer {key}"))
                .body(body.into())
                .unwrap(),
        )
        .await
    }

    async fn key(&self, scopes: &[&str]) -> String {
        let body = json!({"name": "k", "scopes": scopes}).to_string();
        self.call("POST", "/keys", body).await.field("key")
    }

    async fn subscribe(&self, more: Value) -> Answer {
        let mut wish = json!({"name": "n", "url": "https://example.com/hook/token", "events": ["alert.*"]});
        wish.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        self.call("POST", "/subscriptions", wish.to_string()).await
    }
}

const NOTHING: &str = "";
