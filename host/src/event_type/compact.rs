//! JSON without the white space between its tokens, and otherwise as it was written: `1.0` stays `1.0`,
//! names stay in their order. Catalogues are files for people; what is sent of them is not indented.

/// Takes the white space between tokens away.
pub(super) fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        if in_string {
            out.push(c);
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => in_string = false,
                _ => {}
            }
        } else if !matches!(c, ' ' | '\t' | '\n' | '\r') {
            in_string = c == '"';
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_white_space_between_tokens_goes() {
        let written = "{ \"b\" : 1.0,\n\t\"a\": \"x \\\" y\\\\\", \"a\": [ 1e3 , null ] }\r\n";
        assert_eq!(compact(written), r#"{"b":1.0,"a":"x \" y\\","a":[1e3,null]}"#);
    }
}
