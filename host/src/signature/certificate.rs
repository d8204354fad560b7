//! Certificates that carry the key of a signature (PayPal): from which address one may be fetched, and
//! what its key says.
//!
//! The address stands in the request, so that anybody can write it; what makes the certificate worth
//! something is that it was fetched over HTTPS from a host that the scheme names. Who fetches it must
//! follow no redirect, and may keep it by its address. Its chain is not checked again.

use http::HeaderMap;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use url::{Host, Url};

use super::scheme::CertificatePlace;
use super::sign::Keyring;
use super::verify::{VerifyError, required};

/// Largest chain that is read, in bytes. Three certificates in PEM have some 6 KiB.
pub const CERTIFICATE_BYTES_MAX: usize = 64 * 1_024;
/// Longest address of a certificate, in bytes. PayPal's has 70.
const URL_BYTES_MAX: usize = 1_024;
/// What PEM begins with. Text before it, which RFC 7468 allows, is not taken.
const PEM_MARK: &[u8] = b"-----BEGIN ";

/// Whether these bytes are a certificate that a signature could be checked with.
pub fn is_certificate(bytes: &[u8]) -> bool {
    Certificate::read(Some(bytes)).is_ok()
}

/// The certificate at the head of a chain.
pub(super) struct Certificate(CertificateDer<'static>);

impl Keyring {
    /// Where the certificate for a request is to be fetched, if the scheme needs one. The address is
    /// the request's word, but its host is one that the scheme allows.
    pub fn certificate_url(&self, headers: &HeaderMap) -> Result<Option<Url>, VerifyError> {
        let Some(place) = &self.scheme.certificate else {
            return Ok(None);
        };
        address(place, required(headers, &place.header.name)?).map(Some)
    }
}

fn address(place: &CertificatePlace, text: &str) -> Result<Url, VerifyError> {
    let refused = |detail: &str| VerifyError::Certificate {
        detail: format!("the address in `{}` {detail}", place.header.written),
    };
    if text.len() > URL_BYTES_MAX {
        return Err(refused("is too long"));
    }
    let url = Url::parse(text).map_err(|_| refused("is no URL"))?;
    let host = url.host().ok_or_else(|| refused("has no host"))?;
    // Over plain HTTP anybody on the way could answer. Address literals are for private deployments and
    // tests: no public certificate names one.
    let literal = !matches!(host, Host::Domain(_));
    if url.scheme() != "https" && !(url.scheme() == "http" && literal) {
        return Err(refused("is not https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("has a user name or password"));
    }
    // What a page of the service says in answer to somebody's parameters is not the service's word, and
    // one certificate must not have any number of addresses under which it would be kept.
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("has something behind its path"));
    }
    let host = host.to_string();
    let below = |allowed: &String| {
        let rest = host.strip_suffix(allowed.as_str());
        rest.is_some_and(|rest| rest.is_empty() || !literal && rest.ends_with('.'))
    };
    if !place.hosts.iter().any(below) {
        let host: String = host.chars().take(80).collect();
        return Err(refused(&format!(
            "leads to {host}, from which certificates are not taken; allowed are {}",
            place.hosts.join(", ")
        )));
    }
    Ok(url)
}

impl Certificate {
    /// Reads what was fetched: a chain in PEM, the signer's certificate first, or one in DER.
    pub(super) fn read(fetched: Option<&[u8]>) -> Result<Self, VerifyError> {
        let fault = |detail: &str| VerifyError::Certificate {
            detail: format!("the certificate {detail}"),
        };
        let bytes = fetched.ok_or_else(|| fault("was not fetched"))?;
        if bytes.len() > CERTIFICATE_BYTES_MAX {
            return Err(fault("is larger than certificates are"));
        }
        // Nothing may stand before it: on a page that repeats what it was asked, a stranger's words would.
        let der = if bytes.trim_ascii_start().starts_with(PEM_MARK) {
            CertificateDer::from_pem_slice(bytes).map_err(|_| fault("cannot be read as PEM"))?
        } else {
            CertificateDer::from(bytes.to_vec())
        };
        match webpki::EndEntityCert::try_from(&der) {
            Ok(_) => Ok(Self(der)),
            Err(_) => Err(fault("is neither PEM nor DER of an X.509 certificate")),
        }
    }

    /// Whether its key made this signature.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        webpki::EndEntityCert::try_from(&self.0).is_ok_and(|certificate| {
            certificate
                .verify_signature(webpki::ring::RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok()
        })
    }
}
