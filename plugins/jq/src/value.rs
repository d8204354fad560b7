//! jaq's values as JSON.
//!
//! They are more than JSON: numbers that are none, bytes, objects whose keys are no strings. What jq
//! does with them is done here (`nan` is `null`, `infinite` the largest number); what it does not
//! know is an error. Numbers that the program left alone are written as they came.

use jaq_json::{Num, Val};

/// As deep as serde_json reads. A guest's stack is small, and jaq nests as deep as its values do.
pub(crate) const DEPTH_MAX: usize = 128;

/// How deep JSON is nested. What it gives for anything else means nothing.
pub(crate) fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            // Brackets in strings are text; an escaped quote does not end one.
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'\\' => drop(bytes.next()),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    deepest
}

/// The text of a string.
pub(crate) fn text(value: &Val) -> Option<&[u8]> {
    match value {
        Val::TStr(text) | Val::BStr(text) => Some(text),
        _ => None,
    }
}

/// Compact JSON.
pub(crate) fn to_json(value: &Val) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    write(value, 0, &mut out)?;
    Ok(out)
}

fn write(value: &Val, depth: usize, out: &mut Vec<u8>) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err(format!("the output is nested deeper than {DEPTH_MAX}"));
    }
    match value {
        Val::Null => out.extend(b"null"),
        Val::Bool(true) => out.extend(b"true"),
        Val::Bool(false) => out.extend(b"false"),
        Val::Num(Num::Float(float)) if float.is_nan() => out.extend(b"null"),
        Val::Num(Num::Float(float)) if float.is_infinite() => {
            let sign = if *float < 0.0 { "-" } else { "" };
            out.extend(format!("{sign}{:e}", f64::MAX).into_bytes());
        }
        Val::Num(number) => out.extend(number.to_string().into_bytes()),
        Val::TStr(text) | Val::BStr(text) => string(text, out)?,
        Val::Arr(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, depth + 1, out)?;
            }
            out.push(b']');
        }
        Val::Obj(members) => {
            out.push(b'{');
            for (index, (key, member)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                let key = text(key).ok_or("an object has a key that is no string")?;
                string(key, out)?;
                out.push(b':');
                write(member, depth + 1, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn string(text: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let text = String::from_utf8_lossy(text);
    hookway_plugin::serde_json::to_writer(out, &text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_ignores_strings() {
        for (json, expected) in [
            ("1", 0),
            ("[[],{\"a\":[1]},[]]", 3),
            (r#"["[[[[", "\"[[", {"]]]\\": 1}]"#, 2),
        ] {
            assert_eq!(depth(json.as_bytes()), expected, "{json}");
        }
    }
}
