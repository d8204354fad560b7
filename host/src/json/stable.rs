//! JSON written again: as JavaScript would write what it has read, or without its white space.
//!
//! Some receivers check a signature against `JSON.stringify(JSON.parse(body))`. They accept a body if and
//! only if these are its bytes, so [`stable`] makes exactly these: index keys first and in order, of a key
//! that is there twice the last value at the first one's place, numbers as ECMAScript writes them (what
//! no double can hold becomes `null`), and strings with the fewest escapes, lone surrogates among them.
//! [`compact`] takes the white space away and changes nothing else.
//!
//! One pass over the bytes, without a tree: `rewrite` reads and writes, `text` does strings. Text that was
//! in its form already is returned as it is, without a copy. Both check that the text is JSON, and say
//! where it is not. The nesting is bounded, so the recursion is.

mod rewrite;
mod text;

use bytes::Bytes;

use self::rewrite::{Form, rewrite};

/// Deepest nesting: data of [`DEPTH_MAX`](super::DEPTH_MAX) levels in an envelope of as many.
pub const STABLE_DEPTH_MAX: usize = 2 * super::DEPTH_MAX;
/// Integers of fewer digits are exact in a double: 2^53 has sixteen.
const EXACT_DIGITS: usize = 15;

/// Why JSON could not be written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} of the JSON: {what}")]
pub struct NotStable {
    /// The first byte that is wrong, counted from 0.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// The bytes of `JSON.stringify(JSON.parse(json))`.
pub fn stable(json: &Bytes) -> Result<Bytes, NotStable> {
    written(json, Form::Stable)
}

/// The same JSON without white space between its tokens.
pub fn compact(json: &Bytes) -> Result<Bytes, NotStable> {
    written(json, Form::Compact)
}

fn written(json: &Bytes, form: Form) -> Result<Bytes, NotStable> {
    let (bytes, _) = rewrite(json, form)?;
    Ok(if bytes == json[..] {
        json.clone()
    } else {
        bytes.into()
    })
}

/// A JSON Pointer to the first integer that a double does not hold exactly, so that a receiver in
/// JavaScript sees another; none where every integer survives, or where the text is not JSON.
pub fn unsafe_integer(json: &[u8]) -> Option<String> {
    // Almost no payload has such a number, and then this look is all that it costs.
    let long = |run: &[u8]| run.len() > EXACT_DIGITS;
    if !json.split(|byte| !byte.is_ascii_digit()).any(long) {
        return None;
    }
    rewrite(json, Form::Stable)
        .ok()
        .and_then(|(_, unsafe_integer)| unsafe_integer)
}

#[cfg(test)]
mod tests;
