//! Where certificates may come from, and what must not pass for one.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::services_tests::{CERTIFICATE, file};
use super::*;
use crate::secret::Secret;

fn paypal(hosts: &[&str]) -> Keyring {
    let mut document = serde_json::to_value(&file().schemes["paypal"]).unwrap();
    document["certificate_hosts"] = serde_json::json!(hosts);
    let scheme: Scheme = serde_json::from_value(document).unwrap();
    Keyring::new(Arc::new(scheme), [&Secret::new("9XL90610J3647323C")]).unwrap()
}

fn url(keyring: &Keyring, value: &[u8]) -> Result<String, String> {
    let mut headers = HeaderMap::new();
    headers.insert("paypal-cert-url", HeaderValue::from_bytes(value).unwrap());
    match keyring.certificate_url(&headers) {
        Ok(url) => Ok(url.unwrap().to_string()),
        Err(error) => {
            assert!(matches!(
                error.failure(),
                Failure::Certificate | Failure::Malformed
            ));
            Err(error.to_string())
        }
    }
}

#[test]
fn certificates_come_from_named_hosts_over_https_only() {
    let keyring = paypal(&["paypal.com", "127.0.0.1", "[::1]"]);
    for good in [
        "https://api.paypal.com/v1/certs/CERT-1",
        "https://paypal.com/c",
        "https://API.PayPal.COM:8443/c",
        "http://127.0.0.1:4711/c",
        "http://[::1]:4711/c",
    ] {
        assert!(url(&keyring, good.as_bytes()).is_ok(), "{good}");
    }
    let table = [
        ("http://api.paypal.com/c", "is not https"),
        ("ftp://127.0.0.1/c", "is not https"),
        ("file:///etc/passwd", "has no host"),
        ("data:text/plain,x", "has no host"),
        ("/c", "is no URL"),
        ("", "is no URL"),
        ("https://user@api.paypal.com/c", "user name"),
        ("https://:x@api.paypal.com/c", "user name"),
        ("https://paypal.com@evil.example/c", "user name"),
        ("https://evil.example/paypal.com", "leads to evil.example"),
        ("https://evilpaypal.com/c", "leads to evilpaypal.com"),
        (
            "https://paypal.com.evil.example/c",
            "leads to paypal.com.evil.example",
        ),
        ("https://paypal.com./c", "leads to paypal.com."),
        ("https://evil.example\\@paypal.com/c", "leads to evil.example"),
        ("https://10.127.0.0.1.nip.io/", "leads to"),
        ("http://127.0.0.2/c", "leads to 127.0.0.2"),
        ("https://www.paypal.com/search?q=-----BEGIN", "behind its path"),
        ("https://api.paypal.com/c#1", "behind its path"),
    ];
    for (text, expected) in table {
        let error = url(&keyring, text.as_bytes()).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let long = format!("https://paypal.com/{}", "a".repeat(2_000));
    assert!(url(&keyring, long.as_bytes()).unwrap_err().contains("too long"));
    assert!(url(&keyring, b"https://paypal.com/\xff").is_err());
    let missing = keyring.certificate_url(&HeaderMap::new()).unwrap_err();
    assert_eq!(missing.failure(), Failure::Missing);
    // A scheme without certificates asks for none, whatever the request says.
    let plain = Keyring::new(Arc::new(file().schemes["pagerduty"].clone()), [&Secret::new("x")]).unwrap();
    assert_eq!(plain.certificate_url(&HeaderMap::new()), Ok(None));
}

#[test]
fn certificates_are_pem_or_der_and_nothing_else() {
    let read = |bytes: Option<&[u8]>| {
        certificate::Certificate::read(bytes)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let der = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let chain = [b"\r\n", CERTIFICATE, b"subject=/CN=x\n", CERTIFICATE].concat();
    let echoed = [b"<p>Nothing found for ", CERTIFICATE].concat();
    for good in [CERTIFICATE, &der[..], &chain] {
        assert_eq!(read(Some(good)), Ok(()));
    }
    let key: &[u8] = include_bytes!("../../../tests/vectors/paypal-test-key.pem");
    let table: [(Option<&[u8]>, &str); 7] = [
        (Some(&echoed), "neither PEM nor DER"),
        (None, "was not fetched"),
        (Some(b""), "neither PEM nor DER"),
        (Some(b"<html>"), "neither PEM nor DER"),
        (Some(&der[..der.len() - 1]), "neither PEM nor DER"),
        (Some(key), "cannot be read as PEM"),
        (Some(&vec![b'a'; CERTIFICATE_BYTES_MAX + 1]), "larger than"),
    ];
    for (bytes, expected) in table {
        let error = read(bytes).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
