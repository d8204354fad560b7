//! Configuration: every setting with its documentation, default and limits, and where each value came
//! from.
//!
//! There is one table, written with [`settings!`] below. It makes the structs that the program uses and
//! the list [`SETTINGS`] that loading, `hookway config` and the reference page use, so that none of them
//! can know a setting that the others do not. Layers, strongest first: flag, environment, file, default
//! ([`layers`]). This room is the only reader of the environment and of `hookway.toml`.
//!
//! Resources (subscriptions, plugins, keys) are not configuration: they live in the database.

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::auth::KeyPrefix;
use crate::secret::Secret;

pub mod choice;
pub mod environment;
pub mod layers;
pub mod network;
pub mod reference;
pub mod rule;
pub mod setting;
pub mod suggest;
pub mod value;

pub use choice::{LogFormat, MetricsFor, UnknownTypes, Validate};
pub use layers::{Error, Fault, Given, Loaded, Origin};
pub use rule::{AllowRule, AllowWhat};
pub use setting::{GROUPS, Layers, SETTINGS, Setting};

use network::{Networks, WebAddress};
use rule::Rules;
use setting::settings;
use value::{
    Address, Choice, Count, List, Millis, Optional, PathText, Prefix, SecretText, Size, Switch, Text, Time,
};

const KIB: u64 = 1_024;
const MIB: u64 = 1_024 * KIB;
const GIB: u64 = 1_024 * MIB;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Fewest characters of an admin key given from outside: what 128 bits need in hexadecimal.
pub const ADMIN_KEY_CHARACTERS_MIN: usize = 32;

settings! {
    /// Everything that can be configured.
    Config {
        /// The directory that holds the database, the keys and the plugin cache. Created where it is
        /// missing, readable by its owner only.
        data_dir: PathBuf = PathText, "./hookway-data";
        /// An admin key from outside, 32 characters or more; it is never stored. Where it is given, no
        /// key is made on the first start.
        admin_key: Option<Secret> = Optional<SecretText>, "", from environment;
    }

    /// The way in: the listener of the HTTP API.
    server: Server {
        /// Address and port that the HTTP API listens on. Port 0 takes any free one.
        listen: SocketAddr = Address, "127.0.0.1:8080", short "HOOKWAY_LISTEN";
        /// Longest wait for the head of a request, from its connection or the answer before it; so it is also
        /// how long a kept-alive connection may be idle.
        header_timeout: Duration = Time, "30s", in SECOND..=5 * MINUTE;
        /// Longest wait for the whole body of a request.
        body_timeout: Duration = Time, "30s", in SECOND..=10 * MINUTE;
        /// Longest wait for a client to take more of an answer; then its connection is closed.
        send_timeout: Duration = Time, "30s", in SECOND..=10 * MINUTE;
        /// Connections at once. Who comes when all are taken is served as soon as one is closed, and those that
        /// were used the longest ago are asked to: at once where no request is under way, behind its answer
        /// where one is. (A proxy in front can limit what a single address may take.)
        connections_max: usize = Count, "4096", in 16..=1_000_000;
        /// Largest body of a request. (Plugins have a limit of their own.)
        body_bytes_max: usize = Size, "1 MiB", in 1_024..=67_108_864;
        /// Longest wait for an answer to begin. Compiling a large plugin takes the longest.
        answer_timeout: Duration = Time, "2min", in SECOND..=HOUR;
        /// People who may watch `/api/v1/tail` at once.
        watchers_max: usize = Count, "64", in 0..=10_000;
        /// Who may read `/metrics`: `key`, who has a key with the scope `metrics` or `read` that is bound to
        /// no tenant or to `default`; or `open`, everybody who reaches the router.
        metrics: MetricsFor = Choice, "key";
        /// Proxies in front of the router, as addresses or networks joined by commas. What they say in
        /// `X-Forwarded-For` is believed; what others say there is not.
        trusted_proxies: Vec<IpNet> = Networks, "";
        /// Where the router is reached from outside, such as `https://hooks.example.com`. Addresses of
        /// sources are shown below it, and some services sign the address that they send to.
        public_url: Option<String> = Optional<WebAddress>, "";
    }

    /// API keys.
    keys: Keys {
        /// How keys that are made from now on begin: 1 to 24 lower-case letters, digits and `_`, the last of
        /// them `_`. Keys that were made with another prefix stay valid.
        prefix: KeyPrefix = Prefix, "hw_";
    }

    /// What a call that brings events in may do.
    ingest: Ingest {
        /// Within this time an event id or `Idempotency-Key` counts as seen.
        idempotency_window: Duration = Time, "24h", in MINUTE..=30 * DAY;
        /// Most events in one call: they are one transaction, which everybody behind it waits for.
        events_per_call_max: usize = Count, "1000", in 1..=10_000;
        /// Whether payloads of events by the API must keep to the schema that their type has: `off`, or
        /// `refuse` what does not. What sources take is never held to it.
        validate: Validate = Choice, "off";
        /// What becomes of events by the API whose type nobody described: `accept` or `refuse`.
        unknown_types: UnknownTypes = Choice, "accept";
    }

    /// Sources: the addresses at which other services deliver their webhooks.
    sources: Sources {
        /// Largest body that a source takes which says nothing about it.
        body_bytes_max: usize = Size, "1 MiB", in 1_024..=33_554_432;
        /// Bodies of requests to sources in memory at once, all together: they are read before anybody knows
        /// who sent them. Who finds no room is told to come again.
        body_memory_max: usize = Size, "256 MiB", in 33_554_432..=2_147_483_648;
        /// Longest wait for the commit. Then the sender is told to come again, before it gives up itself
        /// (Slack waits 3 s, Shopify 5 s).
        commit_timeout: Duration = Time, "2s", in Duration::from_millis(100)..=MINUTE;
        /// Within this time an id that comes again is a repetition. Services repeat for up to a week.
        repetition_window: Duration = Time, "7d", in MINUTE..=30 * DAY;
        /// Refused requests of one source that are kept in one minute, each with its reason; more are only
        /// counted, so that nobody fills the disk with them.
        refusals_kept_per_minute: NonZeroU32 = Count, "60", in NonZeroU32::MIN..=NonZeroU32::new(6_000).expect("6,000 is not zero");
    }

    /// The database and how long things stay in it.
    store: Store {
        /// Size at which a segment of events, requests and attempts is full. Whole segments are dropped, so
        /// this is also the grain of retention. Later each gets its indexes, for which all that is written
        /// waits 5 to 50 ms at a time, the longer the larger it is. Each takes some memory, so very long
        /// histories want larger ones.
        segment_bytes: u64 = Size, "32 MiB", in MIB..=4 * GIB;
        /// Events and history older than this may go; never what is still to be delivered.
        retention: Duration = Time, "30d", in HOUR..=3_650 * DAY;
        /// History may fill so many bytes; the oldest goes first, whatever its age.
        retention_bytes: u64 = Size, "10 GiB", in 16 * MIB..=1_024 * 1_024 * GIB;
        /// So much stays free on the disk of the data directory for what must be written: below it events are
        /// refused with 507 (webhooks with 503) until there is room; reads and deliveries go on. 0 for never.
        disk_free_min: u64 = Size, "512 MiB", in 0..=1_024 * 1_024 * GIB;
        /// The same in percent of the disk. The lesser of the two counts, so that a small disk is usable.
        disk_free_min_percent: u32 = Count, "10", in 0..=90;
        /// A file that only keeps room back: it is removed when the disk is full, so that the outcomes of
        /// deliveries can be recorded, and made again when there is room. At most a sixteenth of the disk;
        /// none where that is less than 1 MiB, or with 0.
        ballast_bytes: u64 = Size, "64 MiB", in 0..=64 * GIB;
        /// Where the copy of a backup is made before it is sent, on a disk with room for a second database;
        /// the data directory where nothing is said.
        backup_dir: Option<PathBuf> = Optional<PathText>, "";
        /// Connections for reading history.
        readers: u32 = Count, "3", in 1..=64;
    }

    /// The dispatcher: how much is under way at once.
    dispatch: Dispatch {
        /// Requests in flight in all.
        in_flight_max: usize = Count, "512", in 1..=65_536;
        /// Requests in flight for one subscription that says nothing about it when it is made.
        in_flight_per_subscription: NonZeroU16 = Count, "16", in NonZeroU16::MIN..=NonZeroU16::MAX;
        /// Due deliveries held in memory; the others wait in the database and are fetched when there is
        /// room.
        queue_capacity: usize = Count, "1000000", in 1_000..=100_000_000;
        /// How long a shutdown waits for what is in flight; the rest goes on after the next start.
        drain: Duration = Time, "25s", in Duration::ZERO..=10 * MINUTE;
        /// How long deliveries of a disabled or held subscription are kept before they fail.
        held_max: Duration = Time, "30d", in HOUR..=3_650 * DAY;
        /// Waits between attempts, in place of those of the subscriptions and their profiles; one more
        /// attempt than waits. For tests and demonstrations.
        retry_waits: Option<Vec<Duration>> = Optional<List<Time>>, "";
    }

    /// The way out: which addresses requests may go to, and how.
    egress: Egress {
        /// What may be reached beyond public HTTPS: a list of `{ cidr = "10.0.0.0/8" }` or
        /// `{ host = "n8n.internal" }`, each with `http = true` where plain HTTP is fine.
        allow: Vec<AllowRule> = Rules, "[]";
        /// Plain HTTP to every address. For development.
        allow_http: bool = Switch, "false", short "HOOKWAY_ALLOW_HTTP";
        /// Private, loopback and link-local addresses. For development.
        allow_private_networks: bool = Switch, "false", short "HOOKWAY_ALLOW_PRIVATE_NETWORKS";
        /// Longest wait for a connection, of the time that the whole attempt has.
        connect_timeout: Duration = Time, "10s", in Duration::from_millis(100)..=MINUTE;
        /// How long an idle connection is kept. Less than the 60 s and more after which common servers
        /// close it: better we do, than that a request meets the closing.
        pool_idle_timeout: Duration = Time, "30s", in Duration::ZERO..=HOUR;
        /// Idle connections that are kept to one host.
        pool_idle_per_host_max: usize = Count, "256", in 0..=10_000;
    }

    /// What the runtime grants to plugins and to itself. (Plain numbers, since every process that
    /// compiles or runs plugins reads them.)
    plugins: PluginLimits with [
        derive(PartialEq, Eq, serde::Serialize, serde::Deserialize),
        serde(default, deny_unknown_fields)
    ] {
        /// The program that compiles components in a process of its own; the router's own binary where
        /// none is named.
        compiler: Option<PathBuf> = Optional<PathText>, "";
        /// Largest component. A Rust plugin has 70 to 200 KiB; a whole jq has a few MiB.
        component_bytes: usize = Size, "8 MiB", in 1 << 10..=256 << 20;
        /// Largest body of one function: compile time is quadratic in its control blocks, and this many of
        /// nothing else take the compiler's whole time. The largest function of a whole jq has 25 KiB.
        function_bytes: usize = Size, "256 KiB", in 1 << 10..=8 << 20;
        /// Deepest nesting of control blocks in one function: compile time explodes with it.
        control_depth: usize = Count, "256", in 16..=4_096;
        /// Most locals of one function: many live locals cost half a GiB while compiling.
        function_locals: usize = Count, "2000", in 64..=50_000;
        /// Most functions of one component: artefacts grow to twenty times the input.
        functions: usize = Count, "20000", in 16..=1_000_000;
        /// Most instances that instantiating one component makes, counted through nested components:
        /// two kilobytes of nesting can ask for gigabytes.
        flattened_instances: usize = Count, "200", in 8..=10_000;
        /// Longest wall-clock time for compiling one component.
        compile_wall_ms: u64 = Millis, "20s", in 100..=600_000;
        /// Longest processor time for compiling one component, in seconds.
        compile_cpu_seconds: u64 = Count, "10", in 1..=600;
        /// Address space of the compiling process.
        compile_address_space_bytes: u64 = Size, "2 GiB", in 256 << 20..=64 << 30;
        /// Largest compiled artefact.
        artefact_bytes: usize = Size, "64 MiB", in 1 << 20..=1 << 30;
        /// All compiled artefacts on disk together; the oldest are removed beyond it.
        artefact_directory_bytes: u64 = Size, "1 GiB", in 1 << 20..=1 << 40;

        /// Longest run of a plugin's `describe`.
        describe_ms: u64 = Millis, "200ms", in 1..=60_000;
        /// Longest run of a plugin's `configure`. An instance is configured once.
        configure_ms: u64 = Millis, "200ms", in 1..=60_000;
        /// Longest run of `transform`, by the clock on the wall. A usual one takes a twentieth of a
        /// millisecond; the rest is room for a machine that is busy with something else.
        transform_ms: u64 = Millis, "100ms", in 1..=60_000;
        /// How often the time of running guests is checked. Only while one runs.
        tick_ms: u64 = Millis, "5ms", in 1..=1_000;

        /// Linear memory of one instance, summed over its memories.
        memory_bytes: usize = Size, "32 MiB", in 64 << 10..=1 << 30;
        /// Most linear memories of one instance. Compilers make one.
        memories: u32 = Count, "1", in 1..=16;
        /// Most tables of one instance. Compilers make one or two.
        tables: u32 = Count, "8", in 1..=64;
        /// Most elements of one table.
        table_elements: usize = Count, "10000", in 16..=1_000_000;
        /// Most core instances of one component. Compilers make three or four.
        core_instances: u32 = Count, "8", in 1..=200;
        /// Stack of the guest; the threads have eight times as much.
        stack_bytes: usize = Size, "512 KiB", in 64 << 10..=2 << 20;
        /// Most resource handles that one instance may hold at once.
        resource_handles: usize = Count, "256", in 16..=100_000;

        /// Most bytes that cross from the guest to the host in one call, by wasmtime's own counting.
        output_bytes: usize = Size, "1088 KiB", in 1 << 10..=64 << 20;
        /// Most requests from one run.
        requests: usize = Count, "16", in 1..=1_000;
        /// Most events from one run.
        events: usize = Count, "16", in 0..=1_000;
        /// Largest body of one request, and largest data of one event.
        body_bytes: usize = Size, "256 KiB", in 1..=16 << 20;
        /// Most headers of one request.
        headers: usize = Count, "32", in 0..=256;
        /// All header names and values of one request together.
        header_bytes: usize = Size, "8 KiB", in 0..=64 << 10;
        /// Longest reason; the rest is cut off.
        reason_bytes: usize = Size, "1 KiB", in 64..=64 << 10;
        /// Longest pause that a plugin may ask for (`delay-ms` and `retry`).
        delay_ms: u32 = Millis, "1d", in 0..=u32::MAX;
        /// Most log lines kept of one run; the others are counted.
        log_lines: usize = Count, "64", in 0..=10_000;
        /// Longest log line; the rest is cut off.
        log_line_bytes: usize = Size, "1 KiB", in 16..=64 << 10;

        /// Threads that run guests; 0 means four for every core, and four at the least.
        threads: usize = Count, "0", in 0..=4_096;
        /// Most runs waiting for a thread; further callers wait their turn to queue.
        queue: usize = Count, "1024", in 1..=100_000;
        /// Most instances kept between events. The pool of slots follows from it.
        kept_instances: usize = Count, "1000", in 0..=30_000;
        /// Linear memory of all kept instances together.
        kept_bytes: usize = Size, "256 MiB", in 0..=1 << 40;
        /// An instance is thrown away after this many runs.
        kept_runs: u32 = Count, "10000", in 1..=u32::MAX;
        /// An instance is thrown away when its memory has grown beyond this.
        kept_instance_bytes: usize = Size, "8 MiB", in 64 << 10..=1 << 30;
        /// An instance is thrown away when nothing used it for this long. Looked at
        /// when instances come and go, not by a timer.
        kept_idle_ms: u64 = Millis, "5min", in 1..=86_400_000;

        /// Memory of a slot of the pool that stays resident when its instance goes. More than a
        /// guest touches costs more than it saves.
        pool_memory_resident_bytes: usize = Size, "64 KiB", in 0..=16 << 20;
        /// As `pool_memory_resident_bytes`, for tables.
        pool_table_resident_bytes: usize = Size, "8 KiB", in 0..=1 << 20;
        /// Slots that are given back to the kernel at once.
        pool_decommit_batch: usize = Count, "16", in 1..=1_024;
    }

    /// Alerts: when the router tells of trouble by an event. 0 switches a condition off.
    alerts: Alerts {
        /// Failed attempts of one subscription within five minutes, in percent of all, from which on
        /// `hookway.alert.error_rate` is raised. 0 for never.
        error_rate_percent: u32 = Count, "50", in 0..=100;
        /// Fewer attempts than these within five minutes are no rate.
        error_rate_attempts_min: u32 = Count, "20", in 1..=1_000_000;
        /// How long a delivery that is due may wait for its turn before `hookway.alert.retry_lag` is raised.
        /// 0s for never.
        retry_lag: Duration = Time, "5min", in Duration::ZERO..=7 * DAY;
        /// Events of one tenant within five minutes that repeat earlier ones, in percent of all, from which
        /// on `hookway.alert.duplicates` is raised. 0 for never.
        duplicates_percent: u32 = Count, "50", in 0..=100;
        /// Fewer events than these within five minutes are no rate.
        duplicates_events_min: u32 = Count, "100", in 1..=1_000_000_000;
        /// Whether `hookway.alert.subscription_disabled` is raised where the router itself stops a
        /// subscription.
        subscription_disabled: bool = Switch, "true";
        /// How long everything must be well before an alert is over; until then it is not raised again.
        calm: Duration = Time, "10min", in Duration::ZERO..=DAY;
    }

    /// What the router says about itself, on standard error.
    log: Log {
        /// `text` for people, `json` for machines.
        format: LogFormat = Choice, "text", short "HOOKWAY_LOG_FORMAT";
        /// Which lines, in the form of `RUST_LOG`: a level, or `target=level` joined by commas.
        filter: String = Text, "info", short "HOOKWAY_LOG";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_valid_and_shown_as_it_would_be_read() {
        let config = Config::default();
        for setting in SETTINGS {
            let shown = setting.show(&config);
            let mut again = Config::default();
            setting
                .assign(&mut again, &toml::Value::String(shown.clone()))
                .unwrap_or_else(|fault| panic!("{}: {fault}", setting.path));
            assert_eq!(setting.show(&again), shown, "{}", setting.path);
        }
    }

    #[test]
    fn every_setting_is_documented_and_named_once() {
        let mut names = std::collections::HashSet::new();
        for setting in SETTINGS {
            assert!(setting.doc().len() > 20, "{}", setting.path);
            for name in setting.variables() {
                assert!(names.insert(name.clone()), "{name}");
            }
        }
    }
}
