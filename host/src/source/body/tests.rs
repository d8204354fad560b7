//! What is taken for what it says it is, and what hides in XML.

use bytes::Bytes;
use http::{HeaderMap, Method};
use proptest::prelude::*;

use super::*;

fn checked(headers: &[(&'static str, &str)], body: &[u8]) -> Result<String, BodyFault> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    let bytes = Bytes::copy_from_slice(body);
    let request = Request {
        method: &Method::POST,
        headers: &map,
        query: None,
        body: &bytes,
    };
    let checked = check(&request).map(Cow::into_owned);
    assert_eq!(&bytes[..], body, "never changed");
    checked
}

fn as_type(content_type: &str, body: &[u8]) -> Result<String, BodyFault> {
    checked(&[("content-type", content_type)], body)
}

#[test]
fn a_body_is_what_its_media_type_says() {
    for (content_type, body) in [
        ("application/json", &b" {\"a\": 1.0}\r\n"[..]),
        ("Application/JSON; charset=utf-8", b"7"),
        ("application/vnd.api+json", b"[]"),
        ("application/x-www-form-urlencoded", b"a=1&b=%C3%a9+x&c&=d"),
        ("application/x-www-form-urlencoded", b""),
        ("application/x-www-form-urlencoded", b"a=%FF\r\n"),
        ("text/xml", b"<a/>"),
        ("application/soap+xml; charset=utf-8", b"<a>&amp;</a>"),
        ("text/plain", b"{ \xff"),
        ("application/octet-stream", b""),
        ("nonsense", b"x"),
    ] {
        assert_eq!(
            as_type(content_type, body),
            Ok(content_type.to_owned()),
            "{content_type}"
        );
    }
    assert_eq!(checked(&[], b" [1]"), Ok("application/json".into()));
    assert_eq!(checked(&[], b"[1"), Ok("application/octet-stream".into()));
    assert_eq!(checked(&[], b""), Ok("application/octet-stream".into()));
    assert_eq!(
        checked(&[("content-encoding", "Identity")], b"x"),
        Ok("application/octet-stream".into())
    );
}

#[test]
fn a_body_that_is_not_what_it_says_is_refused_and_told_why() {
    let deep = format!("{}1{}", "[".repeat(65), "]".repeat(65));
    let many = "a&".repeat(1_024);
    let long = format!("text/plain; x={}", "y".repeat(128));
    for (content_type, body, part) in [
        ("application/json", &b""[..], "empty"),
        ("application/json", b"{\"a\":", "not: "),
        ("application/json", b"{} {}", "not: "),
        ("application/json", b"\"\xff\"", "utf-8"),
        ("application/json", b"\xef\xbb\xbf{}", "byte order mark"),
        ("application/json", deep.as_bytes(), "deeper"),
        ("application/x-www-form-urlencoded", b"a=%", "two hexadecimal"),
        ("application/x-www-form-urlencoded", b"a=%g0", "two hexadecimal"),
        ("application/x-www-form-urlencoded", b"a b", "spaces"),
        ("application/x-www-form-urlencoded", b"{\"a\":\n1}", "spaces"),
        ("application/x-www-form-urlencoded", many.as_bytes(), "1,024"),
        (
            "multipart/form-data; boundary=x",
            b"--x",
            "`multipart/form-data` is not taken",
        ),
        ("application/xml", b"<a>", "XML"),
        (&long, b"", "longer than 128"),
    ] {
        let fault = as_type(content_type, body).unwrap_err();
        assert!(fault.to_string().contains(part), "{content_type}: {fault}");
    }
    let twice = [
        ("content-type", "text/plain"),
        ("content-type", "application/json"),
    ];
    assert_eq!(checked(&twice, b"{}"), Err(BodyFault::SeveralTypes));
    let gzip = checked(&[("content-encoding", "gzip")], b"\x1f\x8b").unwrap_err();
    assert!(gzip.to_string().contains("compressed"), "{gzip}");
}

fn utf16(text: &str, mark: &[u8], bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    mark.iter()
        .copied()
        .chain(text.encode_utf16().flat_map(bytes))
        .collect()
}

#[test]
fn xml_that_is_harmless_is_taken() {
    let fine = [
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- a --><?go on?>\n<a b='c' d=\"&lt;&#x20AC;&#10;\">x<b/>&amp;&#65;</a>\n",
        "\u{feff}<?xml version='1.0'?><a/>",
        "<a><![CDATA[<!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]>&y;]]></a>",
        "<a><!-- <!DOCTYPE x> &y; --></a>",
        "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body>\u{e9}</s:Body></s:Envelope>",
    ];
    for body in fine {
        assert_eq!(xml::check(None, body.as_bytes()), Ok(()), "{body}");
    }
    let latin = b"<?xml version='1.0' encoding='ISO-8859-15'?><a>\xe9</a>";
    assert_eq!(xml::check(None, latin), Ok(()));
    assert_eq!(xml::check(Some("windows-1252"), b"<a>\xe9</a>"), Ok(()));
    let deepest = format!("{}{}", "<a>".repeat(64), "</a>".repeat(64));
    assert_eq!(xml::check(None, deepest.as_bytes()), Ok(()));
}

#[test]
fn xml_attacks_are_refused() {
    let laughs = "<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY lol 'lol'><!ENTITY lol2 '&lol;&lol;&lol;'>]>\
                  <lolz>&lol2;</lolz>";
    let external = "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>";
    let parameter = "<!DOCTYPE a [<!ENTITY % p SYSTEM 'http://evil.example/e.dtd'> %p;]><a/>";
    let plain = "<!DOCTYPE a SYSTEM 'http://evil.example/a.dtd'><a/>";
    for body in [
        laughs,
        external,
        parameter,
        plain,
        "<!DOCTYPE a><a/>",
        "<!doctype a><a/>",
    ] {
        assert_eq!(
            xml::check(None, body.as_bytes()),
            Err(XmlFault::DocumentType),
            "{body}"
        );
    }
    for body in [
        "<a/><!DOCTYPE a>",
        "<a><!DOCTYPE a></a>",
        "<!ENTITY x 'y'><a/>",
        "<!DOCTYPE a [<a/>",
    ] {
        assert!(xml::check(None, body.as_bytes()).is_err(), "{body}");
    }
    for body in [
        "<a>&x;</a>",
        "<a b='&x;'/>",
        "<a>&#0;</a>",
        "<a>&#x1F;</a>",
        "<a>&#xD800;</a>",
        "<a>&#+65;</a>",
        "<a>&#x110000;</a>",
        "<a b='&#xFFFE;'/>",
        "<a>&AMP;</a>",
        "<a>&;</a>",
    ] {
        assert!(
            matches!(xml::check(None, body.as_bytes()), Err(XmlFault::Entity(_))),
            "{body}"
        );
    }
    let deep = format!("{}{}", "<a>".repeat(65), "</a>".repeat(65));
    assert_eq!(xml::check(None, deep.as_bytes()), Err(XmlFault::TooDeep));
    let open = "<a>".repeat(1_000_000);
    assert_eq!(xml::check(None, open.as_bytes()), Err(XmlFault::TooDeep));
    let wide: String = (0..65).map(|n| format!(" a{n}='x'")).collect();
    assert_eq!(
        xml::check(None, format!("<a{wide}/>").as_bytes()),
        Err(XmlFault::TooManyAttributes)
    );
}

#[test]
fn xml_in_an_encoding_where_a_dtd_could_hide_is_refused() {
    let text = "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>";
    let bodies = [
        utf16(text, &[0xfe, 0xff], u16::to_be_bytes),
        utf16(text, &[0xff, 0xfe], u16::to_le_bytes),
        utf16(text, &[], u16::to_be_bytes),
        utf16(text, &[], u16::to_le_bytes),
        text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect(),
        b"<?xml version='1.0' encoding='UTF-7'?><a>+ADwAIQ-</a>".to_vec(),
        b"<?xml version='1.0' encoding='UTF-16'?><a/>".to_vec(),
        b"<?xml version='1.0' encoding='cp037'?><a/>".to_vec(),
        b"<?xml version='1.0' encoding='Shift_JIS'?><a/>".to_vec(),
        b"<a>\xff</a>".to_vec(),
        b"\xef\xbb\xbf<?xml version='1.0' encoding='ISO-8859-1'?><a>\xff</a>".to_vec(),
    ];
    for body in bodies {
        let shown = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(xml::check(None, &body), Err(XmlFault::Encoding), "{shown}");
    }
    for charset in ["utf-16", "utf-7", "ibm037", "iso-2022-jp", ""] {
        assert_eq!(
            xml::check(Some(charset), b"<a/>"),
            Err(XmlFault::Encoding),
            "{charset}"
        );
    }
    // The media type outranks the declaration.
    let declared = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9</a>";
    assert_eq!(xml::check(Some("utf-8"), declared), Err(XmlFault::Encoding));
}

#[test]
fn xml_that_is_not_well_formed_is_refused() {
    for body in [
        "",
        " ",
        "hello",
        "<a",
        "<a>",
        "</a>",
        "<a></b>",
        "<a/><b/>",
        "<a/>x",
        "x<a/>",
        "<a b/>",
        "<a b=c/>",
        "<a b='1' b='2'/>",
        "<a b='<'/>",
        "<a b='&amp'/>",
        "<a>&amp</a>",
        "<1a/>",
        "<a 1='x'/>",
        "< a/>",
        "<a>]]></a>",
        " <?xml version='1.0'?><a/>",
        "<a/><?xml version='1.0'?>",
        "<?xml version='1.1'?><a/>",
        "<?xml?><a/>",
        "<?XML x?><a/>",
        "<a><!-- -- --></a>",
        "<![CDATA[x]]><a/>",
        "&amp;<a/>",
        "<a>\u{1}</a>",
        "<a b='\u{b}'/>",
        "<a><![CDATA[x</a>",
        "<!-- x",
        "<a/><!-- x",
    ] {
        assert!(
            matches!(xml::check(None, body.as_bytes()), Err(XmlFault::Malformed { .. })),
            "{body}"
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_are_answered_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..80)) {
        for content_type in ["application/json", "application/x-www-form-urlencoded", "text/xml", "text/plain"] {
            let _either = as_type(content_type, &body);
        }
    }

    #[test]
    fn any_xml_like_text_is_answered_without_a_panic(body in "[<>/!?&;#\\[\\]a-cA-DOTY='\" x-]{0,60}") {
        let _either = xml::check(None, body.as_bytes());
    }

    #[test]
    fn a_document_type_is_found_wherever_it_stands(before in "(<!-- a -->|<\\?a b\\?>| |\n){0,3}", name in "[a-z]{1,4}") {
        let body = format!("{before}<!DOCTYPE {name}><{name}/>");
        prop_assert_eq!(xml::check(None, body.as_bytes()), Err(XmlFault::DocumentType));
    }
}
