//! Guests of ordinary toolchains that use what the host has of WASI: every function once, with what is found
//! there checked by the guest itself, and those that must not work each in a guest of its own.

use super::Ends::{Fault, Within};
use super::{Ends, Guest, importing};
use crate::wrap::Parts;

/// All interfaces that are there, with all functions that can be called: the others take an error, a terminal
/// or a file, and no function gives one.
const OUTSIDE: &str = r#"
(import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
(alias export $error "error" (type $error-type))
(import "wasi:io/poll@0.2.0" (instance $poll
  (export "pollable" (type $p (sub resource)))
  (export "[method]pollable.ready" (func (param "self" (borrow $p)) (result bool)))
  (export "[method]pollable.block" (func (param "self" (borrow $p))))
  (export "poll" (func (param "in" (list (borrow $p))) (result (list u32))))))
(alias export $poll "pollable" (type $pollable))
(import "wasi:io/streams@0.2.0" (instance $streams
  (alias outer 1 $error-type (type $outer-error))
  (export "error" (type $e (eq $outer-error)))
  (alias outer 1 $pollable (type $outer-pollable))
  (export "pollable" (type $p (eq $outer-pollable)))
  (type $failure-shape (variant (case "last-operation-failed" (own $e)) (case "closed")))
  (export "stream-error" (type $f (eq $failure-shape)))
  (export "input-stream" (type $in (sub resource)))
  (export "output-stream" (type $out (sub resource)))
  (export "[method]input-stream.read" (func (param "self" (borrow $in)) (param "len" u64) (result (result (list u8) (error $f)))))
  (export "[method]input-stream.blocking-read" (func (param "self" (borrow $in)) (param "len" u64) (result (result (list u8) (error $f)))))
  (export "[method]input-stream.skip" (func (param "self" (borrow $in)) (param "len" u64) (result (result u64 (error $f)))))
  (export "[method]input-stream.blocking-skip" (func (param "self" (borrow $in)) (param "len" u64) (result (result u64 (error $f)))))
  (export "[method]input-stream.subscribe" (func (param "self" (borrow $in)) (result (own $p))))
  (export "[method]output-stream.check-write" (func (param "self" (borrow $out)) (result (result u64 (error $f)))))
  (export "[method]output-stream.write" (func (param "self" (borrow $out)) (param "contents" (list u8)) (result (result (error $f)))))
  (export "[method]output-stream.blocking-write-and-flush" (func (param "self" (borrow $out)) (param "contents" (list u8)) (result (result (error $f)))))
  (export "[method]output-stream.flush" (func (param "self" (borrow $out)) (result (result (error $f)))))
  (export "[method]output-stream.blocking-flush" (func (param "self" (borrow $out)) (result (result (error $f)))))
  (export "[method]output-stream.subscribe" (func (param "self" (borrow $out)) (result (own $p))))
  (export "[method]output-stream.write-zeroes" (func (param "self" (borrow $out)) (param "len" u64) (result (result (error $f)))))
  (export "[method]output-stream.blocking-write-zeroes-and-flush" (func (param "self" (borrow $out)) (param "len" u64) (result (result (error $f)))))
  (export "[method]output-stream.splice" (func (param "self" (borrow $out)) (param "src" (borrow $in)) (param "len" u64) (result (result u64 (error $f)))))
  (export "[method]output-stream.blocking-splice" (func (param "self" (borrow $out)) (param "src" (borrow $in)) (param "len" u64) (result (result u64 (error $f)))))))
(alias export $streams "input-stream" (type $input-stream))
(alias export $streams "output-stream" (type $output-stream))
(import "wasi:cli/stdin@0.2.0" (instance $stdin
  (alias outer 1 $input-stream (type $o)) (export "input-stream" (type $s (eq $o)))
  (export "get-stdin" (func (result (own $s))))))
(import "wasi:cli/stdout@0.2.0" (instance $stdout
  (alias outer 1 $output-stream (type $o)) (export "output-stream" (type $s (eq $o)))
  (export "get-stdout" (func (result (own $s))))))
(import "wasi:cli/stderr@0.2.0" (instance $stderr
  (alias outer 1 $output-stream (type $o)) (export "output-stream" (type $s (eq $o)))
  (export "get-stderr" (func (result (own $s))))))
(import "wasi:cli/terminal-input@0.2.0" (instance $terminal-input (export "terminal-input" (type (sub resource)))))
(alias export $terminal-input "terminal-input" (type $ti))
(import "wasi:cli/terminal-output@0.2.0" (instance $terminal-output (export "terminal-output" (type (sub resource)))))
(alias export $terminal-output "terminal-output" (type $to))
(import "wasi:cli/terminal-stdin@0.2.0" (instance $terminal-stdin
  (alias outer 1 $ti (type $o)) (export "terminal-input" (type $t (eq $o)))
  (export "get-terminal-stdin" (func (result (option (own $t)))))))
(import "wasi:cli/terminal-stdout@0.2.0" (instance $terminal-stdout
  (alias outer 1 $to (type $o)) (export "terminal-output" (type $t (eq $o)))
  (export "get-terminal-stdout" (func (result (option (own $t)))))))
(import "wasi:cli/terminal-stderr@0.2.0" (instance $terminal-stderr
  (alias outer 1 $to (type $o)) (export "terminal-output" (type $t (eq $o)))
  (export "get-terminal-stderr" (func (result (option (own $t)))))))
(import "wasi:cli/environment@0.2.0" (instance $environment
  (export "get-environment" (func (result (list (tuple string string)))))
  (export "get-arguments" (func (result (list string))))
  (export "initial-cwd" (func (result (option string))))))
(import "wasi:cli/exit@0.2.0" (instance $exit (export "exit" (func (param "status" (result))))))
(import "wasi:clocks/monotonic-clock@0.2.0" (instance $monotonic
  (alias outer 1 $pollable (type $o)) (export "pollable" (type $p (eq $o)))
  (export "now" (func (result u64)))
  (export "resolution" (func (result u64)))
  (export "subscribe-instant" (func (param "when" u64) (result (own $p))))
  (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
(import "wasi:clocks/wall-clock@0.2.0" (instance $wall
  (type $shape (record (field "seconds" u64) (field "nanoseconds" u32)))
  (export "datetime" (type $d (eq $shape)))
  (export "now" (func (result $d)))
  (export "resolution" (func (result $d)))))
(import "wasi:filesystem/types@0.2.0" (instance $files (export "descriptor" (type (sub resource)))))
(alias export $files "descriptor" (type $descriptor))
(import "wasi:filesystem/preopens@0.2.0" (instance $preopens
  (alias outer 1 $descriptor (type $o)) (export "descriptor" (type $d (eq $o)))
  (export "get-directories" (func (result (list (tuple (own $d) string)))))))
(import "wasi:random/random@0.2.0" (instance $random
  (export "get-random-bytes" (func (param "len" u64) (result (list u8))))
  (export "get-random-u64" (func (result u64)))))
(import "wasi:random/insecure@0.2.0" (instance $insecure
  (export "get-insecure-random-bytes" (func (param "len" u64) (result (list u8))))
  (export "get-insecure-random-u64" (func (result u64)))))
(import "wasi:random/insecure-seed@0.2.0" (instance $seed
  (export "insecure-seed" (func (result (tuple u64 u64))))))
"#;

/// What a function needs of the guest to be called.
#[derive(Clone, Copy)]
enum Needs {
    Nothing,
    Memory,
    Allocator,
}
use Needs::{Allocator, Memory, Nothing};

/// A function: what it is called in the guest, where it is, what it is called there, and its core type.
type Function = (&'static str, &'static str, &'static str, Needs, &'static str);

const FUNCTIONS: [Function; 40] = [
    ("stdin", "$stdin", "get-stdin", Nothing, "(result i32)"),
    ("stdout", "$stdout", "get-stdout", Nothing, "(result i32)"),
    ("stderr", "$stderr", "get-stderr", Nothing, "(result i32)"),
    (
        "tty-in",
        "$terminal-stdin",
        "get-terminal-stdin",
        Memory,
        "(param i32)",
    ),
    (
        "tty-out",
        "$terminal-stdout",
        "get-terminal-stdout",
        Memory,
        "(param i32)",
    ),
    (
        "tty-err",
        "$terminal-stderr",
        "get-terminal-stderr",
        Memory,
        "(param i32)",
    ),
    (
        "environment",
        "$environment",
        "get-environment",
        Allocator,
        "(param i32)",
    ),
    (
        "arguments",
        "$environment",
        "get-arguments",
        Allocator,
        "(param i32)",
    ),
    ("cwd", "$environment", "initial-cwd", Allocator, "(param i32)"),
    ("exit", "$exit", "exit", Nothing, "(param i32)"),
    ("now", "$monotonic", "now", Nothing, "(result i64)"),
    ("resolution", "$monotonic", "resolution", Nothing, "(result i64)"),
    (
        "at",
        "$monotonic",
        "subscribe-instant",
        Nothing,
        "(param i64) (result i32)",
    ),
    (
        "after",
        "$monotonic",
        "subscribe-duration",
        Nothing,
        "(param i64) (result i32)",
    ),
    ("today", "$wall", "now", Memory, "(param i32)"),
    ("second", "$wall", "resolution", Memory, "(param i32)"),
    (
        "directories",
        "$preopens",
        "get-directories",
        Allocator,
        "(param i32)",
    ),
    (
        "bytes",
        "$random",
        "get-random-bytes",
        Allocator,
        "(param i64 i32)",
    ),
    ("u64", "$random", "get-random-u64", Nothing, "(result i64)"),
    (
        "weak-bytes",
        "$insecure",
        "get-insecure-random-bytes",
        Allocator,
        "(param i64 i32)",
    ),
    (
        "weak-u64",
        "$insecure",
        "get-insecure-random-u64",
        Nothing,
        "(result i64)",
    ),
    ("seed", "$seed", "insecure-seed", Memory, "(param i32)"),
    (
        "ready",
        "$poll",
        "[method]pollable.ready",
        Nothing,
        "(param i32) (result i32)",
    ),
    ("block", "$poll", "[method]pollable.block", Nothing, "(param i32)"),
    ("poll", "$poll", "poll", Allocator, "(param i32 i32 i32)"),
    (
        "read",
        "$streams",
        "[method]input-stream.read",
        Allocator,
        "(param i32 i64 i32)",
    ),
    (
        "read-all",
        "$streams",
        "[method]input-stream.blocking-read",
        Allocator,
        "(param i32 i64 i32)",
    ),
    (
        "skip",
        "$streams",
        "[method]input-stream.skip",
        Memory,
        "(param i32 i64 i32)",
    ),
    (
        "skip-all",
        "$streams",
        "[method]input-stream.blocking-skip",
        Memory,
        "(param i32 i64 i32)",
    ),
    (
        "in-ready",
        "$streams",
        "[method]input-stream.subscribe",
        Nothing,
        "(param i32) (result i32)",
    ),
    (
        "may-write",
        "$streams",
        "[method]output-stream.check-write",
        Memory,
        "(param i32 i32)",
    ),
    (
        "write",
        "$streams",
        "[method]output-stream.write",
        Memory,
        "(param i32 i32 i32 i32)",
    ),
    (
        "write-all",
        "$streams",
        "[method]output-stream.blocking-write-and-flush",
        Memory,
        "(param i32 i32 i32 i32)",
    ),
    (
        "flush",
        "$streams",
        "[method]output-stream.flush",
        Memory,
        "(param i32 i32)",
    ),
    (
        "flush-all",
        "$streams",
        "[method]output-stream.blocking-flush",
        Memory,
        "(param i32 i32)",
    ),
    (
        "out-ready",
        "$streams",
        "[method]output-stream.subscribe",
        Nothing,
        "(param i32) (result i32)",
    ),
    (
        "zeroes",
        "$streams",
        "[method]output-stream.write-zeroes",
        Memory,
        "(param i32 i64 i32)",
    ),
    (
        "zeroes-all",
        "$streams",
        "[method]output-stream.blocking-write-zeroes-and-flush",
        Memory,
        "(param i32 i64 i32)",
    ),
    (
        "splice",
        "$streams",
        "[method]output-stream.splice",
        Memory,
        "(param i32 i32 i64 i32)",
    ),
    (
        "splice-all",
        "$streams",
        "[method]output-stream.blocking-splice",
        Memory,
        "(param i32 i32 i64 i32)",
    ),
];

/// Calls all that may be called, in order, and traps where it finds what should not be there. Results are
/// written to 3072.
const ALL: &str = r#"
    (call $tty-in (i32.const 3072)) (call $must (i32.eqz (i32.load8_u (i32.const 3072))))
    (call $tty-out (i32.const 3072)) (call $must (i32.eqz (i32.load8_u (i32.const 3072))))
    (call $tty-err (i32.const 3072)) (call $must (i32.eqz (i32.load8_u (i32.const 3072))))
    (call $environment (i32.const 3072)) (call $must (i32.eqz (i32.load (i32.const 3076))))
    (call $arguments (i32.const 3072)) (call $must (i32.eqz (i32.load (i32.const 3076))))
    (call $cwd (i32.const 3072)) (call $must (i32.eqz (i32.load8_u (i32.const 3072))))
    (call $must (i64.eqz (call $now))) (drop (call $resolution))
    (call $today (i32.const 3072)) (call $must (i64.eqz (i64.load (i32.const 3072))))
    (call $second (i32.const 3072))
    (call $directories (i32.const 3072)) (call $must (i32.eqz (i32.load (i32.const 3076))))
    (call $bytes (i64.const 16) (i32.const 3072)) (call $must (i32.eq (i32.load (i32.const 3076)) (i32.const 16)))
    (drop (call $u64))
    (call $weak-bytes (i64.const 16) (i32.const 3072)) (drop (call $weak-u64)) (call $seed (i32.const 3072))
    (drop (call $ready (call $at (i64.const 0)))) (drop (call $ready (call $after (i64.const 1000))))
    (local.set $in (call $stdin)) (local.set $out (call $stdout)) (drop (call $stderr))
    (drop (call $in-ready (local.get $in))) (drop (call $out-ready (local.get $out)))
    (call $read (local.get $in) (i64.const -1) (i32.const 3072)) (call $must (i32.load8_u (i32.const 3072)))
    (call $read-all (local.get $in) (i64.const -1) (i32.const 3072)) (call $must (i32.load8_u (i32.const 3072)))
    (call $skip (local.get $in) (i64.const -1) (i32.const 3072)) (call $must (i32.load8_u (i32.const 3072)))
    (call $skip-all (local.get $in) (i64.const -1) (i32.const 3072)) (call $must (i32.load8_u (i32.const 3072)))
    (call $may-write (local.get $out) (i32.const 3072)) (call $must (i32.eqz (i32.load8_u (i32.const 3072))))
    (call $write (local.get $out) (i32.const 1024) (i32.const 4) (i32.const 3072))
    (call $write-all (local.get $out) (i32.const 1024) (i32.const 4) (i32.const 3072))
    (call $flush (local.get $out) (i32.const 3072)) (call $flush-all (local.get $out) (i32.const 3072))
    (call $zeroes (local.get $out) (i64.const 10) (i32.const 3072))
    (call $zeroes-all (local.get $out) (i64.const 10) (i32.const 3072))
    (call $splice (local.get $out) (local.get $in) (i64.const -1) (i32.const 3072))
    (call $must (i32.load8_u (i32.const 3072)))
    (call $splice-all (local.get $out) (local.get $in) (i64.const -1) (i32.const 3072))
    (call $must (i32.load8_u (i32.const 3072)))
    (call $filtered (i32.const 1024) (i32.const 4))"#;

/// A guest with all of WASI whose `transform` does this.
fn with_wasi(name: &'static str, body: &str, ends: Ends) -> Guest {
    let (mut lowered, mut host, mut imports) = (String::new(), String::new(), String::new());
    for (called, instance, function, needs, core) in FUNCTIONS {
        let options = match needs {
            Nothing => "",
            Memory => "(memory $memory)",
            Allocator => "(memory $memory) (realloc $realloc)",
        };
        lowered +=
            &format!("(core func $w-{called} (canon lower (func {instance} \"{function}\") {options}))\n");
        host += &format!("(export \"{called}\" (func $w-{called}))\n");
        imports += &format!("(import \"host\" \"{called}\" (func ${called} {core}))\n");
    }
    let guest = format!(
        "(func $must (param i32) (if (i32.eqz (local.get 0)) (then unreachable)))
         (func $transform (param i32) (result i32) (local $in i32) (local $out i32) {body})"
    );
    importing(
        name,
        Parts {
            outside: OUTSIDE,
            lowered: &lowered,
            host: &host,
            imports: &imports,
            guest: &guest,
        },
        ends,
    )
}

/// All of them.
pub(super) fn wasi() -> Vec<Guest> {
    let calls = |name, body: &str, ends| with_wasi(name, &format!("{body} unreachable"), ends);
    const TOO_MUCH: Ends = Fault("invalid_output", "exceeds limit 65536");
    const FULL: Ends = Fault("invalid_output", "resource table has no free keys");
    const WAITS: Ends = Fault("trap", "must not wait");
    vec![
        with_wasi("calls-all-of-wasi", ALL, Within("filtered", "test")),
        calls(
            "blocks",
            "(call $block (call $after (i64.const -1)))",
            WAITS,
        ),
        calls("polls", "(call $poll (i32.const 0) (i32.const 0) (i32.const 3072))", WAITS),
        calls("exits-well", "(call $exit (i32.const 0))", Fault("trap", "exit code 0")),
        calls(
            "asks-for-all-weak-randomness",
            "(call $weak-bytes (i64.const -1) (i32.const 3072))",
            TOO_MUCH,
        ),
        calls(
            "writes-an-exbibyte-of-zeroes",
            "(call $zeroes (call $stdout) (i64.const 0x1000000000000000) (i32.const 3072))",
            Fault("invalid_output", "more zeroes than"),
        ),
        calls(
            "writes-more-zeroes-than-it-waits-for",
            "(call $zeroes-all (call $stdout) (i64.const 0x1000000000000000) (i32.const 3072))",
            Fault("invalid_output", ""),
        ),
        with_wasi(
            "writes-to-standard-output-for-ever",
            "(local.set $out (call $stdout))
             (loop $again (call $write (local.get $out) (i32.const 0) (i32.const 65536) (i32.const 3072)) (br $again)) unreachable",
            Fault("timeout", "time limit"),
        ),
        with_wasi(
            "asks-whether-time-has-passed",
            "(local.set $in (call $after (i64.const 1000)))
             (call $must (i32.eqz (call $ready (local.get $in)))) (call $must (i32.eqz (call $ready (local.get $in))))
             (call $must (i32.eqz (call $ready (call $after (i64.const -1)))))
             (call $must (i32.eqz (call $ready (call $at (i64.const -1)))))
             (call $filtered (i32.const 1024) (i32.const 4))",
            Within("filtered", "test"),
        ),
        calls(
            "opens-streams-for-ever",
            "(loop $again (drop (call $stdout)) (br $again))",
            FULL,
        ),
        calls(
            "waits-for-ever-more-things",
            "(loop $again (drop (call $after (i64.const 1))) (br $again))",
            FULL,
        ),
        calls(
            "calls-with-a-handle-of-nothing",
            "(call $flush (i32.const 99) (i32.const 3072))",
            Fault("invalid_output", "unknown handle index"),
        ),
        calls(
            "calls-with-a-handle-of-something-else",
            "(call $flush (call $stdin) (i32.const 3072))",
            Fault("invalid_output", ""),
        ),
        importing(
            "makes-a-thousand-resources",
            Parts {
                outside: "(type $thing (resource (rep i32)))",
                lowered: "(core func $new-thing (canon resource.new $thing))",
                host: "(export \"new\" (func $new-thing))",
                imports: "(import \"host\" \"new\" (func $new (param i32) (result i32)))",
                guest: "(func $transform (param i32) (result i32) (local $n i32)
                    (local.set $n (i32.const 1000))
                    (loop $next (drop (call $new (i32.const 7)))
                      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
                    (call $filtered (i32.const 1024) (i32.const 4)))",
            },
            Fault("invalid_output", "handle limit exceeded"),
        ),
    ]
}
