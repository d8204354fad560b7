//! Tokens and passwords: where they may stand, and what is said where they are wrong.

use serde_json::json;

use super::tests::{URL, check, failure, passed, verifier};
use super::*;
use crate::signature::Failure;

#[test]
fn a_token_is_compared_at_the_first_place_where_one_stands() {
    let places = json!({"kind": "token", "places": [
        {"header": "Authorization", "prefix": "Bearer "}, {"query": "access_token"},
    ]});
    let source = verifier(places, &["new", "old"]).unwrap();
    let with = |value: &str| check(&source, &[("authorization", value)], URL);
    assert_eq!(with("Bearer new"), passed(0));
    assert_eq!(with("bearer old"), passed(1));
    for wrong in [
        "Bearer ne",
        "Bearer new ",
        "Bearer  new",
        "Bearer néw",
        "Bearer NEW",
    ] {
        assert_eq!(failure(with(wrong)), Failure::Mismatch, "{wrong}");
    }
    for malformed in ["", "Bearer", "Bearer ", "Basic new", "new", "é"] {
        assert_eq!(failure(with(malformed)), Failure::Malformed, "{malformed}");
    }
    let query = |query: &str| check(&source, &[], &format!("{URL}?{query}"));
    assert_eq!(query("a=b&access_token=new"), passed(0));
    assert_eq!(query("access%5Ftoken=n%65w"), passed(0));
    assert_eq!(failure(query("access_token=x")), Failure::Mismatch);
    assert_eq!(failure(query("access_token=")), Failure::Malformed);
    assert_eq!(
        failure(query("access_token=new&access_token=new")),
        Failure::Malformed
    );
    assert_eq!(failure(query("token=new")), Failure::Missing);
    assert_eq!(failure(query("#?access_token=new")), Failure::Missing);
    // The first place counts, so that nobody can hedge.
    let both = check(
        &source,
        &[("authorization", "Bearer x")],
        &format!("{URL}?access_token=new"),
    );
    assert_eq!(failure(both), Failure::Mismatch);
    let twice = [("authorization", "Bearer new"), ("authorization", "Bearer new")];
    assert_eq!(failure(check(&source, &twice, URL)), Failure::Malformed);
    let error = check(&source, &[], URL).unwrap_err().to_string();
    let expected = "the header `Authorization` or the parameter `access_token` in the URL is missing";
    assert_eq!(error, expected);
}

#[test]
fn a_plain_token_needs_no_prefix_and_no_ascii() {
    let places = json!({"kind": "token", "places": [{"header": "X-Gitlab-Token"}]});
    let source = verifier(places, &["schlüssel"]).unwrap();
    assert_eq!(check(&source, &[("x-gitlab-token", "schlüssel")], URL), passed(0));
    let empty = check(&source, &[("x-gitlab-token", "")], URL).unwrap_err();
    assert_eq!(empty.to_string(), "the header `X-Gitlab-Token` is not a token");
}

#[test]
fn basic_authentication_compares_user_and_password_together() {
    let source = verifier(json!({"kind": "basic"}), &["user:pass:word", "old:x"]).unwrap();
    let with = |value: &str| check(&source, &[("authorization", value)], URL);
    assert_eq!(with("Basic dXNlcjpwYXNzOndvcmQ="), passed(0));
    assert_eq!(with("bASIC b2xkOng="), passed(1));
    assert_eq!(failure(with("Basic b2xkOnk=")), Failure::Mismatch);
    for malformed in ["Basic ", "Basic ?", "Basic b2xkOng", "Bearer b2xkOng=", ""] {
        assert_eq!(failure(with(malformed)), Failure::Malformed, "{malformed}");
    }
    assert_eq!(failure(check(&source, &[], URL)), Failure::Missing);
}

#[test]
fn where_nothing_is_asked_everything_passes() {
    let source = verifier(json!({"kind": "none"}), &[]).unwrap();
    assert_eq!(
        check(&source, &[("authorization", "x")], URL),
        Ok(Verified::Unsigned)
    );
}
