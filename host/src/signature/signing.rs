//! How deliveries are signed: a scheme, whether it must be, with which of the secrets, and what is signed
//! beside it.
//!
//! During a rotation a subscription has several secrets. A scheme whose header can carry several
//! signatures signs with all of them, so that a receiver may change at any time; one whose header carries
//! a single signature signs with exactly the newest, because receivers compare that header as a whole. The
//! headers of Standard Webhooks can go along with any HMAC scheme: they carry one signature for each
//! secret even where the scheme itself cannot.

use std::sync::Arc;

use http::HeaderName;
use serde::{Deserialize, Serialize};

use super::scheme::{Presence, Scheme};
use super::secret::SecretFault;
use super::sign::{Keyring, Outgoing, SignError};
use crate::secret::Secret;

/// How the deliveries of a profile are signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Signing {
    scheme: Arc<Scheme>,
    need: Need,
    keys: Keys,
    also: Vec<(Also, Arc<Scheme>)>,
}

/// Whether every delivery is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It is: a subscription always has a secret.
    Required,
    /// A subscription without a secret sends requests that are not signed.
    Optional,
}

/// Which secrets sign, where there are several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keys {
    /// Every one, newest first.
    All,
    /// The newest alone.
    Newest,
}

/// What is signed beside the scheme's own headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Also {
    /// `webhook-id`, `webhook-timestamp` and `webhook-signature`, with every secret. A secret that is
    /// `whsec_` and base64 is decoded; of any other the text is the key.
    StandardWebhooks,
}

/// What is wrong with how a profile signs.
#[derive(Debug, thiserror::Error)]
pub enum SigningFault {
    /// The scheme is not for deliveries.
    #[error("the signature's scheme is not for deliveries: {0}")]
    Scheme(#[source] SignError),
    /// A header that carries one signature.
    #[error(
        "keys = \"all\" needs a scheme that can carry several signatures, such as one with a `separator`"
    )]
    OneSignature,
    /// The same twice.
    #[error("`also` names standard-webhooks twice")]
    Twice,
    /// Public keys, or headers that are taken.
    #[error(
        "`also` goes with an HMAC scheme that does not set the headers webhook-id, webhook-timestamp and \
         webhook-signature itself"
    )]
    NotBeside,
}

#[derive(Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table with algorithm, secret, input, encoding, header and format"
)]
struct Written {
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    required: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keys: Option<Keys>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    also: Vec<Also>,
    #[serde(flatten)]
    scheme: Scheme,
}

const fn yes() -> bool {
    true
}

fn usual_keys(scheme: &Scheme) -> Keys {
    match scheme.carries_several() {
        true => Keys::All,
        false => Keys::Newest,
    }
}

impl Signing {
    /// With this scheme alone, on every delivery.
    pub fn new(scheme: Scheme) -> Result<Self, SigningFault> {
        Self::try_from(Written {
            required: true,
            keys: None,
            also: Vec::new(),
            scheme,
        })
    }

    /// The scheme.
    pub const fn scheme(&self) -> &Arc<Scheme> {
        &self.scheme
    }

    /// Whether every delivery is signed.
    pub const fn need(&self) -> Need {
        self.need
    }

    /// Which secrets the scheme signs with.
    pub const fn keys(&self) -> Keys {
        self.keys
    }

    /// What is signed beside the scheme's own headers.
    pub fn also(&self) -> impl Iterator<Item = Also> {
        self.also.iter().map(|(also, _)| *also)
    }

    /// The headers that signing sets; nobody else may.
    pub fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.schemes().flat_map(|scheme| scheme.headers())
    }

    /// The names of these headers as they were written.
    pub fn spelled_headers(&self) -> impl Iterator<Item = &str> {
        self.schemes().flat_map(|scheme| scheme.spelled_headers())
    }

    fn schemes(&self) -> impl Iterator<Item = &Arc<Scheme>> {
        let beside = self.also.iter().map(|(_, scheme)| scheme);
        std::iter::once(&self.scheme).chain(beside)
    }

    /// Whether a secret is one that can sign.
    pub fn accepts(&self, secret: &Secret) -> Result<(), SecretFault> {
        self.signer([secret]).map(drop)
    }

    /// Prepares the secrets, newest first; none where there is none.
    pub fn signer<'a>(&self, secrets: impl IntoIterator<Item = &'a Secret>) -> Result<Signer, SecretFault> {
        let secrets: Vec<&Secret> = secrets.into_iter().collect();
        let keyring = |scheme: Arc<Scheme>, keys: Keys| {
            let usable = match keys {
                Keys::All => &secrets[..],
                Keys::Newest => &secrets[..secrets.len().min(1)],
            };
            let ring = match usable {
                [] => None,
                some => Some(Keyring::for_signing(Arc::clone(&scheme), some.iter().copied())?),
            };
            Ok((scheme, ring))
        };
        let mut rings = vec![keyring(Arc::clone(&self.scheme), self.keys)?];
        for (_, beside) in &self.also {
            rings.push(keyring(Arc::clone(beside), Keys::All)?);
        }
        Ok(Signer { rings })
    }
}

impl Also {
    fn scheme(self) -> Scheme {
        match self {
            Self::StandardWebhooks => Scheme::standard_webhooks_beside(),
        }
    }
}

/// How deliveries are signed, with the secrets of one endpoint.
#[derive(Clone, Debug)]
pub struct Signer {
    rings: Vec<(Arc<Scheme>, Option<Keyring>)>,
}

impl Signer {
    /// The headers that sign a request: the scheme's own first. Without a secret those that need none, id
    /// and time stamp, go along alone.
    pub fn sign(&self, request: &Outgoing<'_>) -> Vec<(String, String)> {
        let headers = self.rings.iter().flat_map(|(scheme, ring)| match ring {
            None => scheme.unsigned_headers(request.id, request.timestamp),
            Some(ring) => ring
                .sign(request)
                .expect("the scheme signs any request, and every key can sign: both were checked"),
        });
        headers.collect()
    }
}

impl TryFrom<Written> for Signing {
    type Error = SigningFault;

    fn try_from(written: Written) -> Result<Self, SigningFault> {
        let mut scheme = written.scheme;
        scheme.signs_any_request().map_err(SigningFault::Scheme)?;
        // `optional` is the word of sources for the same thing.
        let optional = !written.required || scheme.presence() == Presence::Optional;
        scheme.presence = Presence::Required;
        let keys = match written.keys {
            Some(Keys::All) if !scheme.carries_several() => return Err(SigningFault::OneSignature),
            Some(keys) => keys,
            None => usual_keys(&scheme),
        };
        if written.also.len() > 1 {
            return Err(SigningFault::Twice);
        }
        let mut also = Vec::with_capacity(written.also.len());
        for name in written.also {
            let beside = name.scheme();
            let taken = beside
                .headers()
                .any(|name| scheme.headers().any(|own| own == name));
            if taken || !scheme.algorithm().is_symmetric() {
                return Err(SigningFault::NotBeside);
            }
            also.push((name, Arc::new(beside)));
        }
        Ok(Self {
            scheme: Arc::new(scheme),
            need: match optional {
                true => Need::Optional,
                false => Need::Required,
            },
            keys,
            also,
        })
    }
}

impl From<Signing> for Written {
    fn from(signing: Signing) -> Self {
        Self {
            required: signing.need == Need::Required,
            keys: (signing.keys != usual_keys(&signing.scheme)).then_some(signing.keys),
            also: signing.also.into_iter().map(|(also, _)| also).collect(),
            scheme: Arc::unwrap_or_clone(signing.scheme),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::signature::{Incoming, SecretKind, Verified};
    use crate::time::Timestamp;

    fn written(changes: Value) -> Value {
        let mut document = json!({
            "algorithm": "hmac-sha256", "secret": "utf8", "input": "{ts}.{body}", "encoding": "hex",
            "header": "X-Signature", "format": "sha256={sig}", "ts_header": "X-Timestamp",
        });
        for (name, value) in changes.as_object().unwrap() {
            document[name] = value.clone();
        }
        document
    }

    fn signing(changes: Value) -> Signing {
        serde_json::from_value(written(changes)).unwrap()
    }

    fn signed(signing: &Signing, secrets: &[&str]) -> BTreeMap<String, String> {
        let secrets: Vec<Secret> = secrets.iter().map(|text| Secret::new(*text)).collect();
        let outgoing = Outgoing {
            id: "req_1",
            timestamp: Timestamp::from_millis(1_700_000_000_999),
            url: "https://example.com/",
            body: &[b"{\"a\":", b"1}"],
        };
        signing
            .signer(&secrets)
            .unwrap()
            .sign(&outgoing)
            .into_iter()
            .collect()
    }

    /// During a rotation a header for one signature carries exactly one, the newest secret's; receivers
    /// compare it as a whole.
    #[test]
    fn one_signature_is_the_newest_secrets_and_several_are_everybodys() {
        let one = signing(json!({}));
        assert_eq!(one.keys(), Keys::Newest);
        let alone = signed(&one, &["new"]);
        assert_eq!(signed(&one, &["new", "old"]), alone);
        assert_ne!(signed(&one, &["old", "new"]), alone);
        assert!(!alone["X-Signature"].contains(','), "{alone:?}");

        let several = signing(json!({ "separator": "," }));
        assert_eq!(several.keys(), Keys::All);
        let both = signed(&several, &["new", "old"])["X-Signature"].clone();
        let (new, old) = (signed(&several, &["new"]), signed(&several, &["old"]));
        assert_eq!(both, format!("{},{}", new["X-Signature"], old["X-Signature"]));

        let bound = signing(json!({ "separator": ",", "keys": "newest" }));
        assert_eq!(signed(&bound, &["new", "old"]), new);
    }

    /// IB-06: without a secret there is no signature, but the time stamp stays.
    #[test]
    fn without_a_secret_only_what_needs_none_is_sent() {
        let optional = signing(json!({ "required": false, "also": ["standard-webhooks"] }));
        assert_eq!(optional.need(), Need::Optional);
        let headers = signed(&optional, &[]);
        let expected = [
            ("X-Timestamp", "1700000000"),
            ("webhook-id", "req_1"),
            ("webhook-timestamp", "1700000000"),
        ];
        let shown: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(shown, expected);
        assert_eq!(signing(json!({})).need(), Need::Required);
        assert_eq!(signing(json!({ "optional": true })).need(), Need::Optional);
    }

    #[test]
    fn standard_webhooks_go_along_with_every_secret_of_any_form() {
        let beside = signing(json!({ "also": ["standard-webhooks"] }));
        let made = SecretKind::Utf8
            .generate(&zeroize::Zeroizing::new([7; 32]))
            .unwrap();
        let secrets = [made.reveal(), "whsec_test_s3cr3t", "hush"];
        let headers = signed(&beside, &secrets);
        assert_eq!(
            headers["X-Signature"],
            signed(&beside, &secrets[..1])["X-Signature"]
        );
        assert_eq!(headers["webhook-signature"].split(' ').count(), 3);
        let map: http::HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect();
        let incoming = Incoming {
            headers: &map,
            url: "",
            body: b"{\"a\":1}",
            certificate: None,
        };
        let now = Timestamp::from_millis(1_700_000_001_000);
        for text in secrets {
            let scheme = Arc::new(Scheme::standard_webhooks_beside());
            let ring = Keyring::new(scheme, [&Secret::new(text)]).unwrap();
            assert_eq!(
                ring.verify(&incoming, now),
                Ok(Verified::Signed { secret: 0 }),
                "{text}"
            );
        }
        // A secret that was made is one for the libraries of Standard Webhooks too.
        let library = Keyring::new(Arc::new(Scheme::standard_webhooks()), [&made]).unwrap();
        assert!(library.verify(&incoming, now).is_ok());
    }

    #[test]
    fn a_signing_is_data_and_nonsense_is_refused() {
        for changes in [
            json!({}),
            json!({ "required": false }),
            json!({ "separator": ",", "keys": "newest", "also": ["standard-webhooks"] }),
            json!({ "algorithm": "hmac-sha512" }),
        ] {
            let read = signing(changes);
            let text = toml::to_string(&read).unwrap();
            assert_eq!(toml::from_str::<Signing>(&text).unwrap(), read, "{text}");
        }
        assert_eq!(serde_json::to_value(signing(json!({}))).unwrap(), {
            let mut plain = written(json!({}));
            plain["algorithm"] = "hmac-sha256".into();
            plain
        });
        for (changes, expected) in [
            (json!({ "colour": 1 }), "unknown field"),
            (json!({ "keys": "all" }), "several signatures"),
            (json!({ "keys": "some" }), "unknown variant"),
            (json!({ "also": ["plain"] }), "unknown variant"),
            (
                json!({ "also": ["standard-webhooks", "standard-webhooks"] }),
                "twice",
            ),
            (
                json!({ "also": ["standard-webhooks"], "header": "webhook-signature" }),
                "goes with an HMAC scheme",
            ),
            (
                json!({ "also": ["standard-webhooks"], "algorithm": "ed25519", "secret": "hex" }),
                "goes with an HMAC scheme",
            ),
            (
                json!({ "header": null, "signature_pointer": "/sig" }),
                "not for deliveries",
            ),
            (json!({ "input": "{ts}.{json:/a}.{body}" }), "not for deliveries"),
        ] {
            let fault = serde_json::from_value::<Signing>(written(changes.clone()));
            let fault = fault.unwrap_err().to_string();
            assert!(fault.contains(expected), "{changes}: {fault}");
        }
    }
}
