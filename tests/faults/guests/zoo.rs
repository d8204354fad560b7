//! The guests that misbehave, as data: what each does and where the host must stop it.
//!
//! Memory of a guest is laid out as `tests/guests/component.wat` says: a result at 256, its one request at
//! 320, texts from 2048 on, arguments from 65536 on.

use super::wrap::{self, Parts};

/// Where a guest is stopped.
#[derive(Clone, Copy, Debug)]
pub enum Ends {
    /// It is not stored; the answer says this.
    Unloaded(&'static str),
    /// No subscription may use it with this configuration; the answer says this.
    Unsaved(&'static str),
    /// Its run is recorded as this kind of fault, with this in its text.
    Fault(&'static str, &'static str),
    /// Its run is recorded with this outcome and this in its reason: it was within the rules, or cut to them.
    Within(&'static str, &'static str),
}
use Ends::{Fault, Unloaded, Unsaved, Within};

/// One guest.
pub struct Guest {
    pub name: &'static str,
    pub component: Vec<u8>,
    pub ends: Ends,
}

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!("../../guests/", $name, ".wat"))
    };
}

fn parsed(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the guest is text")
}

fn guest(name: &'static str, functions: &str, ends: Ends) -> Guest {
    Guest {
        name,
        component: parsed(&wrap::component(functions)),
        ends,
    }
}

/// A guest whose allocator is this function body in place of the usual one.
fn allocator(name: &'static str, body: &str, ends: Ends) -> Guest {
    let whole = wrap::component("");
    let (before, rest) = whole.split_once("(local $at i32)").expect("the allocator");
    let (_, after) = rest.split_once("(local.get $at)))").expect("its end");
    // Twice: the first `(local.get $at)))` closes another statement where the text changes.
    let component = parsed(&format!("{before}{body})){after}"));
    Guest {
        name,
        component,
        ends,
    }
}

/// A guest with imports of its own.
fn importing(name: &'static str, parts: Parts<'_>, ends: Ends) -> Guest {
    Guest {
        name,
        component: parsed(&wrap::component_of(&parts)),
        ends,
    }
}

/// A guest whose whole text is changed by hand.
fn changed(name: &'static str, change: impl Fn(String) -> String, ends: Ends) -> Guest {
    Guest {
        name,
        component: parsed(&change(wrap::component(""))),
        ends,
    }
}

/// `transform` that does this.
fn does(name: &'static str, body: &str, ends: Ends) -> Guest {
    guest(
        name,
        &format!("(func $transform (param i32) (result i32) (local $n i32) {body})"),
        ends,
    )
}

/// `transform` that gives one request with this path or header.
fn header(name: &'static str, header: &str, value: &str, says: &'static str) -> Guest {
    let quoted = |text: &str| {
        text.bytes()
            .map(|byte| format!("\\{byte:02x}"))
            .collect::<String>()
    };
    let (at, length) = (2_304 + header.len(), value.len());
    let data = format!(
        r#"(data (i32.const 2048) "{}{}{}{}") (data (i32.const 2304) "{}{}")"#,
        quoted_u32(2_304),
        quoted_u32(header.len()),
        quoted_u32(at),
        quoted_u32(length),
        quoted(header),
        quoted(value),
    );
    let body = "(func $transform (param i32) (result i32)
        (drop (call $deliver (i32.const 1024) (i32.const 4)))
        (i32.store (i32.const 336) (i32.const 2048)) (i32.store (i32.const 340) (i32.const 1))
        (i32.const 256))";
    guest(name, &format!("{data}{body}"), Fault("invalid_output", says))
}

fn path(name: &'static str, path: &str) -> Guest {
    let quoted: String = path.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let text = format!(
        r#"(data (i32.const 2048) "{quoted}")
        (func $transform (param i32) (result i32)
        (drop (call $deliver (i32.const 1024) (i32.const 4)))
        (i32.store (i32.const 324) (i32.const 1)) (i32.store (i32.const 328) (i32.const 2048))
        (i32.store (i32.const 332) (i32.const {})) (i32.const 256))"#,
        path.len()
    );
    guest(name, &text, Fault("invalid_output", "path"))
}

fn quoted_u32(number: usize) -> String {
    u32::try_from(number)
        .expect("small")
        .to_le_bytes()
        .iter()
        .map(|byte| format!("\\{byte:02x}"))
        .collect()
}

/// A guest whose manifest has this schema.
fn schema(name: &'static str, schema: &str, ends: Ends) -> Guest {
    let text: String = schema.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let data = format!(
        r#"(data (i32.const 40) "\01\00\00\00{}{}") (data (i32.const 4096) "{text}")"#,
        quoted_u32(4_096),
        quoted_u32(schema.len()),
    );
    guest(name, &data, ends)
}

/// A schema that asks everything twice, so many times inside of each other.
fn doubling(levels: usize) -> String {
    let mut definitions = r#""d0":{"type":"object"}"#.to_owned();
    for level in 1..=levels {
        let below = level - 1;
        definitions += &format!(
            r##","d{level}":{{"allOf":[{{"$ref":"#/$defs/d{below}"}},{{"$ref":"#/$defs/d{below}"}}]}}"##
        );
    }
    format!(r##"{{"$ref":"#/$defs/d{levels}","$defs":{{{definitions}}}}}"##)
}

/// All of them.
pub fn zoo() -> Vec<Guest> {
    let mut all = loops();
    all.extend(memory());
    all.extend(traps());
    all.extend(outputs());
    all.extend(rules());
    all.extend(words());
    all.extend(worlds());
    all.extend(manifests());
    all
}

fn loops() -> Vec<Guest> {
    const LATE: Ends = Fault("timeout", "ran longer than its time limit");
    vec![
        guest("loops", file!("spin"), LATE),
        guest("loops-in-start", file!("spin_in_start"), Unloaded("describe")),
        guest(
            "loops-in-describe",
            "(func $describe (result i32) (loop $again (br $again)) unreachable)",
            Unloaded("describe"),
        ),
        guest(
            "loops-in-configure",
            file!("spin_in_configure"),
            Unsaved("plugins.configure_ms"),
        ),
        guest("loops-after-return", file!("spin_after_return"), LATE),
        allocator(
            "loops-in-allocator",
            "(loop $again (br $again)) unreachable",
            Unsaved("plugins.configure_ms"),
        ),
        does(
            "fills-for-ever",
            "(loop $again (memory.fill (i32.const 65536) (i32.const 7) (i32.const 65536)) (br $again)) unreachable",
            LATE,
        ),
        does(
            "copies-for-ever",
            "(loop $again (memory.copy (i32.const 65536) (i32.const 65537) (i32.const 65000)) (br $again)) unreachable",
            LATE,
        ),
        does(
            "logs-for-ever",
            "(loop $again (call $log (i32.const 2) (i32.const 1024) (i32.const 4)) (br $again)) unreachable",
            LATE,
        ),
        does(
            "grows-nothing-for-ever",
            "(loop $again (drop (memory.grow (i32.const 0))) (br $again)) unreachable",
            LATE,
        ),
    ]
}

fn memory() -> Vec<Guest> {
    vec![
        guest("takes-all-memory", file!("memory_bomb"), Fault("memory", "plugins.memory_bytes")),
        does("asks-for-all-at-once", "(if (i32.eq (memory.grow (i32.const 65000)) (i32.const -1)) (then unreachable)) unreachable", Fault("memory", "plugins.memory_bytes")),
        does(
            "touches-all-memory",
            "(drop (memory.grow (i32.const 500)))
             (memory.fill (i32.const 65536) (i32.const 7) (i32.const 32000000)) (call $filtered (i32.const 1024) (i32.const 4))",
            Within("filtered", "test"),
        ),
        guest(
            "takes-all-of-a-table",
            "(table $t 1 funcref)
             (func $transform (param i32) (result i32)
               (loop $more (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 100)) (i32.const -1)))) unreachable)",
            Fault("memory", "plugins.table_elements"),
        ),
        guest("recurses", file!("recursion"), Fault("stack", "stack")),
        guest(
            "recurses-with-many-locals",
            "(func $deeper (param i64 i64 i64 i64) (result i64)
               (i64.add (call $deeper (local.get 3) (local.get 0) (local.get 1) (i64.add (local.get 2) (i64.const 1))) (local.get 0)))
             (func $transform (param i32) (result i32)
               (i32.wrap_i64 (call $deeper (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4))))",
            Fault("stack", "stack"),
        ),
        guest(
            "recurses-and-logs-at-its-deepest",
            "(func $deeper (param i32) (result i32)
               (call $log (i32.const 2) (i32.const 1024) (i32.const 4))
               (i32.add (call $deeper (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
             (func $transform (param i32) (result i32) (call $deeper (i32.const 0)))",
            Fault("stack", "stack"),
        ),
        changed("wants-a-gibibyte", |text| text.replacen("\"memory\") 2)", "\"memory\") 16384)", 1), Unloaded("plugins.memory_bytes")),
        changed(
            "wants-two-memories",
            |text| text.replacen("(core module $libc-module", "(core module $more (memory 1)) (core instance (instantiate $more)) (core module $libc-module", 1),
            Unloaded("plugins.memories"),
        ),
        changed(
            "wants-many-tables",
            |text| text.replacen("(core module $guest-module", &format!("(core module $more {}) (core instance (instantiate $more)) (core module $guest-module", "(table 1 funcref)".repeat(9)), 1),
            Unloaded("plugins.tables"),
        ),
        changed(
            "wants-a-large-table",
            |text| text.replacen("(core module $guest-module", "(core module $more (table 100000 funcref)) (core instance (instantiate $more)) (core module $guest-module", 1),
            Unloaded("plugins.table_elements"),
        ),
        changed(
            "wants-many-instances",
            |text| text.replacen("(core module $guest-module", &format!("(core module $more) {} (core module $guest-module", "(core instance (instantiate $more))".repeat(30)), 1),
            Unloaded("instances"),
        ),
    ]
}

fn traps() -> Vec<Guest> {
    vec![
        guest("panics", file!("panic"), Fault("trap", "panicked at src/lib.rs:7:5: no channel")),
        guest("traps-in-its-third-run", file!("counter_with_trap"), Within("filtered", "1")),
        does("does-nothing-but-trap", "unreachable", Fault("trap", "unreachable")),
        does("divides-by-zero", "(i32.div_u (i32.const 1) (local.get $n))", Fault("trap", "divide by zero")),
        does("overflows", "(i32.div_s (i32.const 0x80000000) (i32.const -1))", Fault("trap", "overflow")),
        does("converts-what-is-no-number", "(i32.trunc_f64_s (f64.const nan))", Fault("trap", "conversion")),
        does("reads-out-of-bounds", "(i32.load (i32.const 0x7ffffff0))", Fault("trap", "out of bounds")),
        does("reads-below-its-end", "(i32.load offset=0xfffffff0 (i32.const 0xfffffff0))", Fault("trap", "out of bounds")),
        does("fills-out-of-bounds", "(memory.fill (i32.const 0) (i32.const 0) (i32.const -1)) (i32.const 256)", Fault("trap", "out of bounds")),
        guest(
            "calls-nothing",
            "(table $t 4 funcref) (type $f (func (result i32)))
             (func $transform (param i32) (result i32) (call_indirect $t (type $f) (i32.const 2)))",
            Fault("trap", "uninitialized"),
        ),
        guest(
            "calls-beyond-its-table",
            "(table $t 4 funcref) (type $f (func (result i32)))
             (func $transform (param i32) (result i32) (call_indirect $t (type $f) (i32.const 99)))",
            Fault("trap", "out of bounds"),
        ),
        guest(
            "calls-another-type",
            "(type $f (func (result i64))) (func $other (result i32) (i32.const 1))
             (table $t funcref (elem $other))
             (func $transform (param i32) (result i32) (i32.wrap_i64 (call_indirect $t (type $f) (i32.const 0))))",
            Fault("trap", "type mismatch"),
        ),
        guest("traps-in-configure", "(func $configure (param i32 i32) (result i32) unreachable)", Unsaved("unreachable")),
        guest("traps-in-describe", "(func $describe (result i32) unreachable)", Unloaded("unreachable")),
        guest("traps-in-start", "(func $bad unreachable) (start $bad)", Unloaded("unreachable")),
        guest(
            "traps-after-return",
            "(func $reset (param i32) (if (i32.eq (local.get 0) (i32.const 256)) (then unreachable)) (global.set $heap (i32.const 65536)))",
            Fault("trap", "unreachable"),
        ),
        allocator("allocator-traps", "unreachable", Unsaved("unreachable")),
        allocator("allocator-gives-nothing", "(i32.const -8)", Unsaved("")),
        allocator("allocator-gives-odd-places", "(i32.or (i32.const 1) (i32.const 65536))", Fault("invalid_output", "")),
    ]
}

fn outputs() -> Vec<Guest> {
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

fn rules() -> Vec<Guest> {
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

fn words() -> Vec<Guest> {
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

fn worlds() -> Vec<Guest> {
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

fn manifests() -> Vec<Guest> {
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
