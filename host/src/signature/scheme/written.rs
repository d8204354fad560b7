//! The written form of a scheme, and the rules by which it becomes one.

use http::HeaderName;
use serde::{Deserialize, Serialize};

use super::{
    Algorithm, CERTIFICATE_HOSTS_MAX, CertificatePlace, Coverage, Encoding, Named, Place, Presence, Scheme,
    SchemeFault, TOLERANCE_SECONDS_MAX, TimestampFormat, TimestampPlace,
};
use crate::signature::pointer::Pointer;
use crate::signature::secret::SecretKind;
use crate::signature::template::{Format, Input, InputPiece};

/// Longest name of a parameter of the URL. Real ones have a dozen characters.
const PARAMETER_BYTES_MAX: usize = 64;
/// Most characters of a wrong text that a fault repeats.
const SHOWN_CHARS_MAX: usize = 80;

#[derive(Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table with algorithm, secret, input, encoding, header and format"
)]
pub(super) struct Written {
    #[serde(alias = "alg")]
    algorithm: Algorithm,
    secret: SecretKind,
    input: String,
    encoding: Encoding,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature_pointer: Option<String>,
    format: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    separator: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ts_header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ts_pointer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ts_format: Option<TimestampFormat>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id_header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tolerance_seconds: Option<u32>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    optional: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate_header: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    certificate_hosts: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_digest_query: Option<String>,
    #[serde(default = "covered", skip_serializing_if = "Clone::clone")]
    covers_body: bool,
}

const fn covered() -> bool {
    true
}

impl Written {
    pub(super) fn standard_webhooks() -> Self {
        Self {
            algorithm: Algorithm::HmacSha256,
            secret: SecretKind::WhsecBase64,
            input: "{id}.{ts}.{body}".to_owned(),
            encoding: Encoding::Base64,
            header: Some("webhook-signature".to_owned()),
            signature_pointer: None,
            format: "v1,{sig}".to_owned(),
            separator: Some(" ".to_owned()),
            ts_header: Some("webhook-timestamp".to_owned()),
            ts_pointer: None,
            ts_format: None,
            id_header: Some("webhook-id".to_owned()),
            tolerance_seconds: Some(300),
            optional: false,
            certificate_header: None,
            certificate_hosts: Vec::new(),
            body_digest_query: None,
            covers_body: true,
        }
    }
}

impl TryFrom<Written> for Scheme {
    type Error = SchemeFault;

    fn try_from(written: Written) -> Result<Self, SchemeFault> {
        let input = Input::parse(&written.input)?;
        let format = Format::parse(&written.format)?;
        let timestamp = timestamp(&written, &input, &format)?;
        if written.id_header.is_none() && input.has(&InputPiece::Id) {
            return Err(SchemeFault::Id);
        }
        check_secret(&written, &input)?;
        let separator = written.separator.as_deref();
        Ok(Self {
            coverage: coverage(&written, &input)?,
            certificate: certificate(&written)?,
            signature: match (written.header, written.signature_pointer) {
                (Some(name), None) => Place::Header(header(name)?),
                (None, Some(text)) => Place::Pointer(pointer(&text)?),
                _ => return Err(SchemeFault::Place),
            },
            separator: separator.map(|text| separator_of(text, &format)).transpose()?,
            id_header: written.id_header.map(header).transpose()?,
            timestamp,
            timestamp_format: written.ts_format.unwrap_or_default(),
            algorithm: written.algorithm,
            secret: written.secret,
            encoding: written.encoding,
            tolerance_seconds: written.tolerance_seconds,
            presence: if written.optional {
                Presence::Optional
            } else {
                Presence::Required
            },
            body_digest_query: written.body_digest_query,
            input,
            format,
        })
    }
}

fn header(written: String) -> Result<Named, SchemeFault> {
    match HeaderName::from_bytes(written.as_bytes()) {
        Ok(name) => Ok(Named { name, written }),
        Err(_) => Err(SchemeFault::HeaderName {
            name: written.chars().take(SHOWN_CHARS_MAX).collect(),
        }),
    }
}

fn pointer(text: &str) -> Result<Pointer, SchemeFault> {
    Pointer::parse(text).ok_or_else(|| SchemeFault::Pointer {
        pointer: text.chars().take(SHOWN_CHARS_MAX).collect(),
    })
}

/// Where the time stamp stands, and whether what is asked of it makes sense.
fn timestamp(
    written: &Written,
    input: &Input,
    format: &Format,
) -> Result<Option<TimestampPlace>, SchemeFault> {
    let fault = |what| Err(SchemeFault::Timestamp { what });
    let place = match (&written.ts_header, &written.ts_pointer, format.has_timestamp()) {
        (None, None, false) => None,
        (Some(name), None, false) => Some(TimestampPlace::Header(header(name.clone())?)),
        (None, Some(text), false) => Some(TimestampPlace::Pointer(pointer(text)?)),
        (None, None, true) => Some(TimestampPlace::Format),
        _ => return fault("know which to trust"),
    };
    let signed = input.has(&InputPiece::Timestamp);
    let tolerance = written.tolerance_seconds;
    match &place {
        None if signed => return fault("sign it"),
        None if tolerance.is_some() => return fault("check its age"),
        None if written.ts_format.is_some() => return fault("read it"),
        Some(place) if tolerance.is_some() && !signed => {
            let in_the_body = matches!(place, TimestampPlace::Pointer(_));
            if !(in_the_body && input.covers_every_body()) {
                return Err(SchemeFault::TimestampNotSigned);
            }
        }
        _ => {}
    }
    if tolerance.is_some_and(|seconds| !(1..=TOLERANCE_SECONDS_MAX).contains(&seconds)) {
        return Err(SchemeFault::Tolerance);
    }
    Ok(place)
}

/// Whether the algorithm can use secrets of this kind, and the input uses one that is no key.
fn check_secret(written: &Written, input: &Input) -> Result<(), SchemeFault> {
    let (algorithm, kinds) = match written.algorithm {
        Algorithm::HmacSha1 | Algorithm::HmacSha256 | Algorithm::HmacSha512 => (
            "hmac-…",
            "`utf8`, `whsec-base64`, `whsec-or-utf8`, `base64` or `hex`",
        ),
        Algorithm::Ed25519 => ("ed25519", "`whpk-base64`, `hex`, `base64` or `spki-base64`"),
        Algorithm::EcdsaP256Sha256 => ("ecdsa-p256-sha256", "`spki-base64`"),
        Algorithm::RsaSha256 => ("rsa-sha256", "`spki-base64` or `text`"),
    };
    let fits = match (written.algorithm, written.secret) {
        (Algorithm::RsaSha256, kind) => matches!(kind, SecretKind::SpkiBase64 | SecretKind::Text),
        (Algorithm::EcdsaP256Sha256, kind) => kind == SecretKind::SpkiBase64,
        (Algorithm::Ed25519, kind) => !matches!(
            kind,
            SecretKind::Utf8 | SecretKind::WhsecBase64 | SecretKind::WhsecOrUtf8 | SecretKind::Text
        ),
        (_, kind) => matches!(
            kind,
            SecretKind::Utf8
                | SecretKind::WhsecBase64
                | SecretKind::WhsecOrUtf8
                | SecretKind::Base64
                | SecretKind::Hex
        ),
    };
    if !fits {
        return Err(SchemeFault::Secret { algorithm, kinds });
    }
    // Without the text in what is signed, whoever has any account at the service could sign.
    let text = written.secret == SecretKind::Text;
    if input.has(&InputPiece::Secret) == text && written.certificate_header.is_some() == text {
        Ok(())
    } else {
        Err(SchemeFault::Text)
    }
}

fn certificate(written: &Written) -> Result<Option<CertificatePlace>, SchemeFault> {
    let hosts = &written.certificate_hosts;
    let Some(name) = &written.certificate_header else {
        let none = hosts.is_empty();
        return none.then_some(None).ok_or(SchemeFault::Certificate);
    };
    let host = |text: &String| {
        let parsed = url::Host::parse(text);
        let plain = !text.ends_with('.') && !text.contains('*');
        plain && parsed.is_ok_and(|parsed| parsed.to_string() == *text)
    };
    if !(1..=CERTIFICATE_HOSTS_MAX).contains(&hosts.len()) || !hosts.iter().all(host) {
        return Err(SchemeFault::Certificate);
    }
    Ok(Some(CertificatePlace {
        header: header(name.clone())?,
        hosts: hosts.clone(),
    }))
}

fn coverage(written: &Written, input: &Input) -> Result<Coverage, SchemeFault> {
    let forms = input.has(&InputPiece::FormSorted);
    if let Some(parameter) = &written.body_digest_query {
        let named = (1..=PARAMETER_BYTES_MAX).contains(&parameter.len());
        if !named || !forms || !input.has(&InputPiece::Url) {
            return Err(SchemeFault::BodyDigest);
        }
    }
    let coverage = match (input.covers_every_body(), forms, &written.body_digest_query) {
        (true, _, _) => Coverage::Every,
        (false, true, Some(_)) => Coverage::FormsAndDigest,
        (false, true, None) => Coverage::Forms,
        (false, false, _) => Coverage::Nothing,
    };
    match (coverage, written.covers_body) {
        (Coverage::Nothing, true) => Err(SchemeFault::BodyNotSigned),
        (Coverage::Nothing, false) => Ok(coverage),
        (_, false) => Err(SchemeFault::BodySigned),
        (_, true) => Ok(coverage),
    }
}

fn separator_of(text: &str, format: &Format) -> Result<char, SchemeFault> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        // A format with two fields carries several signatures as several fields.
        (Some(one @ (' ' | ',' | ';' | '|')), None)
            if format.delimiter.is_none() && !format.signature_prefix().contains(one) =>
        {
            Ok(one)
        }
        _ => Err(SchemeFault::Separator),
    }
}

impl From<Scheme> for Written {
    fn from(scheme: Scheme) -> Self {
        let (header, signature_pointer) = match scheme.signature {
            Place::Header(header) => (Some(header.written), None),
            Place::Pointer(pointer) => (None, Some(pointer.to_string())),
        };
        let (ts_header, ts_pointer) = match scheme.timestamp {
            Some(TimestampPlace::Header(header)) => (Some(header.written), None),
            Some(TimestampPlace::Pointer(pointer)) => (None, Some(pointer.to_string())),
            Some(TimestampPlace::Format) | None => (None, None),
        };
        let (certificate_header, certificate_hosts) = scheme
            .certificate
            .map(|place| (place.header.written, place.hosts))
            .unzip();
        Self {
            algorithm: scheme.algorithm,
            secret: scheme.secret,
            input: scheme.input.to_string(),
            encoding: scheme.encoding,
            header,
            signature_pointer,
            format: scheme.format.to_string(),
            separator: scheme.separator.map(String::from),
            ts_header,
            ts_pointer,
            ts_format: (scheme.timestamp_format != TimestampFormat::Seconds)
                .then_some(scheme.timestamp_format),
            id_header: scheme.id_header.map(|header| header.written),
            tolerance_seconds: scheme.tolerance_seconds,
            optional: scheme.presence == Presence::Optional,
            certificate_header,
            certificate_hosts: certificate_hosts.unwrap_or_default(),
            body_digest_query: scheme.body_digest_query,
            covers_body: scheme.coverage != Coverage::Nothing,
        }
    }
}
