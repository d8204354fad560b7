//! Judging a URL before anything is looked up or dialled.
//!
//! The text is parsed once, by the rules of browsers, and only what was parsed is used from then on, so
//! that nobody downstream can read it differently. Texts that those rules repair (white space, missing or
//! reversed slashes) are refused: what is repaired is what guards and clients have disagreed about.

use std::net::IpAddr;

use url::{Host, Url};

use super::policy::{Policy, Refusal};

/// Longest URL, in bytes, as it was given and as it is sent. Those of Teams workflows have a few hundred.
pub const URL_BYTES_MAX: usize = 4_096;
/// Longest host name (RFC 1035, 2.3.4, without the dot at the end).
const NAME_BYTES_MAX: usize = 253;
/// Longest part of a host name (RFC 1035, 2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// Endings of names that never lead to the public internet.
const INSIDE_SUFFIXES: [&str; 8] = [
    "localhost",
    "local",
    "internal",
    "home.arpa",
    "localdomain",
    "svc",
    "cluster.local",
    "onion",
];

/// Ports of protocols that can be spoken to by accident: the "bad ports" of the Fetch standard.
const BAD_PORTS: [u16; 83] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103,
    104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514,
    515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723,
    2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

/// What is wrong with a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// Too long.
    #[error("the URL is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
    /// Not a URL, or one that would have to be repaired.
    #[error("not a URL such as https://example.com/path: {detail}")]
    Syntax {
        /// What is wrong.
        detail: String,
    },
    /// Another scheme.
    #[error("the scheme `{scheme}` is not supported; use https")]
    Scheme {
        /// Which.
        scheme: String,
    },
    /// Plain HTTP.
    #[error(
        "plain http is not allowed; use https, `hookway serve --allow-http` to develop, or add to the \
         configuration: egress.allow = [{{ {line}, http = true }}]"
    )]
    Http {
        /// What the rule that would allow it begins with.
        line: String,
    },
    /// A user or password.
    #[error("the URL has a user or password before the host; use a header for credentials")]
    UserInfo,
    /// A port that is no web server's.
    #[error("port {port} belongs to another protocol")]
    Port {
        /// Which.
        port: u16,
    },
    /// A name that leads inside.
    #[error(
        "`{host}` is not a public name; to allow it, use `hookway serve --allow-private-networks` to \
         develop, or add to the configuration: egress.allow = [{{ host = \"{host}\" }}]"
    )]
    InsideName {
        /// Which.
        host: String,
    },
    /// A literal address that may not be reached.
    #[error(transparent)]
    Address(#[from] Refusal),
}

/// Reads and judges a URL; what comes back is what may be connected to, in its one spelling.
pub fn check_url(text: &str, policy: &Policy) -> Result<Url, UrlFault> {
    let syntax = |detail: &str| UrlFault::Syntax {
        detail: detail.to_owned(),
    };
    if text.len() > URL_BYTES_MAX {
        return Err(UrlFault::TooLong);
    }
    if text
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
    {
        return Err(syntax("it has white space, control characters or `\\` in it"));
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return Err(syntax("it does not begin with https://"));
    };
    if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
        // `127.0.0.1:4747` and `localhost:8080/x` have no scheme, but a host before the colon.
        if rest.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(syntax("it does not begin with https://"));
        }
        return Err(UrlFault::Scheme {
            scheme: scheme.chars().take(20).collect(),
        });
    }
    if !rest.starts_with("//") || rest.starts_with("///") {
        return Err(syntax("there must be exactly two slashes after the scheme"));
    }
    let mut url = Url::parse(text).map_err(|error| syntax(&error.to_string()))?;
    url.set_fragment(None);
    if let Some(Host::Domain(name)) = url.host()
        && name.ends_with('.')
    {
        let name = name.trim_end_matches('.').to_owned();
        url.set_host(Some(&name))
            .map_err(|error| syntax(&error.to_string()))?;
    }
    // Parsing spells a byte as three where it has to be escaped, and that is what is sent.
    if url.as_str().len() > URL_BYTES_MAX {
        return Err(UrlFault::TooLong);
    }
    check_parsed(&url, policy)?;
    Ok(url)
}

/// Judges a URL that was parsed before; called again before every sending, as the policy may be another.
pub(super) fn check_parsed(url: &Url, policy: &Policy) -> Result<(), UrlFault> {
    let syntax = |detail: &str| UrlFault::Syntax {
        detail: detail.to_owned(),
    };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(UrlFault::Scheme {
            scheme: url.scheme().to_owned(),
        });
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlFault::UserInfo);
    }
    let (Some(host), Some(text)) = (url.host(), url.host_str()) else {
        return Err(syntax("it has no host"));
    };
    let literal = literal(&host);
    if let Some(port) = url
        .port_or_known_default()
        .filter(|port| BAD_PORTS.contains(port))
    {
        return Err(UrlFault::Port { port });
    }
    let judged = match (host, literal) {
        (_, Some(address)) => policy.check_address(text, address).map_err(UrlFault::from),
        (Host::Domain(name), None) => check_name(name, policy),
        (Host::Ipv4(_) | Host::Ipv6(_), None) => Ok(()),
    };
    match judged {
        // One line of the configuration opens both the address and plain HTTP to it; that is the one to
        // name, below.
        Err(UrlFault::Address(refusal)) if url.scheme() == "http" && !refusal.is_final() => {
            if policy.allows_http(text, literal) {
                return Err(UrlFault::Address(refusal));
            }
        }
        judged => judged?,
    }
    if url.scheme() == "http" && !policy.allows_http(text, literal) {
        let line = match literal.map(|address| address.to_canonical()) {
            Some(address) => format!(
                "cidr = \"{address}/{}\"",
                if address.is_ipv4() { 32 } else { 128 }
            ),
            None => format!("host = \"{text}\""),
        };
        return Err(UrlFault::Http { line });
    }
    Ok(())
}

fn literal(host: &Host<&str>) -> Option<IpAddr> {
    match host {
        Host::Ipv4(address) => Some((*address).into()),
        Host::Ipv6(address) => Some((*address).into()),
        Host::Domain(_) => None,
    }
}

fn check_name(name: &str, policy: &Policy) -> Result<(), UrlFault> {
    let fits = |label: &str| !label.is_empty() && label.len() <= LABEL_BYTES_MAX;
    if name.len() > NAME_BYTES_MAX || !name.split('.').all(fits) {
        return Err(UrlFault::Syntax {
            detail: "the host is not a name that DNS can hold".to_owned(),
        });
    }
    let below = |suffix: &&str| {
        name.strip_suffix(*suffix)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let inside = !name.contains('.') || INSIDE_SUFFIXES.iter().any(below);
    if inside && !policy.allows_inside_names(name) {
        return Err(UrlFault::InsideName {
            host: name.to_owned(),
        });
    }
    Ok(())
}

/// The endpoint's URL with another path and query, as a plugin may choose them: `/v1/x?y=z`. The host
/// cannot be changed by it, whatever the path has in it.
pub fn with_path(url: &Url, path: &str) -> Result<Url, UrlFault> {
    if path.len() > URL_BYTES_MAX {
        return Err(UrlFault::TooLong);
    }
    if !path.starts_with('/') || path.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(UrlFault::Syntax {
            detail: "a path must begin with `/` and have no white space".to_owned(),
        });
    }
    let path = path.split('#').next().unwrap_or_default();
    let (path, query) = path
        .split_once('?')
        .map_or((path, None), |(path, query)| (path, Some(query)));
    let mut changed = url.clone();
    changed.set_path(path);
    changed.set_query(query);
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, policy: &Policy) -> Result<String, String> {
        check_url(text, policy)
            .map(String::from)
            .map_err(|fault| fault.to_string())
    }

    #[test]
    fn one_spelling_comes_back() {
        let table = [
            ("https://Example.COM", "https://example.com/"),
            ("HTTPS://example.com:443/a b", ""),
            ("https://example.com:443/a?b=c#d", "https://example.com/a?b=c"),
            ("https://example.com./x", "https://example.com/x"),
            ("https://bücher.example/", "https://xn--bcher-kva.example/"),
            ("https://8.8.8.8:8443/", "https://8.8.8.8:8443/"),
        ];
        for (text, expected) in table {
            let result = check(text, &Policy::default());
            if expected.is_empty() {
                assert!(result.is_err(), "{text}");
            } else {
                assert_eq!(result.as_deref(), Ok(expected), "{text}");
            }
        }
    }

    #[test]
    fn faults_say_what_to_do() {
        let long = format!("https://example.com/{}", "a".repeat(URL_BYTES_MAX));
        let escaped_long = format!("https://example.com/{}", "é".repeat(URL_BYTES_MAX / 4));
        let table = [
            (long.as_str(), "longer than"),
            (escaped_long.as_str(), "longer than"),
            ("example.com", "begin with https://"),
            ("localhost:4747/x", "begin with https://"),
            ("ftp://example.com/", "scheme `ftp`"),
            (
                "http://example.com/",
                r#"egress.allow = [{ host = "example.com", http = true }]"#,
            ),
            (
                "http://8.8.8.8/",
                r#"egress.allow = [{ cidr = "8.8.8.8/32", http = true }]"#,
            ),
            ("http://example.com/", "--allow-http"),
            ("https://n8n/", "--allow-private-networks"),
            ("https://10.0.0.5/", "--allow-private-networks"),
            ("https://user:secret@example.com/", "user or password"),
            ("https://example.com:25/", "port 25"),
            ("https://example.com:0/", "port 0"),
            ("https:///example.com/", "two slashes"),
            ("https://n8n/", r#"egress.allow = [{ host = "n8n" }]"#),
            ("https://n8n.local/", r#"egress.allow = [{ host = "n8n.local" }]"#),
            (
                "https://10.0.0.5/",
                r#"egress.allow = [{ cidr = "10.0.0.5/32" }]"#,
            ),
            ("https://a..b/", "DNS"),
        ];
        for (text, expected) in table {
            let fault = check(text, &Policy::default()).unwrap_err();
            assert!(fault.contains(expected), "{text}: {fault}");
            assert!(!fault.contains("secret"), "{fault}");
        }
        let rules = Policy {
            allow: toml::from_str::<Policy>("allow = [{ host = \"n8n\", http = true }]")
                .unwrap()
                .allow,
            ..Policy::default()
        };
        assert_eq!(
            check("http://n8n:5678/webhook/x", &rules).as_deref(),
            Ok("http://n8n:5678/webhook/x")
        );
        assert!(check("http://other/", &rules).is_err());
    }

    #[test]
    fn a_path_stays_on_its_host() {
        let base = check_url("https://example.com/in?token=1", &Policy::default()).unwrap();
        let table = [
            ("/v1/x?y=z", "https://example.com/v1/x?y=z"),
            ("/v1/x#frag", "https://example.com/v1/x"),
            ("//evil.example/x", "https://example.com//evil.example/x"),
            ("/\\evil.example", "https://example.com//evil.example"),
            ("/../../x", "https://example.com/x"),
            ("/@evil.example", "https://example.com/@evil.example"),
        ];
        for (path, expected) in table {
            assert_eq!(
                with_path(&base, path).map(String::from).as_deref(),
                Ok(expected),
                "{path}"
            );
        }
        for path in ["", "x", "https://evil.example/", "/a b", "/a\r\nHost: x", "?x"] {
            assert!(with_path(&base, path).is_err(), "{path}");
        }
    }
}
