//! What people give to commands: JSON as an argument, `@file` or `-` for standard input.

use std::io::Read;

use serde_json::value::RawValue;

use super::Failure;

/// Largest input. The router's own limits are far below.
const INPUT_BYTES_MAX: u64 = 64 * 1_024 * 1_024;

/// Reads `-` (standard input), `@path`, or takes the text itself.
pub(super) fn argument(text: &str) -> Result<Vec<u8>, Failure> {
    match text.strip_prefix('@') {
        Some(path) => file(path),
        None if text == "-" => file("-"),
        None => Ok(text.as_bytes().to_vec()),
    }
}

/// Reads a file, or standard input for `-`.
pub(super) fn file(path: &str) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::io(format!("cannot read {path}"), error);
    let mut bytes = Vec::new();
    if path == "-" {
        std::io::stdin()
            .lock()
            .take(INPUT_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(INPUT_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
    }
    if bytes.len() as u64 > INPUT_BYTES_MAX {
        return Err(Failure::usage(format!(
            "{path} is larger than {} MiB",
            INPUT_BYTES_MAX >> 20
        )));
    }
    Ok(bytes)
}

/// Holds bytes to be JSON and keeps them as they are.
pub(super) fn json(what: &str, bytes: Vec<u8>) -> Result<Box<RawValue>, Failure> {
    let text = String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{what} is not UTF-8")))?;
    serde_json::from_str(&text).map_err(|error| Failure::usage(format!("{what} is not JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_its_bytes_and_faults_have_a_place() {
        assert_eq!(
            json("--data", b"{\"a\":  1.0}".to_vec()).unwrap().get(),
            "{\"a\":  1.0}"
        );
        let fault = json("--data", b"{\"a\": }".to_vec()).unwrap_err().to_string();
        assert!(
            fault.contains("--data is not JSON") && fault.contains("line 1 column 7"),
            "{fault}"
        );
        assert!(json("x", vec![0xff]).unwrap_err().to_string().contains("UTF-8"));
    }

    #[test]
    fn an_argument_may_name_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"{}").unwrap();
        assert_eq!(argument(&format!("@{}", file.path().display())).unwrap(), b"{}");
        assert_eq!(argument("5").unwrap(), b"5");
        assert!(argument("@/nonexistent").is_err());
    }
}
