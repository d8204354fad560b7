//! Small lists of texts as bytes: headers, extension attributes, log lines.
//!
//! Each text is its length (four bytes, big-endian) and its bytes. An empty list is no value at all
//! (`NULL`), which is what most rows have; nothing here parses or writes JSON.

use crate::store::{Error, Result};

/// Pairs as bytes; nothing where there are none.
pub(super) fn pairs(pairs: &[(String, String)]) -> Option<Vec<u8>> {
    if pairs.is_empty() {
        return None;
    }
    let mut bytes = Vec::with_capacity(length(pairs));
    for (name, value) in pairs {
        put(&mut bytes, name);
        put(&mut bytes, value);
    }
    Some(bytes)
}

/// How many bytes [`pairs`] makes of these.
pub(super) fn length(pairs: &[(String, String)]) -> usize {
    pairs
        .iter()
        .map(|(name, value)| 8 + name.len() + value.len())
        .sum()
}

/// The pairs that these bytes are.
pub(super) fn read_pairs(bytes: Option<&[u8]>) -> Result<Vec<(String, String)>> {
    let mut rest = bytes.unwrap_or_default();
    let mut pairs = Vec::new();
    while !rest.is_empty() {
        let name = take(&mut rest)?;
        pairs.push((name, take(&mut rest)?));
    }
    Ok(pairs)
}

/// Appends a text.
pub(super) fn put(bytes: &mut Vec<u8>, text: &str) {
    // Whatever we store is far below 4 GiB; SQLite itself refuses values above 1 GB.
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// Takes a text from the front.
pub(super) fn take(rest: &mut &[u8]) -> Result<String> {
    let damaged = || Error::Damaged {
        what: "a packed list".to_owned(),
    };
    let (length, after) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| damaged())?;
    let (text, after) = after.split_at_checked(length).ok_or_else(damaged)?;
    *rest = after;
    String::from_utf8(text.to_vec()).map_err(|_| damaged())
}

/// Numbers as bytes, eight each.
pub(super) fn numbers(numbers: impl Iterator<Item = i64>) -> Vec<u8> {
    numbers.flat_map(i64::to_be_bytes).collect()
}

/// The numbers that these bytes are.
pub(super) fn read_numbers(bytes: &[u8]) -> Result<Vec<i64>> {
    let (numbers, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(Error::Damaged {
            what: "a packed list of numbers".to_owned(),
        });
    }
    Ok(numbers.iter().map(|bytes| i64::from_be_bytes(*bytes)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_is_what_is_read(list: Vec<(String, String)>, many: Vec<i64>) {
            let bytes = pairs(&list);
            prop_assert_eq!(bytes.as_ref().map_or(0, Vec::len), length(&list));
            prop_assert_eq!(read_pairs(bytes.as_deref()).unwrap(), list);
            prop_assert_eq!(read_numbers(&numbers(many.iter().copied())).unwrap(), many);
        }

        #[test]
        fn nonsense_does_not_panic(bytes: Vec<u8>) {
            let _ = read_pairs(Some(&bytes));
            let _ = read_numbers(&bytes);
        }
    }
}
