//! What `export!` expands to, and what stands behind it.
//!
//! The bindings are generated in the author's crate, so their types are not ours; the macro moves
//! values from one to the other field by field, which copies nothing. All that can live here does:
//! a guest has one thread, so an instance is one slot.

use crate::event::{Context, Event};
use crate::log::{self, Level};
use crate::manifest::Package;
use crate::outcome::{Failure, Outcome, misconfigured};
use crate::plugin::{Plugin, Problem};
use std::cell::RefCell;

#[cfg(target_family = "wasm")]
pub use wit_bindgen;

/// A plugin that `export!` was called for.
pub trait Exported: Plugin {
    /// What `Cargo.toml` says.
    const PACKAGE: Package;
}

/// The place of the one configured plugin of an instance.
pub type Slot<P> = RefCell<Option<P>>;

/// The export `configure`.
///
/// # Errors
/// What is wrong with the configuration.
pub fn configure<P: Plugin>(slot: &Slot<P>, config: &[u8]) -> Result<(), Vec<Problem>> {
    log::new_run();
    // A fault must not leave the plugin that was configured before.
    slot.replace(None);
    // No configuration and an empty one are the same.
    let config: &[u8] = match config.trim_ascii() {
        b"" | b"null" => b"{}",
        given => given,
    };
    let config = serde_json::from_slice(config).map_err(|error| {
        vec![Problem::new(format!(
            "the configuration does not have the expected shape: {error}"
        ))]
    })?;
    slot.replace(Some(P::configure(config)?));
    Ok(())
}

/// The export `transform`.
///
/// # Errors
/// The plugin's failure.
pub fn transform<P: Plugin>(slot: &Slot<P>, event: &Event, context: &Context) -> Result<Outcome, Failure> {
    log::new_run();
    match slot.borrow().as_ref() {
        Some(plugin) => plugin.transform(event, context),
        None => Err(misconfigured("the plugin was run before it was configured")),
    }
}

/// The host's log, as two functions of the author's crate.
#[cfg(target_family = "wasm")]
pub struct Host {
    /// Takes a line.
    pub write: fn(Level, &str),
    /// The lowest level that is kept.
    pub lowest: fn() -> Level,
}

#[cfg(target_family = "wasm")]
impl log::Sink for Host {
    fn write(&mut self, level: Level, text: &str) {
        (self.write)(level, text);
    }

    fn lowest(&mut self) -> Level {
        (self.lowest)()
    }
}

/// Connects the log to the host and sends panics there, before the first call is served.
#[cfg(target_family = "wasm")]
pub fn start(host: fn() -> Host) {
    if log::has_sink() {
        return;
    }
    log::replace_sink(Some(Box::new(host())));
    std::panic::set_hook(Box::new(|panic| log_panic(panic)));
}

/// Puts message and place of a panic into the log.
#[cfg_attr(
    not(target_family = "wasm"),
    expect(dead_code, reason = "tests keep their own hook")
)]
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let text = panic.payload_as_str().unwrap_or("no message");
    match panic.location() {
        Some(place) => log::write(Level::Error, format_args!("panicked at {place}: {text}")),
        None => log::write(Level::Error, format_args!("panicked: {text}")),
    }
}

/// A duration as the contract counts it.
pub fn milliseconds(duration: std::time::Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// Makes a plugin out of a type that implements [`Plugin`](crate::Plugin): the component's exports
/// under WebAssembly, and next to nothing elsewhere.
///
/// Name, version and summary are those of the crate's `Cargo.toml`. A plugin that is not named as
/// its crate says so: `hookway_plugin::export!(Slack as "slack")`.
///
/// Call it once, at the top level of the crate. It also sets the allocator of the component, to one that
/// is several times cheaper for runs of some KiB than that of the standard library.
#[macro_export]
macro_rules! export {
    ($plugin:ident) => {
        $crate::export!($plugin as ::core::env!("CARGO_PKG_NAME"));
    };
    ($plugin:ident as $name:expr) => {
        impl $crate::export::Exported for $plugin {
            const PACKAGE: $crate::Package = $crate::Package {
                name: $name,
                version: ::core::env!("CARGO_PKG_VERSION"),
                summary: ::core::env!("CARGO_PKG_DESCRIPTION"),
            };
        }

        #[cfg(target_family = "wasm")]
        #[doc(hidden)]
        #[allow(
            missing_docs,
            unreachable_pub,
            unsafe_code,
            clippy::all,
            clippy::pedantic,
            reason = "generated code keeps to rules of its own"
        )]
        mod __hookway_guest {
            $crate::__transformer_bindings!();
            $crate::__transformer_guest!(super::$plugin);
        }
    };
}

/// The way between the author's bindings and this crate's types.
#[doc(hidden)]
#[macro_export]
macro_rules! __transformer_guest {
    ($plugin:ty) => {
        use self::exports::hookway::plugin::plugin as wit_plugin;
        use self::exports::hookway::plugin::transform as wit_transform;
        use self::hookway::plugin::log as wit_log;
        use self::hookway::plugin::types as wit;
        use $crate::export::{Exported, Host, Slot};
        use $crate::log::Level;

        ::std::thread_local! {
            static SLOT: Slot<$plugin> = const { Slot::new(::core::option::Option::None) };
        }

        #[global_allocator]
        static HEAP: $crate::heap::Heap = $crate::heap::Heap::new();

        fn host() -> Host {
            Host {
                write: |level, text| {
                    let level = match level {
                        Level::Trace => wit_log::Level::Trace,
                        Level::Debug => wit_log::Level::Debug,
                        Level::Info => wit_log::Level::Info,
                        Level::Warn => wit_log::Level::Warn,
                        Level::Error => wit_log::Level::Error,
                    };
                    wit_log::log(level, text);
                },
                lowest: || match wit_log::max_level() {
                    wit_log::Level::Trace => Level::Trace,
                    wit_log::Level::Debug => Level::Debug,
                    wit_log::Level::Info => Level::Info,
                    wit_log::Level::Warn => Level::Warn,
                    wit_log::Level::Error => Level::Error,
                },
            }
        }

        struct Guest;

        impl wit_plugin::Guest for Guest {
            fn describe() -> wit_plugin::Manifest {
                $crate::export::start(host);
                let manifest = $crate::Manifest::of::<$plugin>();
                wit_plugin::Manifest {
                    name: manifest.package.name.into(),
                    version: manifest.package.version.into(),
                    summary: manifest.package.summary.into(),
                    config_schema: ::core::option::Option::Some(manifest.config_schema),
                    wants_headers: manifest.wants_headers,
                    event_types: manifest.event_types,
                }
            }

            fn configure(
                config: ::std::vec::Vec<u8>,
            ) -> ::core::result::Result<(), ::std::vec::Vec<wit_plugin::Problem>> {
                $crate::export::start(host);
                SLOT.with(|slot| $crate::export::configure(slot, &config)).map_err(|problems| {
                    problems
                        .into_iter()
                        .map(|problem| wit_plugin::Problem {
                            pointer: problem.pointer,
                            detail: problem.detail,
                        })
                        .collect()
                })
            }
        }

        impl wit_transform::Guest for Guest {
            fn transform(
                event: wit::Event,
                context: wit::Context,
            ) -> ::core::result::Result<wit::Outcome, wit::Failure> {
                $crate::export::start(host);
                let event = $crate::Event {
                    id: event.id,
                    source: event.source,
                    event_type: event.event_type,
                    subject: event.subject,
                    time: event.time,
                    content_type: event.content_type,
                    attributes: event.attributes,
                    tenant: event.tenant,
                    data: event.data,
                };
                let context = $crate::Context {
                    subscription_id: context.subscription_id,
                    subscription_key: context.subscription_key,
                    delivery_id: context.delivery_id,
                    run_number: context.run_number,
                };
                match SLOT.with(|slot| $crate::export::transform(slot, &event, &context)) {
                    Ok($crate::Outcome::Deliver(output)) => {
                        Ok(wit::Outcome::Deliver(wit::Output {
                            requests: output.requests.into_iter().map(request).collect(),
                            events: output.events.into_iter().map(emitted).collect(),
                        }))
                    }
                    Ok($crate::Outcome::Filtered(reason)) => Ok(wit::Outcome::Filtered(reason)),
                    Err($crate::Failure::Reject(reason)) => Err(wit::Failure::Reject(reason)),
                    Err($crate::Failure::Retry { reason, after }) => {
                        Err(wit::Failure::Retry((reason, after.map($crate::export::milliseconds))))
                    }
                    Err($crate::Failure::Misconfigured(reason)) => {
                        Err(wit::Failure::Misconfigured(reason))
                    }
                }
            }
        }

        fn request(request: $crate::Request) -> wit::Request {
            wit::Request {
                method: request.method.map(|method| match method {
                    $crate::Method::Post => wit::Method::Post,
                    $crate::Method::Put => wit::Method::Put,
                    $crate::Method::Patch => wit::Method::Patch,
                    $crate::Method::Delete => wit::Method::Delete,
                    $crate::Method::Get => wit::Method::Get,
                }),
                path: request.path,
                headers: request.headers,
                body: request.body,
                dedup_key: request.dedup_key,
                ordering_key: request.ordering_key,
                delay_ms: request.delay.map($crate::export::milliseconds),
            }
        }

        fn emitted(event: $crate::EmittedEvent) -> wit::EmittedEvent {
            wit::EmittedEvent {
                event_type: event.event_type,
                subject: event.subject,
                content_type: event.content_type,
                attributes: event.attributes,
                data: event.data,
            }
        }

        export!(Guest with_types_in self);
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, event};
    use crate::{deliver, filtered, reject};
    use serde_json::json;
    use std::time::Duration;

    #[crate::config]
    #[serde(deny_unknown_fields)]
    struct Limit {
        /// The least that is let through.
        #[serde(default)]
        least: u32,
    }

    struct Gate(u32);

    impl Plugin for Gate {
        type Config = Limit;
        const WANTS_HEADERS: &'static [&'static str] = &["X-Request-Id"];

        fn configure(config: Limit) -> Result<Self, Vec<Problem>> {
            if config.least > 9 {
                return Err(vec![Problem::at("/least", "must be at most 9")]);
            }
            Ok(Self(config.least))
        }

        fn transform(&self, event: &Event, _: &Context) -> Result<Outcome, Failure> {
            let count: u32 = event.json()?;
            log::info!("{count} of {}", self.0);
            match count {
                0 => Err(reject("nothing")),
                few if few < self.0 => filtered("too few"),
                _ => deliver(crate::Request::new("x").delay(Duration::from_secs(1))),
            }
        }
    }

    crate::export!(Gate as "gate");

    #[test]
    fn a_fault_leaves_no_plugin_behind() {
        let slot = Slot::<Gate>::new(None);
        let run = |slot: &Slot<Gate>| transform(slot, &event("a", json!(5)), &testing::context());
        assert_eq!(
            run(&slot),
            Err(misconfigured("the plugin was run before it was configured"))
        );
        for empty in [&b""[..], b" null\n", b"{}", br#"{"least": 2}"#] {
            assert_eq!(configure(&slot, empty), Ok(()));
            assert!(run(&slot).is_ok());
        }
        let problems = vec![Problem::at("/least", "must be at most 9")];
        assert_eq!(configure(&slot, br#"{"least": 10}"#), Err(problems));
        assert!(run(&slot).is_err());
        let shape = configure(&slot, br#"{"least": -1}"#).expect_err("not a u32");
        assert!(
            shape[0]
                .detail
                .starts_with("the configuration does not have the expected shape")
        );
    }

    #[test]
    fn the_test_kit_shows_decisions_and_lines() {
        let run = |count| testing::run::<Gate>(json!({"least": 3}), &event("a", json!(count)));
        assert_eq!(run(2).filtered(), "too few");
        assert_eq!(run(0).failure(), &reject("nothing"));
        assert_eq!(run(4).request().delay.map(milliseconds), Some(1_000));
        run(4).assert_logged(Level::Info, "4 of 3");
        assert_eq!(testing::problems::<Gate>(json!({"lest": 1})).len(), 1);
    }

    #[test]
    fn the_manifest_comes_from_the_crate_and_the_types() {
        let manifest = testing::describe::<Gate>();
        assert_eq!(manifest.package.name, "gate");
        assert_eq!(manifest.package.version, env!("CARGO_PKG_VERSION"));
        assert_eq!(manifest.package.summary, env!("CARGO_PKG_DESCRIPTION"));
        assert_eq!(manifest.wants_headers, ["x-request-id"]);
        let schema = testing::schema::<Gate>();
        let least = &schema["properties"]["least"];
        assert_eq!(least["description"], "The least that is let through.");
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(crate::CONTRACT, "hookway:plugin@0.1.0");
    }

    #[test]
    fn durations_end_at_what_the_contract_can_say() {
        assert_eq!(milliseconds(Duration::from_secs(u64::MAX)), u32::MAX);
    }
}
