//! Everything that leaves: one HTTP client that reaches what it may and nothing else.
//!
//! [`check_url`] judges a URL when it is saved and again before every sending: scheme, host, port,
//! literal addresses. Names are judged where it counts, in the resolver of the client ([`Lookup`] behind
//! a guard): every answer is classified ([`classify`]), one forbidden answer refuses them all, and the
//! connection is made to exactly the addresses that passed. There are no redirects, no proxies from the
//! environment, no cookies, no HTTP/2 and no decompression. Time and sizes are bounded for the whole
//! answer, body included. What leaves is what was asked for, names of headers in their [`Spelling`].
//!
//! [`Egress`] is the only way out: deliveries, tests of endpoints, what Hookway tells of itself and the certificates
//! of services that sign with them all take it.

mod address;
mod client;
mod connection;
mod dial;
mod failure;
mod guard;
mod interim;
mod policy;
mod pool;
mod spelling;
mod target;
mod url;

pub use self::address::{Reach, classify};
pub use self::client::{Egress, EgressError, Limits, Outbound, RESPONSE_HEADERS_MAX, Reply};
pub use self::guard::{ANSWERS_MAX, LOOKUPS_MAX, Lookup, LookupFuture, SystemLookup, look_up};
pub use self::policy::{AllowRule, AllowTarget, Policy, Refusal, RuleFault};
pub use self::spelling::Spelling;
pub use self::target::Target;
pub use self::url::{URL_BYTES_MAX, UrlFault, check_url, with_path};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
