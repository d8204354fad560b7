//! Guests whose results, requests or words break the rules.

use super::Ends::{Fault, Unsaved, Within};
use super::{Ends, Guest, does, guest, header, path};

/// One request with 30,000 headers, whose names and values all are the same 60,000 bytes: 3.6 GB on the host.
const ALIASED_STRINGS: &str = "(func $transform (param i32) (result i32) (local $at i32)
    (drop (memory.grow (i32.const 10)))
    (memory.fill (i32.const 65536) (i32.const 97) (i32.const 60000))
    (local.set $at (i32.const 131072))
    (loop $next
      (i32.store (local.get $at) (i32.const 65536)) (i32.store offset=4 (local.get $at) (i32.const 60000))
      (i32.store offset=8 (local.get $at) (i32.const 65536)) (i32.store offset=12 (local.get $at) (i32.const 60000))
      (local.set $at (i32.add (local.get $at) (i32.const 16)))
      (br_if $next (i32.lt_u (local.get $at) (i32.const 611072))))
    (drop (call $deliver (i32.const 0) (i32.const 0)))
    (i32.store (i32.const 336) (i32.const 131072)) (i32.store (i32.const 340) (i32.const 30000)) (i32.const 256))";

/// Results that are too large or none at all.
pub(super) fn outputs() -> Vec<Guest> {
    vec![
        guest("output-too-large", file!("huge_output"), Fault("output_too_large", "plugins.output_bytes")),
        guest("output-aliased", file!("aliased_output"), Fault("output_too_large", "plugins.output_bytes")),
        guest("output-not-utf8", file!("bad_utf8"), Fault("invalid_output", "utf-8")),
        guest("output-out-of-bounds", file!("out_of_bounds"), Fault("invalid_output", "out of bounds")),
        does("result-out-of-bounds", "(i32.const 0x7ffffff0)", Fault("invalid_output", "")),
        does("result-at-the-end-of-the-world", "(i32.const -4)", Fault("invalid_output", "")),
        does("result-misaligned", "(i32.const 257)", Fault("invalid_output", "aligned")),
        does("result-of-no-kind", "(i32.store8 (i32.const 256) (i32.const 77)) (i32.const 256)", Fault("invalid_output", "discriminant")),
        does("outcome-of-no-kind", "(i32.store8 (i32.const 260) (i32.const 77)) (i32.const 256)", Fault("invalid_output", "discriminant")),
        does("reason-of-four-gibibytes", "(call $filtered (i32.const 0) (i32.const -1))", Fault("invalid_output", "out of bounds")),
        does(
            "reason-of-a-mebibyte",
            "(drop (memory.grow (i32.const 20))) (memory.fill (i32.const 65536) (i32.const 10) (i32.const 1000000))
             (call $filtered (i32.const 65536) (i32.const 1000000))",
            Within("filtered", "\\n\\n\\n"),
        ),
        does(
            "list-that-wraps-around",
            "(drop (call $deliver (i32.const 0) (i32.const 0))) (i32.store (i32.const 268) (i32.const 0x7ffffff)) (i32.const 256)",
            Fault("invalid_output", "out of bounds"),
        ),
        does(
            "thousand-empty-requests",
            "(drop (memory.grow (i32.const 2))) (drop (call $deliver (i32.const 0) (i32.const 0)))
             (i32.store (i32.const 264) (i32.const 131072)) (i32.store (i32.const 268) (i32.const 1000)) (i32.const 256)",
            Fault("output_too_large", "plugins.requests"),
        ),
        does(
            "hundred-thousand-empty-strings",
            "(drop (memory.grow (i32.const 20))) (drop (call $deliver (i32.const 0) (i32.const 0)))
             (i32.store (i32.const 336) (i32.const 131072)) (i32.store (i32.const 340) (i32.const 60000)) (i32.const 256)",
            Fault("output_too_large", "plugins."),
        ),
        does(
            "million-empty-strings",
            "(drop (memory.grow (i32.const 260))) (drop (call $deliver (i32.const 0) (i32.const 0)))
             (i32.store (i32.const 336) (i32.const 131072)) (i32.store (i32.const 340) (i32.const 1000000)) (i32.const 256)",
            Fault("output_too_large", "plugins.output_bytes"),
        ),
        guest(
            "strings-that-are-all-the-same-place",
            ALIASED_STRINGS,
            Fault("output_too_large", "plugins.output_bytes"),
        ),
        does(
            "header-flood",
            "(drop (call $deliver (i32.const 0) (i32.const 0)))
             (i32.store (i32.const 336) (i32.const 8192)) (i32.store (i32.const 340) (i32.const 40)) (i32.const 256)",
            Fault("output_too_large", "plugins.headers"),
        ),
        does(
            "nothing-at-all",
            "(i32.store (i32.const 264) (i32.const 0)) (i32.store (i32.const 268) (i32.const 0)) (i32.const 256)",
            Fault("invalid_output", "no request and no event"),
        ),
        does(
            "flood-of-events",
            "(i32.store (i32.const 272) (i32.const 8192)) (i32.store (i32.const 276) (i32.const 1000)) (i32.const 256)",
            Fault("output_too_large", "plugins.events"),
        ),
        guest(
            "event-in-the-name-of-the-host",
            r#"(data (i32.const 2048) "hookway.alert.xapplication/json{}")
            (func $transform (param i32) (result i32)
              (i32.store (i32.const 272) (i32.const 512)) (i32.store (i32.const 276) (i32.const 1))
              (i32.store (i32.const 512) (i32.const 2048)) (i32.store (i32.const 516) (i32.const 15))
              (i32.store (i32.const 532) (i32.const 2063)) (i32.store (i32.const 536) (i32.const 16))
              (i32.store (i32.const 548) (i32.const 2079)) (i32.store (i32.const 552) (i32.const 2))
              (i32.const 256))"#,
            Fault("invalid_output", "host's own"),
        ),
    ]
}

/// Requests that break a rule.
pub(super) fn rules() -> Vec<Guest> {
    vec![
        guest(
            "header-host",
            file!("forbidden_header"),
            Fault("invalid_output", "host"),
        ),
        header("header-length", "content-length", "5", "content-length"),
        header(
            "header-chunks",
            "transfer-encoding",
            "chunked",
            "transfer-encoding",
        ),
        header("header-connection", "connection", "close", "connection"),
        header(
            "header-signature",
            "webhook-signature",
            "v1,x",
            "webhook-signature",
        ),
        header("header-id", "webhook-id", "x", "webhook-id"),
        header("header-injection", "x-a", "b\r\nx-evil: c", "x-a"),
        header("header-with-nul", "x-a", "b\0c", "x-a"),
        header("header-name-injection", "x-a: b\r\nx-evil", "c", "header"),
        header("header-name-empty", "", "c", "header"),
        guest(
            "path-to-another-host",
            file!("path_escape"),
            Fault("invalid_output", "path"),
        ),
        path("path-absolute", "http://evil.example/"),
        path("path-upwards", "/a/../../b"),
        path("path-with-a-line-end", "/a\r\nx-evil: b"),
        path("path-with-a-user", "@evil.example/"),
        path("path-with-backslashes", "/\\evil.example/"),
    ]
}

/// What is said to people.
pub(super) fn words() -> Vec<Guest> {
    vec![
        guest("log-flood", file!("log_flood"), Within("filtered", "test")),
        guest(
            "log-that-moves-the-cursor",
            r#"(data (i32.const 2048) "a\0d\0a2026 INFO forged\1b[2J\1b]0;title\07\c2\9b\e2\80\ae")
            (func $transform (param i32) (result i32)
              (call $log (i32.const 4) (i32.const 2048) (i32.const 38)) (call $filtered (i32.const 1024) (i32.const 4)))"#,
            Within("filtered", "test"),
        ),
        does("log-out-of-bounds", "(call $log (i32.const 2) (i32.const 0x7ffffff0) (i32.const 4096)) (i32.const 256)", Fault("invalid_output", "out of bounds")),
        does("log-of-no-level", "(call $log (i32.const 99) (i32.const 1024) (i32.const 4)) (i32.const 256)", Fault("invalid_output", "discriminant")),
        guest(
            "log-not-utf8",
            r#"(data (i32.const 2048) "\ff\fe") (func $transform (param i32) (result i32)
              (call $log (i32.const 2) (i32.const 2048) (i32.const 2)) (i32.const 256))"#,
            Fault("invalid_output", "utf-8"),
        ),
        does(
            "log-of-two-mebibytes",
            "(drop (memory.grow (i32.const 40))) (memory.fill (i32.const 65536) (i32.const 97) (i32.const 2000000))
             (call $log (i32.const 2) (i32.const 65536) (i32.const 2000000)) (call $filtered (i32.const 1024) (i32.const 4))",
            Fault("output_too_large", "plugins.output_bytes"),
        ),
        guest("says-it-is-misconfigured", file!("misconfigured"), Within("misconfigured", "test")),
        guest("wants-to-be-run-again", file!("retries"), Within("retry", "test")),
        guest("refuses-every-configuration", file!("refuses_config"), Unsaved("is required")),
    ]
}

/// A guest that emits one event with this data, which says that it is JSON.
fn emits(name: &'static str, data: &str, ends: Ends) -> Guest {
    let quoted: String = data.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    emits_from(
        name,
        &format!("(data (i32.const 4096) \"{quoted}\")"),
        "",
        4_096,
        data.len(),
        ends,
    )
}

/// The same with data that is there or made first.
fn emits_from(name: &'static str, data: &str, first: &str, at: usize, length: usize, ends: Ends) -> Guest {
    let text = format!(
        r#"(data (i32.const 2048) "a.derivedapplication/json") {data}
        (func $transform (param i32) (result i32)
          {first}
          (i64.store (i32.const 256) (i64.const 0)) (i64.store (i32.const 264) (i64.const 0))
          (i32.store (i32.const 272) (i32.const 512)) (i32.store (i32.const 276) (i32.const 1))
          (i32.store (i32.const 512) (i32.const 2048)) (i32.store (i32.const 516) (i32.const 9))
          (i32.store (i32.const 532) (i32.const 2057)) (i32.store (i32.const 536) (i32.const 16))
          (i32.store (i32.const 548) (i32.const {at})) (i32.store (i32.const 552) (i32.const {length}))
          (i32.const 256))"#
    );
    guest(name, &text, ends)
}

/// What claims to be JSON. Envelopes and filters rely on it for events, so an event that claims it must be
/// it; a body for the endpoint is opaque. Keys given twice and half a surrogate pair are JSON by its grammar,
/// and come in from outside as well.
pub(super) fn json() -> Vec<Guest> {
    const NOT: Ends = Fault("invalid_output", "data");
    let deep = "(drop (memory.grow (i32.const 4))) (memory.fill (i32.const 131072) (i32.const 91) (i32.const 100000))
        (memory.fill (i32.const 231072) (i32.const 93) (i32.const 100000))";
    let deep_body = format!("{deep} (call $deliver (i32.const 131072) (i32.const 200000))");
    vec![
        emits("emits-no-number", "{\"a\":NaN}", NOT),
        emits("emits-half-of-an-object", "{\"a\":", NOT),
        emits("emits-what-writes-into-envelopes", "1,\"type\":\"forged\"", NOT),
        emits("emits-words", "hello", NOT),
        emits_from(
            "emits-bytes",
            "(data (i32.const 4096) \"\\22\\ff\\22\")",
            "",
            4_096,
            3,
            NOT,
        ),
        emits_from(
            "emits-a-hundred-thousand-levels",
            "",
            deep,
            131_072,
            200_000,
            Fault("invalid_output", "nests deeper"),
        ),
        emits(
            "emits-keys-twice",
            "{\"a\":1,\"a\":{\"a\":2,\"a\":3}}",
            Within("deliver", ""),
        ),
        emits(
            "emits-half-a-surrogate-pair",
            "{\"a\":\"\\ud800\"}",
            Within("deliver", ""),
        ),
        does(
            "delivers-a-hundred-thousand-levels",
            &deep_body,
            Within("deliver", ""),
        ),
    ]
}
