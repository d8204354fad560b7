//! What templates see of a request: headers, query, form and JSON, each taken apart at most once, and
//! only where a template asks for it.

use std::borrow::Cow;
use std::cell::OnceCell;

use http::HeaderName;

use super::pointer::Pointers;
use super::request::Request;
use crate::digest::Digest;
use crate::event::essence;

/// Most parameters of a query or form that are looked at.
pub(super) const PARAMETERS_MAX: usize = 1_024;
/// The media type of forms.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

type Parameters<'r> = Vec<(Cow<'r, str>, Cow<'r, str>)>;

/// A request, or one item of its body, as templates see it. Empty values count as absent everywhere:
/// an id made of nothing would make strangers out to be repetitions of each other.
pub(super) struct View<'r> {
    pub(super) request: &'r Request<'r>,
    /// The body, or the item.
    pub(super) bytes: &'r [u8],
    pointers: &'r Pointers,
    json: OnceCell<Vec<Option<&'r str>>>,
    query: OnceCell<Parameters<'r>>,
    form: OnceCell<Parameters<'r>>,
    digest: OnceCell<Digest>,
}

impl<'r> View<'r> {
    /// A view on a request whose JSON is `bytes`.
    pub(super) fn new(request: &'r Request<'r>, bytes: &'r [u8], pointers: &'r Pointers) -> Self {
        Self {
            request,
            bytes,
            pointers,
            json: OnceCell::new(),
            query: OnceCell::new(),
            form: OnceCell::new(),
            digest: OnceCell::new(),
        }
    }

    /// The SHA-256 of the body, or of the item.
    pub(super) fn digest(&self) -> &Digest {
        self.digest.get_or_init(|| Digest::of(self.bytes))
    }

    /// The first value of a header, if it is text.
    pub(super) fn header(&self, name: &HeaderName) -> Option<Cow<'r, str>> {
        let value = str::from_utf8(self.request.headers.get(name)?.as_bytes()).ok()?;
        some(value.into())
    }

    /// The first value of a parameter of the query.
    pub(super) fn query(&self, name: &str) -> Option<Cow<'r, str>> {
        let parameters = self
            .query
            .get_or_init(|| self.request.query_parameters().take(PARAMETERS_MAX).collect());
        first(parameters, name)
    }

    /// The first value of a parameter of a form body.
    pub(super) fn form(&self, name: &str) -> Option<Cow<'r, str>> {
        let parameters = self.form.get_or_init(|| {
            let is_form = self
                .request
                .content_type()
                .is_some_and(|text| essence(text).eq_ignore_ascii_case(FORM));
            let body: &'r [u8] = if is_form { self.request.body } else { &[] };
            url::form_urlencoded::parse(body).take(PARAMETERS_MAX).collect()
        });
        first(parameters, name)
    }

    /// What stands at a pointer: strings decoded, numbers and booleans as they were written. `null`,
    /// arrays and objects have no text.
    pub(super) fn json(&self, slot: usize) -> Option<Cow<'r, str>> {
        let found = self.json.get_or_init(|| self.pointers.find(self.bytes));
        let raw = (*found.get(slot)?)?;
        match raw.as_bytes().first()? {
            b'"' => some(serde_json::from_str::<String>(raw).ok()?.into()),
            b'{' | b'[' | b'n' => None,
            _ => Some(raw.into()),
        }
    }
}

fn first<'r>(parameters: &Parameters<'r>, name: &str) -> Option<Cow<'r, str>> {
    let (_, value) = parameters.iter().find(|(known, _)| known == name)?;
    some(value.clone())
}

fn some(value: Cow<'_, str>) -> Option<Cow<'_, str>> {
    (!value.is_empty()).then_some(value)
}
