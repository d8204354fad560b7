//! Every line of the vector file, each tested here or named with the test that stands for it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ::url::Host;

use super::*;

const FILE: &str = include_str!("../../../tests/vectors/ssrf-vectors.tsv");

/// Lines that need a resolver, a server or a decision, and where they are looked after.
const ELSEWHERE: [(&str, &str); 36] = [
    ("S259", "tests::names::one_forbidden_answer_refuses_the_name"),
    ("S260", "tests::names::one_forbidden_answer_refuses_the_name"),
    ("S261", "tests::names::one_forbidden_answer_refuses_the_name"),
    ("S264", "tests::names::a_name_is_judged_again_at_every_connection"),
    (
        "S265",
        "tests::names::the_answers_of_the_guard_are_dialled_and_no_others: a kept connection was vetted",
    ),
    (
        "S266",
        "tests::names::one_forbidden_answer_refuses_the_name: a chain ends in addresses, which are judged",
    ),
    ("S269", "tests::names::names_without_addresses_are_dns_trouble"),
    ("S270", "tests::names::names_without_addresses_are_dns_trouble"),
    (
        "S271",
        "tests::names::ten_thousand_answers_are_all_judged_and_few_are_kept",
    ),
    (
        "S274",
        "tests::names::names_without_addresses_are_dns_trouble: the deadline includes the lookup",
    ),
    (
        "S275",
        "single names are refused (E-name), and what a search domain adds is judged by its address",
    ),
    (
        "S276",
        "tests::names::the_system_resolver_is_behind_the_same_guard",
    ),
    ("S279", "policy::tests::rules_open_what_they_name_and_no_more"),
    ("S280", "policy::tests::rules_open_what_they_name_and_no_more"),
    (
        "S281",
        "tests::names::a_name_that_is_allowed_still_cannot_lead_to_metadata",
    ),
    ("S284", "tests::redirects_are_not_followed"),
    ("S285", "tests::redirects_are_not_followed"),
    ("S286", "tests::redirects_are_not_followed"),
    ("S289", "tests::redirects_are_not_followed"),
    (
        "S290",
        "tests::redirects_are_not_followed: it sends `refresh` too",
    ),
    (
        "S291",
        "tests::redirects_are_not_followed: it sends `alt-svc` too",
    ),
    ("S294", "tests::one_deadline_holds_for_headers_and_body"),
    ("S295", "tests::one_deadline_holds_for_headers_and_body"),
    ("S296", "HTTP/2 is not compiled in and TLS offers HTTP/1.1 only"),
    ("S299", "the client knows no proxies, and reads no environment"),
    (
        "S300",
        "kept connections carry no identity: every request has its own headers, no cookies",
    ),
    ("S301", "tests::tls::another_certificate_is_told_as_tls_and_why"),
    (
        "S309",
        "loopback and private addresses are refused; its public ones are an endpoint like any other",
    ),
    (
        "S310",
        "decided: not refused here; a router behind its public name is an endpoint like any other",
    ),
    ("S311", "its addresses are private, which the operator must allow"),
    (
        "S314",
        "plugins have no network; when they get one it is `Egress`, which is the only client there is",
    ),
    ("S315", "a test sends through the same `Egress`"),
    ("S316", "alerts are events that subscriptions get"),
    ("S319", "plugins are uploaded, not fetched"),
    ("S320", "the operator's own configuration, no API sets it"),
    ("S321", "verification sends through the same `Egress`"),
];

struct Line {
    id: &'static str,
    class: &'static str,
    input: String,
    expected: &'static str,
}

fn lines() -> Vec<Line> {
    let lines = FILE.lines().skip(1).map(|line| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [id, class, input, expected, _note] = fields[..] else {
            panic!("{line}");
        };
        let input = input
            .replace("\\n0.1/ (LF)", "\n0.1/")
            .replace(" (when https-only)", "");
        Line {
            id,
            class,
            input,
            expected,
        }
    });
    lines.collect()
}

/// HTTP is allowed here, so that it is not the reason why something is refused.
fn http() -> Policy {
    Policy {
        allow_http: true,
        ..Policy::default()
    }
}

fn address(text: &str) -> IpAddr {
    match ::url::Url::parse(text).unwrap().host().unwrap() {
        Host::Ipv4(address) => address.into(),
        Host::Ipv6(address) => address.into(),
        Host::Domain(name) => panic!("{name}"),
    }
}

#[test]
fn every_line_is_accounted_for() {
    let elsewhere: BTreeMap<_, _> = ELSEWHERE.into_iter().collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in lines() {
        let Line {
            id,
            class,
            input,
            expected,
        } = &line;
        *counts.entry(class).or_default() += 1;
        let verdict = check_url(input, &http());
        match (*class, *expected) {
            (_, "parse->addr" | "addr" | "addr(policy)") => {
                assert!(
                    matches!(verdict, Err(UrlFault::Address(_))),
                    "{id} {input}: {verdict:?}"
                );
                assert_ne!(classify(address(input)), Reach::Public, "{id}");
            }
            (_, "ALLOW") => {
                assert!(verdict.is_ok(), "{id} {input}: {verdict:?}");
                assert_eq!(classify(address(input)), Reach::Public, "{id}");
            }
            (_, "POLICY") => {
                assert!(
                    matches!(verdict, Err(UrlFault::Address(_))),
                    "{id} {input}: {verdict:?}"
                );
                let site: Policy =
                    toml::from_str("allow_http = true\nallow = [{ cidr = \"64:ff9b::/96\" }]").unwrap();
                assert!(check_url(input, &site).is_ok(), "{id}");
            }
            ("G-scheme", "reject-parse") => {
                let verdict = check_url(input, &Policy::default());
                let refused = matches!(verdict, Err(UrlFault::Scheme { .. } | UrlFault::Http { .. }));
                assert!(refused, "{id} {input}: {verdict:?}");
            }
            (_, "reject-parse") => {
                assert!(
                    matches!(verdict, Err(UrlFault::Syntax { .. })),
                    "{id} {input}: {verdict:?}"
                );
            }
            ("E-name", _) => match verdict {
                Err(UrlFault::InsideName { .. } | UrlFault::Syntax { .. }) => {}
                // A name like any other: what counts is where it leads, which the guard judges.
                Ok(url) => assert!(
                    matches!(url.host(), Some(Host::Domain(name)) if name.contains('.')),
                    "{id}"
                ),
                other => panic!("{id} {input}: {other:?}"),
            },
            ("F-syntax", _) => match verdict {
                Err(_) => {}
                // An `@` behind the authority is an ordinary character: the host is still the good one.
                Ok(url) => assert_eq!(url.host_str(), Some("good.example"), "{id} {input}"),
            },
            ("J-port-self", _) if input.starts_with("https://") => {
                let refused = matches!(verdict, Err(UrlFault::Port { .. } | UrlFault::Syntax { .. }));
                assert!(refused, "{id} {input}: {verdict:?}");
            }
            _ => assert!(
                elsewhere.contains_key(id),
                "{id} {class} {input} is not looked after"
            ),
        }
    }
    let total: usize = counts.values().sum();
    assert_eq!(total, 193, "{counts:?}");
}

#[tokio::test]
async fn names_that_lead_inside_are_refused_where_they_are_resolved() {
    let mut judged = 0;
    for line in lines().iter().filter(|line| line.class == "E-name") {
        let Ok(url) = check_url(&line.input, &http()) else {
            continue;
        };
        let answer: LookupFuture = Box::pin(async { Ok(vec!["127.0.0.1".parse().expect("an address")]) });
        let guarded = guard::Guard::addresses(&http(), answer, url.host_str().unwrap()).await;
        assert!(
            matches!(guarded, Err(guard::GuardError::Refused(_))),
            "{}",
            line.id
        );
        judged += 1;
    }
    assert!(judged >= 3, "{judged}");
}
