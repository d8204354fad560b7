//! The lines of the vector file as URLs: as they stand there, or as what stands for those that are said in
//! words.

use std::collections::BTreeSet;
use std::net::IpAddr;

use url::{Host, Url};

const FILE: &str = include_str!("../../vectors/ssrf-vectors.tsv");

/// A public address with a canary.
pub const PUBLIC: &str = "93.184.216.34";

/// Lines in words, and the URL that does what they say in the network of the test.
const IN_WORDS: [(&str, &str); 31] = [
    ("S259", "http://mixed.example/"),
    ("S260", "http://mixed6.example/"),
    ("S261", "http://mapped.example/"),
    ("S264", "http://rebind.example/close"),
    ("S265", "http://pooled.example/"),
    ("S266", "http://alias.example/"),
    ("S269", "http://nowhere.example/"),
    ("S270", "http://empty.example/"),
    ("S271", "http://many.example/"),
    ("S274", "http://silent.example/"),
    ("S275", "http://db/"),
    ("S276", "http://hosts.example/"),
    ("S279", "http://аllowed.example/"),
    ("S280", "http://notallowed.example/"),
    ("S281", "http://allowed.example/"),
    ("S284", "http://public.example/303"),
    ("S285", "http://public.example/307"),
    ("S286", "http://public.example/308"),
    ("S289", "http://public.example/loop"),
    ("S290", "http://public.example/refresh"),
    ("S291", "http://public.example/alt-svc"),
    ("S294", "http://public.example/flood"),
    ("S295", "http://93.184.216.34/flood"),
    ("S296", "http://public.example/upgrade"),
    // Every request of this process is told to take a proxy, by the environment; and here by the answer.
    ("S299", "http://public.example/use-proxy"),
    ("S300", "http://public.example:8080/"),
    ("S301", "https://public.example/"),
    ("S309", "http://127.0.0.1:8080/"),
    ("S310", "http://public.example:8080/proxy"),
    ("S311", "http://10.0.0.5:5432/"),
    ("S316", "http://127.0.0.1/alert"),
];

/// Lines that are about a way out and not about an address, and which way it is here.
const WAYS: [(&str, &str); 5] = [
    ("S314", "plugins have no network, so there is no such way"),
    ("S315", "the test of a subscription, saved and unsaved"),
    ("S319", "plugins are uploaded, never fetched"),
    ("S320", "no call of the API sets an address of telemetry"),
    (
        "S321",
        "the certificate of a source; nothing else is fetched when a request comes in",
    ),
];

/// What to send something to.
pub struct Target {
    /// Of the line.
    pub id: &'static str,
    /// The URL, which need not be one.
    pub url: String,
    expected: &'static str,
    class: &'static str,
}

/// All lines that are or stand for a URL.
pub fn targets() -> Vec<Target> {
    let lines = FILE.lines().skip(1).filter_map(|line| {
        let fields: Vec<&'static str> = line.split('\t').collect();
        let [id, class, input, expected, _] = fields[..] else {
            panic!("{line}");
        };
        let said = IN_WORDS
            .iter()
            .find(|(known, _)| *known == id)
            .map(|(_, url)| *url);
        if WAYS.iter().any(|(known, _)| *known == id) {
            return None;
        }
        let input = input
            .replace("\\n0.1/ (LF)", "\n0.1/")
            .replace(" (when https-only)", "");
        Some(Target {
            id,
            url: said.map_or(input, str::to_owned),
            expected,
            class,
        })
    });
    lines.collect()
}

/// Every line is a target, or is about a way that another test or none goes.
pub fn every_line_was_sent() {
    let known: BTreeSet<&str> = targets()
        .iter()
        .map(|target| target.id)
        .chain(WAYS.map(|(id, _)| id))
        .collect();
    assert_eq!((known.len(), FILE.lines().count() - 1), (193, 193));
}

impl Target {
    /// The address that the URL has in it, however it is written.
    pub fn literal(&self) -> Option<IpAddr> {
        match Url::parse(&self.url).ok()?.host()? {
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.to_ipv4_mapped().map_or(address.into(), Into::into)),
            Host::Domain(_) => None,
        }
    }

    /// Its host as a list of hosts may name it.
    pub fn host(&self) -> Option<String> {
        let url = Url::parse(&self.url).ok()?;
        Some(url.host_str()?.to_owned())
    }

    /// The answer to saving it is the one that the file says; where it leaves the choice to the dialler, both
    /// are right here, and the canaries tell.
    #[track_caller]
    pub fn check(&self, status: u16, answer: &str) {
        let refused = status == 422;
        assert!(refused || status == 201, "{}: {status} {answer}", self.id);
        match (self.class, self.expected) {
            (_, "parse->addr" | "addr" | "addr(policy)" | "POLICY") => {
                assert!(refused, "{} {}", self.id, self.url)
            }
            ("G-scheme", _) if self.id == "S255" => {}
            (_, "reject-parse") => assert!(refused, "{} {}", self.id, self.url),
            (_, "ALLOW") => assert!(!refused, "{} {}: {answer}", self.id, self.url),
            _ => {}
        }
    }
}
