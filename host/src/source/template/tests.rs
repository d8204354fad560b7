//! What templates say of a request, and which are refused.

use bytes::Bytes;
use http::{HeaderMap, Method};
use proptest::prelude::*;

use super::*;
use crate::source::Request;

const MAX: usize = TEMPLATE_BYTES_MAX;

/// A template filled in for a form request with a query and headers, or for a JSON body.
fn filled(text: &str, site: Site, body: &str, own: Own<'_>) -> Result<Option<String>, FillFault> {
    let mut pointers = Pointers::default();
    let template = Template::parse(text, site, MAX, &mut pointers).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("x-event", "push".parse().unwrap());
    headers.append("x-event", "second".parse().unwrap());
    headers.insert("x-empty", "".parse().unwrap());
    headers.insert(
        "x-text",
        http::HeaderValue::from_bytes("caf\u{e9}".as_bytes()).unwrap(),
    );
    headers.insert("x-bytes", http::HeaderValue::from_bytes(b"\xff").unwrap());
    let form = "Application/X-WWW-form-urlencoded; charset=utf-8";
    headers.insert("content-type", form.parse().unwrap());
    let body = Bytes::copy_from_slice(body.as_bytes());
    let request = Request {
        method: &Method::PUT,
        headers: &headers,
        query: Some("hub.mode=subscribe&hub_mode=other&a=1&a=2&sp=a+b%20c&none"),
        body: &body,
    };
    let view = View::new(&request, &body, &pointers);
    template.fill(&view, own, |value, text| text.push_str(value))
}

const NOTHING: Own<'static> = Own {
    secret: None,
    rate: None,
};

fn look(text: &str, body: &str) -> Option<String> {
    filled(text, Site::Look, body, NOTHING).unwrap()
}

#[test]
fn atoms_say_what_is_there() {
    for (text, found) in [
        ("{header:x-event}", Some("push")),
        ("{header:X-Event}", Some("push")),
        ("{header:x-text}", Some("caf\u{e9}")),
        ("{header:x-bytes}", None),
        ("{header:x-empty}", None),
        ("{header:x-none}", None),
        ("{query:hub.mode}", Some("subscribe")),
        ("{query:hub_mode}", Some("other")),
        ("{query:a}", Some("1")),
        ("{query:sp}", Some("a b c")),
        ("{query:none}", None),
        ("{form:MessageSid}", Some("SM1")),
        ("{form:x.y}", Some("\u{e9}")),
        ("{form:none}", None),
        ("{method}", Some("PUT")),
        ("a {{b}} {query:a}{{", Some("a {b} 1{")),
        ("{{{query:a}}}", Some("{1}")),
        ("x", Some("x")),
        ("{query:a}{query:zz}", None),
    ] {
        assert_eq!(
            look(text, "MessageSid=SM1&x.y=%C3%A9&none").as_deref(),
            found,
            "{text}"
        );
    }
    assert_eq!(
        look("{sha256}", "Hello, World!").as_deref(),
        Some("dffd6021bb2bd5b0af676290809ec3a53191dd81c7f70a4b28688a362182986f")
    );
}

#[test]
fn json_values_have_their_own_text() {
    let body = r#" {"s":"a\u00e9\n","n":12345678901234567890123,"f":1.00,"b":false,"z":null,"a":[1],"o":{"p":"q"},
        "e":"","l":"\ud800"} "#;
    for (text, found) in [
        ("{json:/s}", Some("a\u{e9}\n")),
        ("{json:/n}", Some("12345678901234567890123")),
        ("{json:/f}", Some("1.00")),
        ("{json:/b}", Some("false")),
        ("{json:/o/p}", Some("q")),
        ("{json:/a/0}", Some("1")),
        ("{json:/z}", None),
        ("{json:/a}", None),
        ("{json:/o}", None),
        ("{json:}", None),
        ("{json:/e}", None),
        ("{json:/l}", None),
        ("{json:/none}", None),
    ] {
        assert_eq!(look(text, body).as_deref(), found, "{text}");
    }
    assert_eq!(look("{json:}", " 7 ").as_deref(), Some("7"));
}

#[test]
fn only_answers_sign_and_only_what_looks_like_a_challenge() {
    let secret = Secret::new("zoom_secret");
    let own = Own {
        secret: Some(&secret),
        rate: None,
    };
    let sign = |text, body: &str| filled(text, Site::Answer, body, own);
    let challenge = r#"{"t":"qgg8vlvZRS6UYooatFL8Aw"}"#;
    let hex = "46a324cfb7c2ec760e4cd561586a53aadb6fc7561eb8d626d6ee1b71d808b3c0";
    assert_eq!(
        sign("{hmac-sha256-hex:json:/t}", challenge),
        Ok(Some(hex.to_owned()))
    );
    let base64 = BASE64.encode(&HEXLOWER.decode(hex.as_bytes()).unwrap());
    assert_eq!(
        sign("sha256={hmac-sha256-base64:json:/t}", challenge),
        Ok(Some(format!("sha256={base64}")))
    );
    assert_eq!(sign("{hmac-sha256-hex:json:/none}", challenge), Ok(None));
    let long = "a".repeat(257);
    for bad in ["a b", "a:b", "{}", "a&b", "\u{e9}", "a\\n", &long] {
        let body = format!(r#"{{"t":"{bad}"}}"#);
        assert_eq!(
            sign("{hmac-sha256-hex:json:/t}", &body),
            Err(FillFault::Unsignable),
            "{bad:.10}"
        );
    }
    assert_eq!(
        filled("{hmac-sha256-hex:json:/t}", Site::Answer, challenge, NOTHING),
        Err(FillFault::NoSecret)
    );
}

#[test]
fn a_rate_is_told_per_minute() {
    let rate = |requests: u32, per_seconds: u32| {
        Some(RateLimit {
            requests: requests.try_into().unwrap(),
            per_seconds: per_seconds.try_into().unwrap(),
            burst: 1.try_into().unwrap(),
        })
    };
    for (rate, text) in [
        (None, "*"),
        (rate(10, 1), "600"),
        (rate(1, 3_600), "1"),
        (rate(u32::MAX, 1), "257698037700"),
    ] {
        let own = Own { secret: None, rate };
        assert_eq!(filled("{rate}", Site::Answer, "", own), Ok(Some(text.to_owned())));
    }
}

#[test]
fn faults_say_where() {
    for (text, site, part) in [
        ("", Site::Look, "1 to 512 bytes"),
        ("a\nb", Site::Look, "control"),
        ("ab{", Site::Look, "byte 2"),
        ("ab}c", Site::Look, "byte 2"),
        ("{a{b}}", Site::Look, "byte 0"),
        ("x{}", Site::Look, "`{}` at byte 1"),
        ("{body}", Site::Look, "known are {header:name}"),
        ("{query:}", Site::Look, "unknown"),
        ("{query}", Site::Look, "unknown"),
        ("{sha256:x}", Site::Look, "unknown"),
        ("{rate}", Site::Look, "unknown"),
        ("{hmac-sha256-hex:query:a}", Site::Look, "unknown"),
        ("{sha256}", Site::Answer, "unknown"),
        ("{hmac-sha256-hex:x}", Site::Answer, "unknown"),
        (
            "{hmac-sha256-hex:hmac-sha256-hex:query:a}",
            Site::Answer,
            "unknown",
        ),
        ("{header:a b}", Site::Look, "names no header"),
        ("{json:a}", Site::Look, "is not a JSON Pointer"),
        ("{json:/~3}", Site::Look, "is not a JSON Pointer"),
    ] {
        let fault = Template::parse(text, site, MAX, &mut Pointers::default()).unwrap_err();
        assert!(fault.to_string().contains(part), "{text}: {fault}");
    }
    assert!(Template::parse(&"a".repeat(513), Site::Look, MAX, &mut Pointers::default()).is_err());
}

proptest! {
    #[test]
    fn any_template_is_read_or_refused(text in "[{}a-z:/~. \u{e9}-]{0,40}", body in "[\\[\\]{}\",:a-c\\\\0-9 ]{0,40}") {
        for site in [Site::Look, Site::Answer] {
            if Template::parse(&text, site, MAX, &mut Pointers::default()).is_ok() {
                let _either = filled(&text, site, &body, NOTHING);
            }
        }
    }

    #[test]
    fn text_without_braces_is_itself(text in "[^{}\\pC]{1,100}") {
        prop_assert_eq!(look(&text, ""), Some(text));
    }
}
