//! Guests that want or are something else than a plugin, and manifests that lie.

use super::Ends::{Fault, Unloaded, Unsaved};
use super::{Guest, Parts, changed, doubling, guest, importing, schema};

/// Imports and exports.
pub(super) fn worlds() -> Vec<Guest> {
    let export = "(export \"hookway:plugin/transform@0.1.0\" (instance $transformer))";
    let without = |with: &'static str| move |text: String| text.replacen(export, with, 1);
    let raw = |name, bytes: &[u8], says| Guest {
        name,
        component: bytes.to_vec(),
        ends: Unloaded(says),
    };
    vec![
        changed("without-transform", without(""), Unloaded("transform")),
        changed(
            "of-another-version",
            without("(export \"hookway:plugin/transform@9.0.0\" (instance $transformer))"),
            Unloaded("supports hookway:plugin 0.1"),
        ),
        changed(
            "transform-of-another-type",
            without(
                "(instance $lies (export \"transform\" (func $describe))) (export \"hookway:plugin/transform@0.1.0\" (instance $lies))",
            ),
            Unloaded("expected 2-tuple"),
        ),
        raw("a-core-module", b"\0asm\x01\0\0\0", "core module"),
        raw(
            "a-library",
            b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0",
            "not a WebAssembly component",
        ),
        raw("a-text", b"(component)", "not a WebAssembly component"),
        raw("an-empty-component", b"\0asm\x0d\0\x01\0", "does not export"),
        importing(
            "wants-the-network",
            Parts {
                outside: r#"(import "wasi:sockets/tcp-create-socket@0.2.0" (instance $net (export "create" (func))))"#,
                ..Parts::default()
            },
            Unloaded("no network"),
        ),
        importing(
            "wants-http",
            Parts {
                outside: r#"(import "wasi:http/outgoing-handler@0.2.0" (instance $net (export "handle" (func))))"#,
                ..Parts::default()
            },
            Unloaded("no network"),
        ),
        importing(
            "wants-what-is-not-there",
            Parts {
                outside: r#"(import "evil:host/shell@1.0.0" (instance $net (export "run" (func (param "command" string)))))"#,
                ..Parts::default()
            },
            Unloaded("no such interface"),
        ),
        importing(
            "wants-files",
            Parts {
                outside: r#"(import "wasi:filesystem/preopens@0.2.0" (instance $files (export "get-directories" (func (result (list u32))))))"#,
                ..Parts::default()
            },
            Unloaded("does not fit"),
        ),
        importing(
            "exits",
            Parts {
                outside: r#"(import "wasi:cli/exit@0.2.3" (instance $exit (export "exit" (func (param "status" (result))))))"#,
                lowered: r#"(core func $exit-lowered (canon lower (func $exit "exit")))"#,
                host: r#"(export "exit" (func $exit-lowered))"#,
                imports: r#"(import "host" "exit" (func $exit (param i32)))"#,
                guest: "(func $transform (param i32) (result i32) (call $exit (i32.const 1)) unreachable)",
            },
            Fault("trap", "exit code 1"),
        ),
        importing(
            "asks-for-randomness-for-ever",
            Parts {
                outside: r#"(import "wasi:random/random@0.2.0" (instance $random (export "get-random-u64" (func (result u64)))))"#,
                lowered: r#"(core func $random-lowered (canon lower (func $random "get-random-u64")))"#,
                host: r#"(export "random" (func $random-lowered))"#,
                imports: r#"(import "host" "random" (func $random (result i64)))"#,
                guest: "(func $transform (param i32) (result i32) (loop $again (drop (call $random)) (br $again)) unreachable)",
            },
            Fault("timeout", "time limit"),
        ),
        importing(
            "asks-for-a-gibibyte-of-randomness",
            Parts {
                outside: r#"(import "wasi:random/random@0.2.0" (instance $random (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))"#,
                lowered: r#"(core func $random-lowered (canon lower (func $random "get-random-bytes") (memory $memory) (realloc $realloc)))"#,
                host: r#"(export "random" (func $random-lowered))"#,
                imports: r#"(import "host" "random" (func $random (param i64 i32)))"#,
                guest: "(func $transform (param i32) (result i32) (call $random (i64.const 0x40000000) (i32.const 512)) (i32.const 256))",
            },
            Fault("invalid_output", "exceeds limit 65536"),
        ),
        importing(
            "asks-for-the-time-for-ever",
            Parts {
                outside: r#"(import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock (export "now" (func (result u64)))))"#,
                lowered: r#"(core func $now-lowered (canon lower (func $clock "now")))"#,
                host: r#"(export "now" (func $now-lowered))"#,
                imports: r#"(import "host" "now" (func $now (result i64)))"#,
                // It waits for a second to pass; the clock stands still.
                guest: "(func $transform (param i32) (result i32)
                    (loop $again (br_if $again (i64.lt_u (call $now) (i64.const 1000000000)))) unreachable)",
            },
            Fault("timeout", "time limit"),
        ),
    ]
}

/// What a plugin says of itself.
pub(super) fn manifests() -> Vec<Guest> {
    vec![
        guest(
            "name-of-a-path",
            r#"(data (i32.const 1024) "../e")"#,
            Unloaded("name"),
        ),
        guest(
            "manifest-out-of-bounds",
            "(func $describe (result i32) (i32.const 0x7ffffff0))",
            Unloaded("describe"),
        ),
        schema("schema-that-is-none", "{", Unloaded("config-schema")),
        schema(
            "schema-that-fetches",
            r#"{"$ref":"http://127.0.0.1:1/schema.json"}"#,
            Unloaded("config-schema"),
        ),
        schema(
            "schema-that-reads-a-file",
            r#"{"$ref":"file:///etc/passwd"}"#,
            Unloaded("config-schema"),
        ),
        schema(
            "schema-with-a-costly-pattern",
            r#"{"type":"object","additionalProperties":{"pattern":"^(([a-z])+.)+[A-Z]([a-z])+$"}}"#,
            Unsaved("does not match"),
        ),
        schema(
            "schema-that-refers-to-itself",
            r##"{"$ref":"#"}"##,
            Unloaded("refers to itself"),
        ),
        schema(
            "schema-that-contains-itself",
            r##"{"allOf":[{"$ref":"#"}]}"##,
            Unloaded("refers to itself"),
        ),
        schema(
            "schema-that-doubles",
            &doubling(48),
            Unloaded("more than 4000 parts"),
        ),
    ]
}
