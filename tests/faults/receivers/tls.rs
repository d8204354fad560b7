//! Certificates that nobody should trust. Made for these tests with `openssl ca -selfsign`; nothing else
//! knows them or their key.

use std::sync::Arc;

use data_encoding::BASE64;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// For `hooks.example` and 127.0.0.1, valid in 2020 only.
const EXPIRED: &str = "\
MIIBbDCCARGgAwIBAgIBATAKBggqhkjOPQQDAjAYMRYwFAYDVQQDDA1ob29rcy5leGFtcGxlMB4XDTIwMDEwMTAwMDAwMFoXDTIxMDEwMTAwMD\
AwMFowGDEWMBQGA1UEAwwNaG9va3MuZXhhbXBsZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABOiwC9AyOOYvbytWyHWnAuQn8OC6SQEzJ/A7\
wpZysckeojekkEOMUpl3QmnlORiw8WlreL+qSTV1K9KhamQBKDWjTDBKMB4GA1UdEQQXMBWCDWhvb2tzLmV4YW1wbGWHBH8AAAEwCQYDVR0TBA\
IwADAdBgNVHQ4EFgQUcnTL2PiZmE8FRxsnwBAtUWXO/E0wCgYIKoZIzj0EAwIDSQAwRgIhAJFWubksWMJy38d9LJRGuDpRQfVRmgdOM8QQInph\
UDG6AiEAmxSJazy3Ogju5FwTKEvzPg5aZL9btSoOsXNyPFk/GKU=";
/// For other names, valid until 2120.
const WRONG_HOST: &str = "\
MIIBdTCCARygAwIBAgIBAjAKBggqhkjOPQQDAjAYMRYwFAYDVQQDDA1ob29rcy5leGFtcGxlMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMD\
AwMDAwWjAYMRYwFAYDVQQDDA1ob29rcy5leGFtcGxlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE6LAL0DI45i9vK1bIdacC5Cfw4LpJATMn\
8DvClnKxyR6iN6SQQ4xSmXdCaeU5GLDxaWt4v6pJNXUr0qFqZAEoNaNVMFMwJwYDVR0RBCAwHoINaG9va3MuZXhhbXBsZYINb3RoZXIuZXhhbX\
BsZTAJBgNVHRMEAjAAMB0GA1UdDgQWBBRydMvY+JmYTwVHGyfAEC1RZc78TTAKBggqhkjOPQQDAgNHADBEAiA1oY9H7Tfk/t7q/TBElgarigvn\
Y0NZmOOTjGAuqNty8AIgEv1m6xKlFEZ0qaiNORkSUhhGfuv46BWttC7CVOG2py8=";
const KEY: &str = "\
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjXoX+/aDni8Rz7rM5nYcayPvB7jP4bNRpZ3FgcVnbk6hRANCAATosAvQMjjmL2\
8rVsh1pwLkJ/DgukkBMyfwO8KWcrHJHqI3pJBDjFKZd0Jp5TkYsPFpa3i/qkk1dSvSoWpkASg1";

/// A server with the one whose time is over.
pub fn expired() -> Arc<rustls::ServerConfig> {
    config(EXPIRED)
}

/// A server with the one that nobody vouches for, and which is for somebody else.
pub fn self_signed() -> Arc<rustls::ServerConfig> {
    config(WRONG_HOST)
}

fn config(certificate: &str) -> Arc<rustls::ServerConfig> {
    let der = |text: &str| BASE64.decode(text.as_bytes()).expect("base64");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(der(KEY)));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(der(certificate))], key)
        .expect("a certificate and its key");
    Arc::new(config)
}
