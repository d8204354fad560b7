//! Secrets that are unlike anything else, and the search for them in every spelling in which a secret gets
//! about: as it is, base64, hexadecimal, percent-encoded, and decoded where it was base64 itself.

use std::collections::{BTreeMap, HashMap};

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};

/// Shortest part of a secret that counts when it was base64 and is searched for as bytes.
const DECODED_BYTES_MIN: usize = 12;
/// Bytes by which spellings are told from everything else before they are compared.
const BEGIN_BYTES: usize = 6;

/// A field, how its secret is spelled, and that.
type Spelling<'a> = (&'a str, &'a str, Vec<u8>);

/// The secrets, by the field that each is in.
#[derive(Default)]
pub struct Canaries(pub BTreeMap<String, String>);

impl Canaries {
    /// A new one, to be put into this field.
    pub fn text(&mut self, field: &str) -> String {
        let text = format!(
            "canary-{}-{}",
            field.replace([' ', '_'], "-"),
            7_919 * (self.0.len() + 31)
        );
        self.know(field, &text)
    }

    /// One in the form of a signing secret.
    pub fn signing(&mut self, field: &str) -> String {
        let bytes = format!("canary signing secret {field:>16}");
        let text = format!("whsec_{}", BASE64.encode(bytes.as_bytes()));
        self.know(field, &text)
    }

    /// One that the router made.
    pub fn know(&mut self, field: &str, text: &str) -> String {
        let before = self.0.insert(field.to_owned(), text.to_owned());
        assert!(before.is_none(), "{field} is there twice");
        text.to_owned()
    }

    /// Which of them can be read in these bytes, and in what spelling.
    pub fn found(&self, place: &str, bytes: &[u8]) -> Vec<String> {
        // One pass over the bytes, however many secrets there are: by how a spelling begins.
        let mut begins: HashMap<[u8; BEGIN_BYTES], Vec<Spelling<'_>>> = HashMap::new();
        let mut may_begin = vec![false; 1 << 16];
        for (field, text) in &self.0 {
            for (how, spelling) in spellings(text) {
                let begin = *spelling.first_chunk().expect("a canary is longer");
                may_begin[usize::from(u16::from_be_bytes([begin[0], begin[1]]))] = true;
                begins.entry(begin).or_default().push((field, how, spelling));
            }
        }
        let mut found = Vec::new();
        for at in 0..bytes.len().saturating_sub(BEGIN_BYTES - 1) {
            if !may_begin[usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]))] {
                continue;
            }
            let begin = bytes[at..].first_chunk().expect("within");
            for (field, how, spelling) in begins.get(begin).into_iter().flatten() {
                if bytes[at..].starts_with(spelling) {
                    found.push(format!("{field} in {place} ({how})"));
                }
            }
        }
        found
    }
}

fn spellings(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = text.as_bytes();
    let encoded: String = url::form_urlencoded::byte_serialize(bytes).collect();
    let bare = text.strip_prefix("whsec_").unwrap_or(text);
    let mut all = vec![
        ("as it is", bytes.to_vec()),
        ("without prefix", bare.as_bytes().to_vec()),
        ("in hexadecimal", HEXLOWER.encode(bytes).into_bytes()),
        ("percent-encoded", encoded.into_bytes()),
    ];
    // The last characters depend on what stands behind.
    for encoding in [&BASE64, &BASE64URL_NOPAD] {
        let mut coded = encoding.encode(bytes).into_bytes();
        coded.truncate(bytes.len() / 3 * 4);
        all.push(("in base64", coded));
    }
    if let Ok(decoded) = BASE64.decode(bare.as_bytes())
        && decoded.len() >= DECODED_BYTES_MIN
    {
        all.push(("decoded", decoded));
    }
    all
}
