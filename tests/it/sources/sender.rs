//! Senders: what each service does to sign a webhook, written from its documentation and apart from the
//! engine that verifies it, so that a mistake is not made twice alike.

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::support::TestRouter;
use crate::support::router::Answer;

/// One request to a source, before it is sent.
#[derive(Clone, Debug, Default)]
pub struct Call {
    pub headers: Vec<(String, String)>,
    pub query: String,
    pub body: Vec<u8>,
}

impl Call {
    pub fn new(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            query: String::new(),
            body: body.into(),
        }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The same without a header.
    pub fn without(mut self, name: &str) -> Self {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// The same with another value of a header.
    pub fn with(self, name: &str, value: impl Into<String>) -> Self {
        self.without(name).header(name, value)
    }

    pub async fn post(&self, router: &TestRouter, source: &str) -> Answer {
        self.send(router, "POST", source).await
    }

    pub async fn send(&self, router: &TestRouter, method: &str, source: &str) -> Answer {
        let query = if self.query.is_empty() {
            String::new()
        } else {
            format!("?{}", self.query)
        };
        let path = format!("/webhooks/{source}{query}");
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        router.call_open(method, &path, &headers, self.body.clone()).await
    }
}

/// Posts a call in which one header has these bytes, whatever they are.
pub async fn post_bytes(router: &TestRouter, source: &str, call: &Call, name: &str, value: &[u8]) -> Answer {
    let mut headers = http::HeaderMap::new();
    for (known, text) in &call.clone().without(name).headers {
        headers.append(known.parse::<http::HeaderName>().unwrap(), text.parse().unwrap());
    }
    headers.append(
        name.parse::<http::HeaderName>().unwrap(),
        http::HeaderValue::from_bytes(value).unwrap(),
    );
    router
        .call_with(&format!("/webhooks/{source}"), headers, call.body.clone())
        .await
}

pub fn sha1(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(key).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

pub fn sha256(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

pub fn sha512(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<sha2::Sha512>::new_from_slice(key).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

pub fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// The Ed25519 key of a seed.
pub fn ed25519(seed: u8) -> Ed25519KeyPair {
    let seed: Vec<u8> = (0..32).map(|n| n ^ seed).collect();
    Ed25519KeyPair::from_seed_unchecked(&seed).unwrap()
}

pub fn public_key(pair: &Ed25519KeyPair) -> Vec<u8> {
    pair.public_key().as_ref().to_vec()
}
