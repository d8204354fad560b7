//! The script of answers, what is found about signatures, and how requests are shown.

use super::*;
use crate::cli::ColourWhen;
use crate::cli::output::Output;
use crate::cli::receiver::{NoBody, Received};
use crate::signature::Outgoing;
use crate::time::Timestamp;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const AT: Timestamp = Timestamp::from_millis(1_779_208_200_123);

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn args(line: &str) -> Result<Args, clap::Error> {
    let words = line.split(' ').filter(|word| !word.is_empty());
    <Line as clap::Parser>::try_parse_from(std::iter::once("listen").chain(words)).map(|line| line.args)
}

fn received(headers: HeaderMap, body: &'static [u8]) -> Received {
    Received {
        method: http::Method::POST,
        path: "/x".to_owned(),
        query: Some("a=1".to_owned()),
        headers,
        body: Ok(Bytes::from_static(body)),
        at: AT,
        answered: StatusCode::OK,
    }
}

fn signed(body: &'static [u8], at: Timestamp) -> Received {
    let profile = profile::built_in(profile::DEFAULT).unwrap();
    let keyring = Keyring::new(
        profile.signature.as_ref().unwrap().scheme().clone(),
        [&Secret::new(SECRET)],
    )
    .unwrap();
    let outgoing = Outgoing {
        id: "req_1",
        timestamp: at,
        url: "",
        body: &[body],
    };
    let headers = keyring.sign(&outgoing).unwrap().into_iter().map(|(name, value)| {
        let name = HeaderName::try_from(name).unwrap();
        (name, HeaderValue::try_from(value).unwrap())
    });
    received(headers.collect(), body)
}

#[test]
fn statuses_are_answered_in_turn_and_the_last_for_ever() {
    let args = args("--status 503,429,200 --path /x --header retry-after:5 --delay 2s").unwrap();
    let replies = replies(&args, Bytes::from_static(b"hi"));
    let answered = ["/x", "/y", "/x", "/x", "/x"].map(|path| replies(path).status.as_u16());
    assert_eq!(answered, [503, 404, 429, 200, 200]);
    let reply = replies("/x");
    assert_eq!(reply.headers["retry-after"], "5");
    assert_eq!(
        (&reply.body[..], reply.delay),
        (&b"hi"[..], Duration::from_secs(2))
    );
    for wrong in [
        "--status 99",
        "--status 200,x",
        "--status 600",
        "--header x",
        "--delay 2",
        "--secret-file a --secret-env b",
    ] {
        assert!(self::args(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_signature_is_right_or_it_is_said_why_not() {
    let check = Check::with(profile::DEFAULT, &Secret::new(SECRET), false).unwrap();
    let of = |received: &Received| check.of_request(received, "http://127.0.0.1:1/x");
    let body = b"{\"a\":1}";
    assert_eq!(of(&signed(body, AT)), Checked::Right);
    let mut changed = signed(body, AT);
    changed.body = Ok(Bytes::from_static(b"{}"));
    let why = |checked: Checked| match checked {
        Checked::Wrong(why) => why,
        other => panic!("{other:?}"),
    };
    assert!(why(of(&changed)).contains("another secret"));
    assert!(why(of(&received(HeaderMap::new(), body))).contains("webhook-signature"));
    let old = signed(body, AT.minus(Duration::from_secs(3_600)));
    assert!(why(of(&old)).contains("3600 s old"));
    let patient = Check::with(profile::DEFAULT, &Secret::new(SECRET), true).unwrap();
    assert_eq!(patient.of_request(&old, ""), Checked::Right);
    assert_eq!(Check::Nothing.of_request(&old, ""), Checked::Not);
    assert!(Check::with("nonsense", &Secret::new(SECRET), false).is_err());
    assert!(Check::with(profile::DEFAULT, &Secret::new("whsec_x"), false).is_err());
}

#[test]
fn a_request_is_shown_with_everything_that_came() {
    let output = Output::new(false, ColourWhen::Never, true);
    let headers = HeaderMap::from_iter([(HeaderName::from_static("webhook-id"), "req_1".parse().unwrap())]);
    let mut request = received(headers, b"{\"a\":1.0}");
    assert_eq!(
        lines(&output, &request, &Checked::Right, Depth::Short),
        [
            "16:30:00.123Z  POST /x?a=1  answered 200",
            "      webhook-id: req_1",
            "      {",
            "        \"a\": 1.0",
            "      }",
            "  signature right",
        ]
    );
    assert_eq!(
        document(&request, &Checked::Wrong("why".to_owned())),
        json!({"time": "2026-05-19T16:30:00.123Z", "method": "POST", "path": "/x", "query": "a=1",
            "headers": [["webhook-id", "req_1"]], "answered": 200,
            "signature": {"right": false, "why": "why"}, "body": "{\"a\":1.0}"})
    );
    request.body = Ok(Bytes::from_static(&[0xff, 0]));
    assert!(
        lines(&output, &request, &Checked::Not, Depth::Short)
            .contains(&"      2 bytes that are no text".to_owned())
    );
    assert_eq!(document(&request, &Checked::Not)["body_base64"], "/wA=");
    request.body = Err(NoBody::TooLarge);
    assert!(
        document(&request, &Checked::Not)["error"]
            .as_str()
            .unwrap()
            .contains("more than")
    );
}
