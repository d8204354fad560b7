//! The guests that misbehave, as data: what each does and where the host must stop it.
//!
//! What such collections elsewhere have and this one has not, because the contract has nothing of the kind:
//! key-value stores and their quotas, HTTP calls, files and sockets (refused by name before anything is
//! compiled), and capabilities in a manifest (imports are all that counts). A manifest that differs from one
//! call to the next cannot be made: `describe` runs once per component on a fresh instance, and clock and
//! random numbers are the same in every one. Nor can a guest hold an `error` of WASI, a terminal or a file:
//! no function that it can call gives one.
//!
//! Memory of a guest is laid out as `tests/guests/component.wat` says: a result at 256, its one request at
//! 320, texts from 2048 on, arguments from 65536 on.

/// The text of a guest of `tests/guests`.
macro_rules! file {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/guests/",
            $name,
            ".wat"
        ))
    };
}

mod outputs;
mod wasi;
mod worlds;

use crate::wrap::{self, Parts};

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

/// How the guest that counts its runs ends in the first ones of an instance.
const COUNTED: [Ends; 3] = [
    Within("filtered", "1"),
    Within("filtered", "2"),
    Fault("trap", "unreachable"),
];

impl Guest {
    /// Where it is stopped in this wave of events, if it is told what comes to it then.
    pub fn ends_in(&self, wave: usize) -> Option<Ends> {
        match self.name {
            // Its third run traps; when it is run again for that, it begins to count anew.
            "traps-in-its-third-run" => COUNTED.get(wave).copied(),
            // Who says that its configuration is at fault is held from then on.
            "says-it-is-misconfigured" if wave > 0 => None,
            _ => Some(self.ends),
        }
    }
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
    all.extend(outputs::outputs());
    all.extend(outputs::rules());
    all.extend(outputs::words());
    all.extend(outputs::json());
    all.extend(wasi::wasi());
    all.extend(worlds::worlds());
    all.extend(worlds::manifests());
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
        guest("takes-all-memory", file!("memory_bomb"), Fault("memory", "(32768 KiB, `plugins.memory_bytes`)")),
        does("takes-twice-what-it-may", "(if (i32.eq (memory.grow (i32.const 1000)) (i32.const -1)) (then unreachable)) (call $filtered (i32.const 1024) (i32.const 4))", Fault("memory", "(32768 KiB, `plugins.memory_bytes`)")),
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
            Fault("memory", "(10000 elements, `plugins.table_elements`)"),
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
