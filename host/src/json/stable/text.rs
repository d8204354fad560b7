//! Strings of JSON as JavaScript writes them: no escape that need not be.
//!
//! The written form of a string is the only one it has, so two strings are the same if and only if they
//! are written the same; keys are compared like this, lone surrogates and all.

use super::NotStable;

/// Code units from here on are the first half of a pair, those from [`LOW`] the second.
const HIGH: u16 = 0xD800;
/// See [`HIGH`].
const LOW: u16 = 0xDC00;
/// The first code unit behind the surrogates.
const AFTER: u16 = 0xE000;

/// Copies the string whose first quote is at `at`, written anew, and says where it ends.
pub(super) fn rewritten(json: &[u8], at: usize, into: &mut Vec<u8>) -> Result<usize, NotStable> {
    scan(json, at, into, |json, at, into| {
        let escaped = json.get(at + 1).copied();
        match escaped {
            Some(b'u') => {
                let (unit, mut end) = unit(json, at)?;
                if (HIGH..LOW).contains(&unit)
                    && json[end..].starts_with(b"\\u")
                    && let (low @ LOW..AFTER, after) = self::unit(json, end)?
                {
                    let pair = char::decode_utf16([unit, low]).flatten();
                    push(pair.collect::<String>().as_bytes(), into);
                    end = after;
                } else {
                    push_unit(unit, into);
                }
                Ok(end)
            }
            Some(b'/') => {
                into.push(b'/');
                Ok(at + 2)
            }
            Some(same) => {
                push(&[b'\\', same], into);
                Ok(at + 2)
            }
            None => Ok(at + 1),
        }
    })
}

/// Copies the string whose first quote is at `at` as it is, and says where it ends.
pub(super) fn copied(json: &[u8], at: usize, into: &mut Vec<u8>) -> Result<usize, NotStable> {
    scan(json, at, into, |json, at, into| {
        let end = match json.get(at + 1) {
            Some(b'u') => unit(json, at)?.1,
            _ => at + 2,
        };
        push(json.get(at..end).unwrap_or_default(), into);
        Ok(end)
    })
}

/// Copies a string; `escape` copies the escape that begins at a place and says where it ends.
fn scan(
    json: &[u8],
    at: usize,
    into: &mut Vec<u8>,
    escape: impl Fn(&[u8], usize, &mut Vec<u8>) -> Result<usize, NotStable>,
) -> Result<usize, NotStable> {
    let fault = |at, what| Err(NotStable { at, what });
    into.push(b'"');
    let mut at = at + 1;
    loop {
        let rest = json.get(at..).unwrap_or_default();
        let plain = rest
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\' | ..=0x1F));
        let Some(plain) = plain else {
            return fault(json.len(), "a string has no end");
        };
        push(&rest[..plain], into);
        at += plain;
        match rest[plain] {
            b'"' => {
                into.push(b'"');
                return Ok(at + 1);
            }
            b'\\' => match json.get(at + 1) {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' | b'u') => {
                    at = escape(json, at, into)?;
                }
                _ => return fault(at, "there is no such escape"),
            },
            _ => return fault(at, "a control character has to be escaped in a string"),
        }
    }
}

/// The code unit of the escape `\uHHHH` at a place, and where it ends.
fn unit(json: &[u8], at: usize) -> Result<(u16, usize), NotStable> {
    let digits = json.get(at + 2..at + 6).unwrap_or_default();
    let value =
        |unit: u16, digit: &u8| Some(unit << 4 | u16::try_from(char::from(*digit).to_digit(16)?).ok()?);
    let unit = digits.iter().try_fold(0, value).filter(|_| digits.len() == 4);
    let fault = NotStable {
        at,
        what: "`\\u` needs four hexadecimal digits",
    };
    unit.map(|unit| (unit, at + 6)).ok_or(fault)
}

/// Writes a code unit that is no half of a pair.
fn push_unit(unit: u16, into: &mut Vec<u8>) {
    match (unit, char::from_u32(u32::from(unit))) {
        (0x08, _) => push(b"\\b", into),
        (0x09, _) => push(b"\\t", into),
        (0x0A, _) => push(b"\\n", into),
        (0x0C, _) => push(b"\\f", into),
        (0x0D, _) => push(b"\\r", into),
        (0x22, _) => push(b"\\\"", into),
        (0x5C, _) => push(b"\\\\", into),
        (0x20.., Some(char)) => push(char.encode_utf8(&mut [0; 4]).as_bytes(), into),
        // Other controls, and surrogates that stand alone.
        _ => push(format!("\\u{unit:04x}").as_bytes(), into),
    }
}

fn push(bytes: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(bytes);
}
