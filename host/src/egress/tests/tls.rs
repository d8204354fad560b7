//! TLS: whose certificate is accepted, and what is said of one that is not.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use data_encoding::BASE64;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::super::{Egress, Limits, Lookup, LookupFuture, Policy, Reply};
use super::{kind_of, open, outbound};
use crate::delivery::{AttemptResult, ErrorKind};

/// Self-signed, for `hooks.example` and 127.0.0.1, valid from 2020 to 2120. Made for these tests with
/// `openssl ca -selfsign`; nothing else knows it or its key.
const CERTIFICATE: &str = "\
MIIBcDCCARagAwIBAgIBATAKBggqhkjOPQQDAjAYMRYwFAYDVQQDDA1ob29rcy5leGFtcGxlMCAXDTIwMDEwMTAwMDAwMFoY\
DzIxMjAwMTAxMDAwMDAwWjAYMRYwFAYDVQQDDA1ob29rcy5leGFtcGxlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEScBO\
c3nL2lzAABIa7DkZXAKkOeCE9sP3kX/x685GIeKkRr29gzecOW/uBJifmOIYXeWDG4iKzn+i+eg5ZenYl6NPME0wHgYDVR0R\
BBcwFYINaG9va3MuZXhhbXBsZYcEfwAAATAMBgNVHRMBAf8EAjAAMB0GA1UdDgQWBBTHuYX1EhS9n5BHVM9+i9YdtSkKjzAK\
BggqhkjOPQQDAgNIADBFAiEA+r3AlFPDxjP+HPFnsEfqlPkSV+4e8XfXKbORR2lpO/oCIAZzGsQj1OagPgy9hLa64eE9Y85l\
8RTqlq47GMuz3Vxl";
const KEY: &str = "\
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg9SqFYAJNZNDmE2EMsQqmYTlDuoTIBGuCN9xdkLk3vs6hRANC\
AARJwE5zecvaXMAAEhrsORlcAqQ54IT2w/eRf/HrzkYh4qRGvb2DN5w5b+4EmJ+Y4hhd5YMbiIrOf6L56Dll6diX";

/// Every name is this machine.
struct Here;

impl Lookup for Here {
    fn lookup(&self, _: &str) -> LookupFuture {
        Box::pin(async { Ok(vec!["127.0.0.1".parse().expect("an address")]) })
    }
}

fn certificate() -> CertificateDer<'static> {
    CertificateDer::from(BASE64.decode(CERTIFICATE.as_bytes()).unwrap())
}

fn trusting() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(certificate()).unwrap();
    roots
}

fn egress(policy: Policy, roots: RootCertStore) -> Egress {
    Egress::with_roots(policy, Limits::default(), Arc::new(Here), roots).unwrap()
}

/// A server with that certificate. It tells which protocol was agreed on.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivatePkcs8KeyDer::from(BASE64.decode(KEY.as_bytes()).unwrap());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate()], PrivateKeyDer::from(key))
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(session, stream);
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"}") && stream.read_exact(&mut byte).is_ok() {
                request.push(byte[0]);
            }
            let protocol = stream.conn.alpn_protocol().unwrap_or_default().to_vec();
            let protocol = String::from_utf8(protocol).unwrap();
            let _answered = write!(
                stream,
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{protocol}",
                protocol.len()
            );
        }
    });
    address
}

#[track_caller]
fn detail_of(reply: &Reply) -> &str {
    match &reply.result {
        AttemptResult::Error { detail, .. } => detail,
        AttemptResult::Response { status, .. } => panic!("answered {status}"),
    }
}

#[tokio::test]
async fn a_certificate_that_is_trusted_for_the_name_is_accepted() {
    let port = server().port();
    let egress = egress(open(), trusting());
    for host in ["hooks.example", "127.0.0.1"] {
        let reply = egress
            .send(outbound(&format!("https://{host}:{port}/path?s3cret")))
            .await;
        let AttemptResult::Response { status, body, .. } = &reply.result else {
            panic!("{host}: {reply:?}");
        };
        assert_eq!((*status, &body[..]), (200, &b"http/1.1"[..]));
    }
}

#[tokio::test]
async fn another_certificate_is_told_as_tls_and_why() {
    let port = server().port();
    let wrong_name = egress(open(), trusting())
        .send(outbound(&format!("https://other.example:{port}/path?s3cret")))
        .await;
    assert_eq!(kind_of(&wrong_name), ErrorKind::Tls);
    assert!(
        detail_of(&wrong_name).contains("not valid for name"),
        "{wrong_name:?}"
    );
    let unknown = egress(open(), super::super::dial::public_roots())
        .send(outbound(&format!("https://hooks.example:{port}/path?s3cret")))
        .await;
    assert_eq!(kind_of(&unknown), ErrorKind::Tls);
    assert!(detail_of(&unknown).contains("UnknownIssuer"), "{unknown:?}");
}

/// The guard stands before the certificate: a good one opens nothing.
#[tokio::test]
async fn a_trusted_certificate_does_not_open_an_address() {
    let port = server().port();
    for host in ["hooks.example", "127.0.0.1"] {
        let reply = egress(Policy::default(), trusting())
            .send(outbound(&format!("https://{host}:{port}/path")))
            .await;
        assert_eq!(kind_of(&reply), ErrorKind::Refused, "{host}");
    }
}
