//! XML (1.0, fifth edition), read far enough to know that nothing behind us gets into trouble with it.
//!
//! Whoever receives the event may parse it with whatever is at hand, and many parsers still expand
//! entities, fetch what a DTD names, or recurse. So a DTD is refused whole, entities are the five that
//! XML itself has, nesting and attributes are bounded, and the encoding must be one in which ASCII is
//! ASCII: in others a DTD could hide from this check. Nothing is ever expanded or fetched here.

use quick_xml::events::attributes::AttrError;
use quick_xml::events::{BytesDecl, BytesStart, Event};
use quick_xml::reader::Reader;

/// Deepest nesting of elements, as for JSON.
const DEPTH_MAX: usize = crate::json::DEPTH_MAX;
/// Most attributes of one element. Looking for doubles takes the square of their number.
const ATTRIBUTES_MAX: usize = 64;
/// Longest name of an element or attribute, in bytes.
const NAME_BYTES_MAX: usize = 1_024;

/// What is wrong with a body that says it is XML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::source) enum XmlFault {
    #[error("it has a document type declaration (DTD); these are not taken, whatever they declare")]
    DocumentType,
    #[error(
        "`&{0};` is no entity that XML itself has; only &amp; &lt; &gt; &apos; &quot; and numbers are taken"
    )]
    Entity(String),
    #[error("its encoding is not taken; send UTF-8 (or ISO-8859-x or windows-125x, declared)")]
    Encoding,
    #[error("it nests deeper than {DEPTH_MAX} levels")]
    TooDeep,
    #[error("an element has more than {ATTRIBUTES_MAX} attributes")]
    TooManyAttributes,
    #[error("{what} at byte {at}")]
    Malformed { what: String, at: u64 },
}

/// Checks that a body is XML as described above. `charset` is the parameter of its media type.
pub(in crate::source) fn check(charset: Option<&str>, body: &[u8]) -> Result<(), XmlFault> {
    // A zero byte is in no XML and in every ASCII text that UTF-16 or UTF-32 carries.
    if body.starts_with(&[0xfe, 0xff]) || body.starts_with(&[0xff, 0xfe]) || body.contains(&0) {
        return Err(XmlFault::Encoding);
    }
    if charset.is_some_and(|name| !is_ascii_compatible(name.as_bytes())) {
        return Err(XmlFault::Encoding);
    }
    let (body, marked) = match body.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => (rest, true),
        None => (body, false),
    };
    let mut reader = Reader::from_reader(body);
    reader.config_mut().enable_all_checks(true);
    let mut check = Check {
        depth: 0,
        roots: 0,
        declared: None,
    };
    loop {
        let at = reader.buffer_position();
        let event = reader.read_event().map_err(|error| XmlFault::Malformed {
            what: error.to_string(),
            at: reader.error_position(),
        })?;
        if matches!(event, Event::Eof) {
            break;
        }
        check.event(&event, at)?;
    }
    if check.roots != 1 || check.depth != 0 {
        return Err(malformed(
            "it must have one element that holds all others",
            body.len() as u64,
        ));
    }
    // A byte order mark outranks the media type, which outranks the declaration (RFC 7303 section 3).
    let named = charset.map(str::as_bytes).or(check.declared.as_deref());
    let is_utf8 = marked || named.is_none_or(|name| name.eq_ignore_ascii_case(b"utf-8"));
    if is_utf8 && str::from_utf8(body).is_err() {
        return Err(XmlFault::Encoding);
    }
    Ok(())
}

/// Encodings in which every byte below 128 is that ASCII character, always.
fn is_ascii_compatible(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(&name[..], b"utf-8" | b"utf8" | b"us-ascii" | b"ascii" | b"latin1")
        || numbered(&name, b"iso-8859-")
        || numbered(&name, b"windows-125")
}

fn numbered(name: &[u8], prefix: &[u8]) -> bool {
    name.strip_prefix(prefix)
        .is_some_and(|rest| (1..=2).contains(&rest.len()) && rest.iter().all(u8::is_ascii_digit))
}

struct Check {
    depth: usize,
    roots: usize,
    declared: Option<Vec<u8>>,
}

impl Check {
    fn event(&mut self, event: &Event<'_>, at: u64) -> Result<(), XmlFault> {
        match event {
            Event::Start(start) => {
                self.open(start, at)?;
                self.depth += 1;
                if self.depth > DEPTH_MAX {
                    return Err(XmlFault::TooDeep);
                }
            }
            Event::Empty(start) => self.open(start, at)?,
            Event::End(_) => self.depth = self.depth.saturating_sub(1),
            Event::Text(text) => {
                check_characters(text, at)?;
                if self.depth == 0 && !text.iter().all(u8::is_ascii_whitespace) {
                    return Err(malformed("text outside the element that holds all others", at));
                }
                if text.windows(3).any(|three| three == b"]]>") {
                    return Err(malformed("`]]>` in text", at));
                }
            }
            Event::CData(text) => {
                check_characters(text, at)?;
                if self.depth == 0 {
                    return Err(malformed("CDATA outside the element that holds all others", at));
                }
            }
            Event::GeneralRef(name) => {
                check_entity(name)?;
                if self.depth == 0 {
                    return Err(malformed(
                        "a reference outside the element that holds all others",
                        at,
                    ));
                }
            }
            Event::Comment(text) => check_characters(text, at)?,
            Event::PI(instruction) => {
                check_characters(instruction, at)?;
                check_name(instruction.target(), at)?;
                if instruction.target().eq_ignore_ascii_case(b"xml") {
                    return Err(malformed("`<?xml` that is not at the very beginning", at));
                }
            }
            Event::Decl(declaration) => self.declaration(declaration, at)?,
            Event::DocType(_) => return Err(XmlFault::DocumentType),
            Event::Eof => {}
        }
        Ok(())
    }

    fn open(&mut self, start: &BytesStart<'_>, at: u64) -> Result<(), XmlFault> {
        if self.depth == 0 {
            self.roots += 1;
        }
        check_characters(start, at)?;
        check_name(start.name().as_ref(), at)?;
        for (place, attribute) in start.attributes().enumerate() {
            let attribute = attribute.map_err(|error: AttrError| malformed(&error.to_string(), at))?;
            if place >= ATTRIBUTES_MAX {
                return Err(XmlFault::TooManyAttributes);
            }
            check_name(attribute.key.as_ref(), at)?;
            check_value(&attribute.value, at)?;
        }
        Ok(())
    }

    fn declaration(&mut self, declaration: &BytesDecl<'_>, at: u64) -> Result<(), XmlFault> {
        if at != 0 {
            return Err(malformed("`<?xml` that is not at the very beginning", at));
        }
        check_characters(declaration, at)?;
        let version = declaration
            .version()
            .map_err(|error| malformed(&error.to_string(), at))?;
        if version.as_ref() != b"1.0" {
            return Err(malformed("a version of XML that is not 1.0", at));
        }
        if let Some(encoding) = declaration.encoding() {
            let encoding = encoding.map_err(|error| malformed(&error.to_string(), at))?;
            if !is_ascii_compatible(&encoding) {
                return Err(XmlFault::Encoding);
            }
            self.declared = Some(encoding.into_owned());
        }
        Ok(())
    }
}

fn malformed(what: &str, at: u64) -> XmlFault {
    XmlFault::Malformed {
        what: what.chars().take(200).collect(),
        at,
    }
}

/// No control characters but tab and line ends.
fn check_characters(text: &[u8], at: u64) -> Result<(), XmlFault> {
    if text
        .iter()
        .any(|b| *b < b' ' && !matches!(b, b'\t' | b'\n' | b'\r'))
    {
        return Err(malformed("a control character", at));
    }
    Ok(())
}

/// A name: letters, digits, `_`, `-`, `.`, `:` and whatever is not ASCII, beginning with a letter.
fn check_name(name: &[u8], at: u64) -> Result<(), XmlFault> {
    let first = |b: u8| b.is_ascii_alphabetic() || matches!(b, b'_' | b':') || b >= 0x80;
    let rest = |b: u8| first(b) || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    let good = name.len() <= NAME_BYTES_MAX
        && name.first().copied().is_some_and(first)
        && name.iter().copied().all(rest);
    if good {
        Ok(())
    } else {
        Err(malformed("a name that is none", at))
    }
}

/// The value of an attribute: no `<`, and only references that are taken.
fn check_value(value: &[u8], at: u64) -> Result<(), XmlFault> {
    if value.contains(&b'<') {
        return Err(malformed("`<` in the value of an attribute", at));
    }
    let mut rest = value;
    while let Some(start) = rest.iter().position(|b| *b == b'&') {
        rest = &rest[start + 1..];
        let end = rest.iter().position(|b| *b == b';');
        let end = end.ok_or_else(|| malformed("`&` without `;`", at))?;
        check_entity(&rest[..end])?;
        rest = &rest[end + 1..];
    }
    Ok(())
}

fn check_entity(name: &[u8]) -> Result<(), XmlFault> {
    let refused = || {
        let shown = String::from_utf8_lossy(name).chars().take(40).collect();
        Err(XmlFault::Entity(shown))
    };
    let Some(number) = name.strip_prefix(b"#") else {
        let known = matches!(name, b"amp" | b"lt" | b"gt" | b"apos" | b"quot");
        return if known { Ok(()) } else { refused() };
    };
    let (digits, radix) = match number.strip_prefix(b"x") {
        Some(hex) => (hex, 16),
        None => (number, 10),
    };
    let character = str::from_utf8(digits)
        .ok()
        .filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))
        .and_then(|text| u32::from_str_radix(text, radix).ok())
        .and_then(char::from_u32);
    // Section 2.2: tab, line ends and everything from the space on but surrogates and the last two.
    match character {
        Some('\t' | '\n' | '\r') => Ok(()),
        Some(c) if c >= ' ' && c != '\u{fffe}' && c != '\u{ffff}' => Ok(()),
        _ => refused(),
    }
}
