//! That `json::stable` writes what JavaScript writes: adversarial documents, through one process of Node.
//!
//! The documents follow from a seed, so that a difference comes again. Node is a stated need of the tests;
//! where it is missing, this fails and says so.

use std::io::Write as _;
use std::process::{Command, Stdio};

use bytes::Bytes;
use data_encoding::BASE64;
use hookway::json;

/// How many documents are compared.
const DOCUMENTS: usize = 20_000;
/// Most differences that are shown.
const SHOWN_MAX: usize = 5;

/// A document a line in base64; out comes what JavaScript makes of it, or `!` where it is no JSON.
const SCRIPT: &str = r"
const lines = require('fs').readFileSync(0, 'latin1').split('\n');
lines.pop();
const out = lines.map((line) => {
  try {
    const text = Buffer.from(line, 'base64').toString('utf8');
    return Buffer.from(JSON.stringify(JSON.parse(text)), 'utf8').toString('base64');
  } catch (error) {
    return '!';
  }
});
process.stdout.write(out.join('\n') + '\n');
";

/// Numbers where writers differ.
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "-0.0",
    "0e0",
    "0E-5",
    "1",
    "-1",
    "1.0",
    "1.50",
    "100e-2",
    "1E+2",
    "1e2",
    "1e21",
    "1e+21",
    "1e20",
    "123456789012345680000",
    "1e-6",
    "1e-7",
    "0.000001",
    "0.0000001",
    "1.5e-7",
    "9007199254740991",
    "9007199254740992",
    "9007199254740993",
    "-9007199254740993",
    "18446744073709551615",
    "12345678901234567890123",
    "5e-324",
    "4.9406564584124654e-324",
    "2.2250738585072014e-308",
    "2.2250738585072011e-308",
    "1.7976931348623157e308",
    "1.7976931348623159e308",
    "1e400",
    "-1e400",
    "1e-400",
    "0.1",
    "0.30000000000000004",
    "0.1000000000000000055511151231257827",
    "1.2345678901234567",
    "4.35",
    "0.000035",
    "123e-20",
    "9.5367431640625e-7",
    "3.0517578125e-5",
    "1e16",
    "1e22",
    "1e23",
    "999999999999999999999",
    "1000000000000000000000",
    "0.5000000000000001",
    "8.41e21",
    "2.0e-3",
];

/// Keys whose order or writing differs.
const KEYS: &[&str] = &[
    "10",
    "2",
    "01",
    "0",
    "00",
    "4294967294",
    "4294967295",
    "4294967296",
    "-1",
    "1.5",
    "1e3",
    "__proto__",
    "constructor",
    "toJSON",
    "length",
    "",
    " ",
    "a",
    "b",
    "\\u0061",
    "\\u0031",
    "\\u0031\\u0030",
    "é",
    "\\u00e9",
    "\\ud800",
    "\\uD800",
    "\\udc00",
    "\\ud83d\\ude00",
    "😀",
    "\\/",
    "/",
    "\\u0000",
    "\\n",
    "99999999999999999999",
    "2147483648",
    "\u{2028}",
    "+1",
    "٣",
];

/// Pieces of strings.
const PIECES: &[&str] = &[
    "a",
    " ",
    "\\/",
    "/",
    "\\u003c",
    "<",
    "\\u001B",
    "\\u001b",
    "\\b",
    "\\f",
    "\\n",
    "\\r",
    "\\t",
    "\\\"",
    "\\\\",
    "\\u0022",
    "\\u005C",
    "\\u0008",
    "\\u000c",
    "\\u000A",
    "\\u0000",
    "\\u007f",
    "\u{7f}",
    "\u{80}",
    "\u{2028}",
    "\\u2029",
    "é",
    "e\u{301}",
    "\\u00E9",
    "😀",
    "\\ud83d\\ude00",
    "\\uD83D\\uDE00",
    "\\ud83d",
    "\\ude00",
    "\\ud83d ",
    "\\uFFFF",
    "\\ufeff",
    "\u{fffd}",
    "日本",
    "\\\\u0041",
    "u0041",
    "{",
    "]",
    "1",
    "\u{10ffff}",
    "\\udbff\\udfff",
];

/// What may stand between tokens.
const SPACES: &[&str] = &["", "", "", "", " ", "\n", "\t", "\r\n", "  "];

/// Deepest nesting of what is made.
const DEPTH_MAX: usize = 6;

/// SplitMix64: the same numbers everywhere and for ever.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn of(&mut self, texts: &[&'static str]) -> &'static str {
        texts[self.below(texts.len())]
    }
}

fn value(dice: &mut Dice, depth: usize, into: &mut String) {
    let kinds = if depth < DEPTH_MAX { 12 } else { 8 };
    into.push_str(dice.of(SPACES));
    match dice.below(kinds) {
        0 => into.push_str(dice.of(&["true", "false", "null"])),
        1..=2 => into.push_str(dice.of(NUMBERS)),
        3..=5 => into.push_str(&number(dice)),
        6..=7 => {
            into.push('"');
            (0..dice.below(6)).for_each(|_| into.push_str(dice.of(PIECES)));
            into.push('"');
        }
        8 => {
            into.push('[');
            for item in 0..dice.below(5) {
                into.push_str(if item == 0 { "" } else { "," });
                value(dice, depth + 1, into);
            }
            into.push_str(dice.of(SPACES));
            into.push(']');
        }
        _ => {
            into.push('{');
            for member in 0..dice.below(9) {
                into.push_str(if member == 0 { "" } else { "," });
                into.push_str(dice.of(SPACES));
                let key = match dice.below(5) {
                    0 => dice.below(1_000).to_string(),
                    1 => format!("{}{}", dice.of(PIECES), dice.of(PIECES)),
                    _ => dice.of(KEYS).to_owned(),
                };
                into.extend(["\"", &key, "\"", dice.of(SPACES), ":"]);
                value(dice, depth + 1, into);
            }
            into.push_str(dice.of(SPACES));
            into.push('}');
        }
    }
    into.push_str(dice.of(SPACES));
}

fn number(dice: &mut Dice) -> String {
    match dice.below(6) {
        // Any double at all, with as many digits as it needs or with all of seventeen.
        0..=1 => {
            let double = f64::from_bits(dice.next());
            match double.is_finite() {
                true if dice.below(2) == 0 => format!("{double:e}"),
                true => format!("{double:.16e}"),
                false => "0.5".to_owned(),
            }
        }
        // Around the places where the form changes.
        2 => format!(
            "{}e{}",
            dice.below(100_000),
            i64::try_from(dice.below(60)).unwrap() - 30
        ),
        3 => format!("{}.{:05}", dice.below(1_000_000), dice.below(100_000)),
        // Around 2^53 and the powers of two beyond.
        4 => {
            let power = 1_i128 << (50 + dice.below(30));
            (power + i128::try_from(dice.below(9)).unwrap() - 4).to_string()
        }
        _ => format!("-{}{}E+{}", dice.below(9) + 1, dice.next(), dice.below(20)),
    }
}

/// A document; some are broken at one place, so that what is no JSON is none for both.
fn document(dice: &mut Dice) -> Vec<u8> {
    let mut text = String::new();
    value(dice, 0, &mut text);
    if dice.below(10) == 0 && text.is_ascii() && !text.is_empty() {
        let at = dice.below(text.len());
        text.replace_range(
            at..=at,
            dice.of(&["", "\"", "0", ",", "\\", "}", "\n", "-", "u", "\u{a0}"]),
        );
    }
    text.into_bytes()
}

fn asked(documents: &[Vec<u8>]) -> Vec<Option<Vec<u8>>> {
    let mut node = Command::new("node")
        .args(["-e", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("this test needs Node 20 as `node` on the PATH; it cannot be run: {error}")
        });
    let mut stdin = node.stdin.take().unwrap();
    let lines: String = documents
        .iter()
        .map(|document| BASE64.encode(document) + "\n")
        .collect();
    // Node reads everything before it writes anything.
    stdin.write_all(lines.as_bytes()).unwrap();
    drop(stdin);
    let out = node.wait_with_output().unwrap();
    assert!(out.status.success(), "node ended with {}", out.status);
    let text = String::from_utf8(out.stdout).unwrap();
    let decoded = |line: &str| (line != "!").then(|| BASE64.decode(line.as_bytes()).unwrap());
    text.lines().map(decoded).collect()
}

/// WF-10, IB-11.
#[test]
fn node_writes_the_same() {
    let mut dice = Dice(20_260_519);
    let documents: Vec<Vec<u8>> = (0..DOCUMENTS).map(|_| document(&mut dice)).collect();
    let answers = asked(&documents);
    assert_eq!(answers.len(), DOCUMENTS);
    let mut differences = Vec::new();
    let (mut refused, mut changed) = (0, 0);
    for (document, answer) in documents.iter().zip(&answers) {
        let ours = json::stable(&Bytes::copy_from_slice(document)).ok();
        refused += usize::from(answer.is_none());
        changed += usize::from(answer.as_ref().is_some_and(|answer| answer != document));
        if ours.as_deref() != answer.as_deref() {
            let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            differences.push((
                text(Some(document)),
                text(ours.as_deref()),
                text(answer.as_deref()),
            ));
        }
    }
    let shown = &differences[..differences.len().min(SHOWN_MAX)];
    assert!(
        differences.is_empty(),
        "{} differences: {shown:#?}",
        differences.len()
    );
    // The documents are as awkward as they are meant to be.
    assert!(changed > DOCUMENTS / 3, "{changed} were written otherwise");
    assert!(
        (DOCUMENTS / 100..DOCUMENTS / 5).contains(&refused),
        "{refused} were no JSON"
    );
}
