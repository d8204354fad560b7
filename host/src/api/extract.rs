//! What handlers take from a request: who asks, the query, the body; each bounded, each refused as a
//! problem that says what would be right.
//!
//! Authorisation is a value: a handler gets a [`May`] of the scope that it needs, and without one it
//! has no tenant to ask the store for. A tenant that is not the caller's own gives 404, as if it were
//! not there.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::Deref;
use std::str::FromStr;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, IF_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderName};

use super::Shared;
use super::bodies::read_body;
use super::page::{LIMIT_DEFAULT, LIMIT_MAX, List, number_of};
use super::problem::{Kind, Problem};
use crate::auth::{Principal, Scope, check_key};
use crate::event;
use crate::id::TenantId;
use crate::json;

/// Chooses the tenant, by id or name, for keys that act for any.
pub const TENANT_HEADER: HeaderName = HeaderName::from_static("hookway-tenant");
/// Most query parameters that are looked at.
const PARAMETERS_MAX: usize = 32;

/// Who asks, and for which tenant.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// Who, and what they may do.
    pub principal: Principal,
    /// The tenant that this request acts for.
    pub tenant: TenantId,
}

impl Caller {
    /// Whether endpoint URLs and credentials are shown whole.
    pub fn sees_secrets(&self) -> bool {
        self.principal.scopes.allow(Scope::Manage)
    }

    /// Refuses a key that is bound to a tenant: what is asked for is about all of them.
    pub fn must_be_the_routers(&self) -> Result<(), Problem> {
        match self.principal.tenant {
            None => Ok(()),
            Some(_) => Err(Problem::new(Kind::Forbidden, "the key is bound to one tenant")),
        }
    }
}

/// A scope as a type.
pub trait Needs: Send + Sync + 'static {
    /// The scope.
    const SCOPE: Scope;
}

macro_rules! needs {
    ($($(#[$doc:meta])* $name:ident $scope:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}
        impl Needs for $name { const SCOPE: Scope = Scope::$scope; }
    )*};
}

needs! {
    /// To bring events in.
    ToIngest Ingest;
    /// To read the numbers of the whole router.
    ToScrape Metrics;
    /// To see.
    ToRead Read;
    /// To change.
    ToManage Manage;
    /// To do everything.
    ToAdminister Admin;
}

/// A caller who may do this.
#[derive(Clone, Copy, Debug)]
pub struct May<N>(Caller, PhantomData<N>);

impl<N> Deref for May<N> {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl<N: Needs> FromRequestParts<Shared> for May<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Result<Self, Problem> {
        let key = bearer(&parts.headers, state)?;
        let Some(principal) = state.control.keyring().principal(key) else {
            return Err(Problem::unauthorized(match check_key(key) {
                Err(crate::auth::KeyFault::Checksum) => {
                    "the key is mistyped or cut: its checksum does not fit"
                }
                Ok(()) | Err(crate::auth::KeyFault::Form) => "the key is not known or was revoked",
            }));
        };
        if !principal.scopes.allow(N::SCOPE) {
            let detail = format!(
                "the key has the scopes `{}`; this needs `{}`",
                principal.scopes,
                N::SCOPE.as_str()
            );
            return Err(Problem::new(Kind::Forbidden, detail));
        }
        let tenant = tenant_of(&principal, &parts.headers, state)?;
        Ok(Self(Caller { principal, tenant }, PhantomData))
    }
}

fn bearer<'h>(headers: &'h HeaderMap, state: &Shared) -> Result<&'h str, Problem> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        let prefix = state.control.key_prefix();
        return Err(Problem::unauthorized(&format!(
            "send `Authorization: Bearer {prefix}…`"
        )));
    };
    let value = value.to_str().unwrap_or_default();
    match value.split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") && !key.trim().is_empty() => {
            Ok(key.trim())
        }
        _ => Err(Problem::unauthorized(
            "`Authorization` must be `Bearer`, a space and the key",
        )),
    }
}

fn tenant_of(principal: &Principal, headers: &HeaderMap, state: &Shared) -> Result<TenantId, Problem> {
    let wanted = match headers.get(TENANT_HEADER) {
        None => None,
        Some(value) => {
            let value = value.to_str().unwrap_or_default();
            Some(
                state
                    .control
                    .tenant(value)
                    .ok_or_else(|| Problem::not_found("tenant"))?,
            )
        }
    };
    match (principal.tenant, wanted) {
        (Some(own), Some(wanted)) if own != wanted => Err(Problem::not_found("tenant")),
        (Some(own), _) => Ok(own),
        (None, Some(wanted)) => Ok(wanted),
        (None, None) => Ok(state.control.default_tenant()),
    }
}

/// The query, split. Parameters are taken out one by one; what is left in the end is unknown.
#[derive(Debug)]
pub struct Query {
    given: BTreeMap<String, String>,
    asked: Vec<&'static str>,
}

impl FromRequestParts<Shared> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &Shared) -> Result<Self, Problem> {
        Self::of(parts.uri.query().unwrap_or_default())
    }
}

impl Query {
    /// Splits a query.
    pub fn of(query: &str) -> Result<Self, Problem> {
        let mut given = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if given.len() == PARAMETERS_MAX {
                return Err(Problem::new(Kind::Parameter, "there are too many parameters"));
            }
            if given
                .insert(name.clone().into_owned(), value.into_owned())
                .is_some()
            {
                return Err(Problem::parameter(&name, "is given twice"));
            }
        }
        Ok(Self {
            given,
            asked: Vec::new(),
        })
    }

    /// Takes a parameter as it is.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        self.asked.push(name);
        self.given.remove(name)
    }

    /// Takes a parameter of a type.
    pub fn read<T: FromStr>(&mut self, name: &'static str, expected: &str) -> Result<Option<T>, Problem> {
        match self.text(name).map(|text| text.parse()) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(_)) => Err(Problem::parameter(name, &format!("must be {expected}"))),
        }
    }

    /// Takes a switch: `?force` and `?force=true` are on.
    pub fn switch(&mut self, name: &'static str) -> Result<bool, Problem> {
        match self.text(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("" | "true") => Ok(true),
            Some(_) => Err(Problem::parameter(name, "must be true or false")),
        }
    }

    /// Takes `limit`.
    pub fn limit(&mut self) -> Result<usize, Problem> {
        match self.read("limit", "a number")? {
            None => Ok(LIMIT_DEFAULT),
            Some(limit) if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
            Some(_) => Err(Problem::parameter(
                "limit",
                &format!("must be from 1 to {LIMIT_MAX}"),
            )),
        }
    }

    /// Takes `cursor`.
    pub fn cursor(&mut self, list: List) -> Result<Option<i64>, Problem> {
        let text = self.text("cursor");
        let number = text.map(|text| number_of(list, &text)).transpose();
        number.map_err(|fault| Problem::parameter("cursor", &fault.to_string()))
    }

    /// Whatever nobody asked for is unknown.
    pub fn finish(self) -> Result<(), Problem> {
        let Some(name) = self.given.into_keys().next() else {
            return Ok(());
        };
        let hint = match (json::nearest(&name, &self.asked), self.asked.is_empty()) {
            (Some(near), _) => format!("; did you mean `{near}`?"),
            (None, true) => "; there are none here".to_owned(),
            (None, false) => format!("; known are {}", self.asked.join(", ")),
        };
        Err(Problem::new(
            Kind::Parameter,
            format!("`{name}` is not a known parameter{hint}"),
        ))
    }
}

/// A body that says it is JSON, read whole, UTF-8, not too deep; not yet parsed.
#[derive(Clone, Debug)]
pub struct JsonBody {
    /// The bytes, for slices that share them.
    pub bytes: Bytes,
}

impl JsonBody {
    /// The body as text.
    pub fn text(&self) -> &str {
        // Checked when it was read; an empty text would be refused as one.
        str::from_utf8(&self.bytes).unwrap_or_default()
    }

    /// Whether there is no body at all, where one is optional.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Reads a body.
    pub async fn read(headers: &HeaderMap, body: Body, state: &Shared) -> Result<Self, Problem> {
        check_encoding(headers)?;
        check_media_type(headers)?;
        let limits = &state.limits;
        let bytes = read_body(headers, body, limits.body_bytes_max, limits.body_timeout).await?;
        if str::from_utf8(&bytes).is_err() {
            return Err(Problem::new(
                Kind::Malformed,
                "not UTF-8; bytes go into `data_base64`",
            ));
        }
        json::check_depth(&bytes).map_err(|fault| Problem::new(Kind::Malformed, fault.to_string()))?;
        Ok(Self { bytes })
    }
}

impl FromRequest<Shared> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Shared) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        Self::read(&parts.headers, body, state).await
    }
}

/// No body is taken that has to be unpacked first: what it unpacks to has no limit of its own.
pub fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None | Some(b"identity") => Ok(()),
        Some(_) => Err(Problem::new(Kind::MediaType, "compressed bodies are not taken")),
    }
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let refuse = |detail: &str| Err(Problem::new(Kind::MediaType, detail));
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let essence = event::essence(value.to_str().unwrap_or_default());
    match essence.to_ascii_lowercase().as_str() {
        "application/json" | "application/merge-patch+json" => Ok(()),
        "application/cloudevents+json" | "application/cloudevents-batch+json" => {
            refuse("CloudEvents are taken by POST /api/v1/events only; send application/json")
        }
        "application/x-www-form-urlencoded" => {
            refuse("send JSON; with curl add -H 'content-type: application/json'")
        }
        _ => refuse("send application/json"),
    }
}

/// The version that `If-Match` asks for; none where it says nothing or `*`.
pub fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(IF_MATCH) else {
        return Ok(None);
    };
    let value = value.to_str().unwrap_or_default().trim();
    if value == "*" {
        return Ok(None);
    }
    let version = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .and_then(|v| v.parse().ok());
    match version {
        Some(version) => Ok(Some(version)),
        None => Err(Problem::parameter("If-Match", "must be one ETag as it was given")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_what_it_does_not_know() {
        let mut query = Query::of("limt=5&status=failed").unwrap();
        assert_eq!(query.limit().unwrap(), LIMIT_DEFAULT);
        assert_eq!(query.text("status").as_deref(), Some("failed"));
        let problem = format!("{:?}", query.finish().unwrap_err());
        assert!(problem.contains("did you mean `limit`?"), "{problem}");
        for bad in ["limit=0", "limit=251", "limit=x", "limit="] {
            assert!(Query::of(bad).unwrap().limit().is_err(), "{bad}");
        }
        assert!(Query::of("a=1&a=2").is_err());
        let many: Vec<String> = (0..40).map(|n| format!("p{n}=1")).collect();
        assert!(Query::of(&many.join("&")).is_err());
    }

    #[test]
    fn an_etag_is_read_as_it_was_given() {
        let read = |text: &str| {
            let headers = HeaderMap::from_iter([(IF_MATCH, text.parse().unwrap())]);
            if_match(&headers).map_err(|problem| problem.kind())
        };
        assert_eq!(read("\"7\""), Ok(Some(7)));
        assert_eq!(read("*"), Ok(None));
        for bad in ["7", "\"x\"", "W/\"7\"", ""] {
            assert_eq!(read(bad), Err(Kind::Parameter), "{bad}");
        }
    }
}
