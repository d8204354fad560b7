//! Every metric there is: name, kind, labels and what it says.
//!
//! This is the only list. `/metrics` prints these and no others, `docs/metrics.md` has a row for each, and
//! the alert rules and the dashboard in `deploy` may use no others; tests hold all of it.
//!
//! No label names a subscription, an endpoint, a tenant or a type of events: there may be any number of
//! those, and the API tells how each of them does.

use super::exposition::{Kind, Metric};

macro_rules! metrics {
    ($($name:ident $kind:ident $text:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $name: Metric = Metric {
                name: $text,
                kind: Kind::$kind,
                labels: &[$($label),*],
                help: $help,
            };
        )*

        /// Every one, in the order in which they are printed.
        pub static ALL: &[&Metric] = &[$(&$name),*];
    };
}

metrics! {
    BUILD_INFO Gauge "hookway_build_info" ["version"]
        "1, with the version of this program.";
    READY Gauge "hookway_ready" []
        "1 while the router takes requests and its database answers, as /readyz says; else 0.";

    STAGE Histogram "hookway_stage_seconds" ["stage"]
        "How long the stages of an event take: accept (a request with events, from its head to its answer), commit (queued at the writer until synced), queue (due until started), plugin (one run), send (request out until its answer is read), record (an outcome, until it is synced).";

    HTTP_REQUESTS Counter "hookway_http_requests_total" ["door", "code"]
        "Requests that were answered, by where they came in (events, webhooks, api, other) and class of status.";
    HTTP_REFUSALS Counter "hookway_http_refusals_total" ["door", "kind"]
        "Requests that were refused, by where they came in and the kind of problem.";
    HTTP_IN_FLIGHT Gauge "hookway_http_requests_in_flight" []
        "Requests that are being answered.";

    EVENTS_ACCEPTED Counter "hookway_events_accepted_total" ["via"]
        "New events, by how they came: api, source, plugin (derived by one), own (what Hookway tells of itself).";
    EVENTS_DUPLICATE Counter "hookway_events_duplicate_total" ["via"]
        "Events that had been accepted before, by how they came.";
    EVENT_BYTES Counter "hookway_event_bytes_total" ["via"]
        "Bytes of the payloads of new events, by how they came.";
    RECEPTIONS Counter "hookway_receptions_total" ["outcome"]
        "Requests to sources, by what became of them.";
    RECEPTIONS_REFUSED Counter "hookway_receptions_refused_total" ["reason"]
        "Requests to sources that were refused, by the reason.";

    DELIVERIES_CREATED Counter "hookway_deliveries_created_total" []
        "Deliveries that were created since the start.";
    DELIVERIES_ENDED Counter "hookway_deliveries_ended_total" ["status"]
        "Deliveries that ended since the start, by how: delivered, filtered or failed. One that is sent again ends again.";
    DELIVERIES_PENDING Gauge "hookway_deliveries_pending" []
        "Deliveries that have not ended, in memory or in the store; those that are held are among them.";
    DEAD_LETTERS Gauge "hookway_dead_letters" []
        "Deliveries that failed for good and were not sent again.";
    ATTEMPTS Counter "hookway_attempts_total" ["result"]
        "Attempts, by the class of the status or the kind of error.";
    PLUGIN_RUNS Counter "hookway_plugin_runs_total" ["outcome"]
        "Runs of plugins, by outcome or kind of fault.";

    SUBSCRIPTIONS Gauge "hookway_subscriptions" ["status"]
        "Subscriptions, by status: enabled, held (by the router, for now) or disabled.";
    LANES Gauge "hookway_lanes" ["state"]
        "Subscriptions that have rows, by how their lane is: well, sick (failing or slow), paused (rate or Retry-After), held.";
    LANES_SPILLED Gauge "hookway_lanes_spilled" []
        "Lanes of which some rows wait in the store, because memory has no room for them or they are held.";
    ROWS Gauge "hookway_rows" ["place"]
        "Rows of the ledger in memory: due (may start), later (due in the future), in_flight (under way), slow (under way for more than a second).";
    OLDEST_DUE Gauge "hookway_oldest_due_seconds" []
        "How long the row that is due for longest waits for its turn; 0 where none waits.";
    INBOX Gauge "hookway_dispatcher_inbox" []
        "Messages that wait for the dispatcher.";

    PLUGIN_INSTANCES Gauge "hookway_plugin_instances" []
        "Instances of plugins that are kept between events.";
    PLUGIN_INSTANCE_BYTES Gauge "hookway_plugin_instance_bytes" []
        "Linear memory of the kept instances, in bytes.";
    PLUGIN_THREADS Gauge "hookway_plugin_threads" ["state"]
        "Threads that run plugins: busy or idle.";
    PLUGIN_WAITING Gauge "hookway_plugin_runs_waiting" []
        "Runs that wait for a thread.";

    STORE_BYTES Gauge "hookway_store_bytes" ["file"]
        "Size of the database and of its write-ahead log, in bytes.";
    STORE_SEGMENTS Gauge "hookway_store_segments" []
        "Segments of history.";
    STORE_QUEUE Gauge "hookway_store_queue" []
        "Writes that wait for the writer.";
    STORE_QUEUE_BYTES Gauge "hookway_store_queue_bytes" []
        "About how many bytes they write.";
    STORE_TRANSACTIONS Counter "hookway_store_transactions_total" []
        "Transactions that were committed and synced.";
    STORE_ERRORS Counter "hookway_store_errors_total" ["error"]
        "Events and outcomes that could not be written, by why.";
    DISK_FREE Gauge "hookway_disk_free_bytes" []
        "Bytes that are free on the disk of the data directory.";

    LOG_LINES Counter "hookway_log_lines_total" ["level"]
        "Errors and warnings that the process found worth a line in the log.";

    START_TIME Gauge "process_start_time_seconds" []
        "When the router started, in seconds since 1970.";
    CPU Counter "process_cpu_seconds_total" []
        "Processor time that the process has used, in seconds. Linux only.";
    RESIDENT Gauge "process_resident_memory_bytes" []
        "Memory that the process has in use, in bytes. Linux only.";
    VIRTUAL Gauge "process_virtual_memory_bytes" []
        "Address space of the process, in bytes; much of it is reserved for plugins and never used. Linux only.";
    THREADS Gauge "process_threads" []
        "Threads of the process. Linux only.";
    OPEN_FDS Gauge "process_open_fds" []
        "Open files and connections. Linux only.";
    MAX_FDS Gauge "process_max_fds" []
        "Most files and connections that may be open at once. Linux only.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_are_what_the_format_takes() {
        let mut names = std::collections::BTreeSet::new();
        for metric in ALL {
            let name = metric.name;
            assert!(names.insert(name), "{name} is there twice");
            let plain = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(name.chars().all(plain), "{name}");
            assert!(
                name.starts_with("hookway_") || name.starts_with("process_"),
                "{name}"
            );
            assert_eq!(metric.kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(!metric.help.contains(['\n', '\\', '|']), "{name}");
            assert!(metric.help.ends_with('.'), "{name}");
            for label in metric.labels {
                assert!(label.chars().all(plain) && *label != "le", "{name} {label}");
            }
        }
    }
}
