//! Names: what the guard makes of the answers of a resolver of our own.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::super::{ANSWERS_MAX, Egress, Limits, Lookup, LookupFuture, Policy, SystemLookup, guard};
use super::{Script, egress, kind_of, ok, open, outbound, server};
use crate::delivery::{AttemptResult, ErrorKind};

/// Names and their addresses; counts how often it is asked.
#[derive(Default)]
struct Names {
    answers: HashMap<&'static str, Vec<IpAddr>>,
    asked: AtomicUsize,
    hangs: bool,
}

impl Lookup for Names {
    fn lookup(&self, name: &str) -> LookupFuture {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.get(name).cloned();
        let hangs = self.hangs;
        Box::pin(async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            answer.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        })
    }
}

fn names(name: &'static str, addresses: &[&str]) -> Arc<Names> {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Arc::new(Names {
        answers: HashMap::from([(name, addresses)]),
        ..Names::default()
    })
}

fn with_names(policy: Policy, names: &Arc<Names>) -> Egress {
    let lookup: Arc<dyn Lookup> = Arc::<Names>::clone(names);
    Egress::with_lookup(policy, Limits::default(), lookup).unwrap()
}

#[tokio::test]
async fn one_forbidden_answer_refuses_the_name() {
    let mixed: [&[&str]; 7] = [
        &["127.0.0.1", "93.184.216.34"],
        &["93.184.216.34", "127.0.0.1"],
        &["93.184.216.34", "::1"],
        &["93.184.216.34", "::ffff:169.254.169.254"],
        &["169.254.169.254"],
        &["64:ff9b::7f00:1"],
        &["10.0.0.7"],
    ];
    for addresses in mixed {
        let names = names("hooks.example.com", addresses);
        let reply = with_names(Policy::default(), &names)
            .send(outbound("https://hooks.example.com/path"))
            .await;
        assert_eq!(kind_of(&reply), ErrorKind::Refused, "{addresses:?}");
        assert_eq!(names.asked.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_name_that_is_allowed_still_cannot_lead_to_metadata() {
    let rule =
        "allow_private_networks = true\nallow = [{ host = \"n8n.lan\", http = true }, { cidr = \"::/0\" }]";
    let policy: Policy = toml::from_str(rule).unwrap();
    for address in ["169.254.169.254", "fd00:ec2::254", "100.100.100.200"] {
        let names = names("n8n.lan", &[address]);
        let reply = with_names(policy.clone(), &names)
            .send(outbound("http://n8n.lan/path"))
            .await;
        assert_eq!(kind_of(&reply), ErrorKind::Refused, "{address}");
    }
}

#[tokio::test]
async fn the_answers_of_the_guard_are_dialled_and_no_others() {
    let server = server(ok("")).await;
    let policy: Policy = toml::from_str("allow = [{ host = \"n8n.lan\", http = true }]").unwrap();
    // `n8n.lan` means nothing to this machine's own resolver.
    let names = names("n8n.lan", &["127.0.0.1"]);
    let egress = with_names(policy, &names);
    let url = format!("http://n8n.lan:{}/path", server.address.port());
    for _ in 0..2 {
        assert!(matches!(
            egress.send(outbound(&url)).await.result,
            AttemptResult::Response { status: 200, .. }
        ));
    }
    // The second request took the connection that was vetted for the first.
    assert_eq!(names.asked.load(Ordering::SeqCst), 1);
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    // Another name gets no connection of this one, though it has the same address.
    let other = format!("http://other.lan:{}/path", server.address.port());
    assert_eq!(kind_of(&egress.send(outbound(&other)).await), ErrorKind::Refused);
}

#[tokio::test]
async fn a_name_is_judged_again_at_every_connection() {
    struct Rebinding(AtomicUsize);
    impl Lookup for Rebinding {
        fn lookup(&self, _: &str) -> LookupFuture {
            let first = self.0.fetch_add(1, Ordering::SeqCst) == 0;
            let address = if first { "127.0.0.1" } else { "169.254.169.254" };
            Box::pin(async move { Ok(vec![address.parse().expect("an address")]) })
        }
    }
    let server = server(Script::Close).await;
    let lookup = Arc::new(Rebinding(AtomicUsize::new(0)));
    let egress = Egress::with_lookup(open(), Limits::default(), lookup).unwrap();
    let url = format!("http://rebind.example:{}/path", server.address.port());
    assert_eq!(kind_of(&egress.send(outbound(&url)).await), ErrorKind::Protocol);
    assert_eq!(kind_of(&egress.send(outbound(&url)).await), ErrorKind::Refused);
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn names_without_addresses_are_dns_trouble() {
    let unknown = names("other.example.com", &[]);
    let egress = with_names(Policy::default(), &unknown);
    for name in ["nowhere.example.com", "other.example.com"] {
        let reply = egress.send(outbound(&format!("https://{name}/path"))).await;
        assert_eq!(kind_of(&reply), ErrorKind::Dns, "{name}");
    }
    let hanging = Arc::new(Names {
        hangs: true,
        ..Names::default()
    });
    let mut slow = outbound("https://hooks.example.com/path");
    slow.timeout = Duration::from_millis(100);
    assert_eq!(
        kind_of(&with_names(Policy::default(), &hanging).send(slow).await),
        ErrorKind::Timeout
    );
}

#[tokio::test]
async fn ten_thousand_answers_are_all_judged_and_few_are_kept() {
    let mut many: Vec<IpAddr> = (0..10_000_u32)
        .map(|n| IpAddr::from(std::net::Ipv4Addr::from_bits(0x0800_0000 + n)))
        .collect();
    let policy = Policy::default();
    let future = |answers: Vec<IpAddr>| -> LookupFuture { Box::pin(async move { Ok(answers) }) };
    let kept = guard::Guard::addresses(&policy, future(many.clone()), "a.example")
        .await
        .unwrap();
    assert_eq!(kept.len(), ANSWERS_MAX);
    many.push("10.0.0.1".parse().unwrap());
    assert!(
        guard::Guard::addresses(&policy, future(many), "a.example")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn the_system_resolver_is_behind_the_same_guard() {
    // `localhost` is in every hosts file; the name is not public, so it takes the switch to ask at all.
    let server = server(ok("")).await;
    let url = format!("http://localhost:{}/path", server.address.port());
    assert_eq!(
        kind_of(
            &egress(Policy {
                allow_http: true,
                ..Policy::default()
            })
            .send(outbound(&url))
            .await
        ),
        ErrorKind::Refused
    );
    let reply = egress(open()).send(outbound(&url)).await;
    assert!(
        matches!(reply.result, AttemptResult::Response { status: 200, .. }),
        "{reply:?}"
    );
    let policy = Policy::default();
    let guarded = guard::Guard::addresses(&policy, SystemLookup::default().lookup("localhost"), "localhost");
    assert!(guarded.await.is_err());
}
