//! Reads JSON and writes it at the same time; objects are put in order as they end.

use super::text::{copied, rewritten};
use super::{EXACT_DIGITS, NotStable, STABLE_DEPTH_MAX};
use crate::json::pointer;

/// What is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// What JavaScript writes.
    Stable,
    /// What was read, without white space.
    Compact,
}

/// The JSON in its form, and in the stable one the place of the first integer that does not survive.
pub(super) fn rewrite(json: &[u8], form: Form) -> Result<(Vec<u8>, Option<String>), NotStable> {
    if let Err(error) = str::from_utf8(json) {
        let at = error.valid_up_to();
        let what = "this is not UTF-8";
        return Err(NotStable { at, what });
    }
    let mut writer = Writer {
        json,
        at: 0,
        form,
        out: Vec::with_capacity(json.len()),
        members: Vec::new(),
        path: Vec::new(),
        unsafe_integer: None,
    };
    writer.value()?;
    match writer.next() {
        None => Ok((writer.out, writer.unsafe_integer)),
        Some(_) => writer.fault("something follows the value"),
    }
}

/// A member of an object that is not at its end yet: where its key and its value lie in what is written.
#[derive(Clone, Copy)]
struct Member {
    start: usize,
    key_end: usize,
    end: usize,
}

/// A step from a value to one in it.
enum Step {
    /// Where the key lies in what is written, quotes and all.
    Key(usize, usize),
    Item(usize),
}

struct Writer<'a> {
    json: &'a [u8],
    at: usize,
    form: Form,
    out: Vec<u8>,
    /// The members of all objects that are not at their end yet, the innermost one's last.
    members: Vec<Member>,
    path: Vec<Step>,
    unsafe_integer: Option<String>,
}

impl Writer<'_> {
    fn fault<T>(&self, what: &'static str) -> Result<T, NotStable> {
        Err(NotStable { at: self.at, what })
    }

    /// The next byte that is not white space.
    fn next(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.json.get(self.at) {
            self.at += 1;
        }
        self.json.get(self.at).copied()
    }

    fn value(&mut self) -> Result<(), NotStable> {
        match self.next() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(_) => self.fault("a value was expected"),
            None => self.fault("the text ends where a value was expected"),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), NotStable> {
        if !self.json[self.at..].starts_with(word) {
            return self.fault("a value was expected");
        }
        self.out.extend_from_slice(word);
        self.at += word.len();
        Ok(())
    }

    fn string(&mut self) -> Result<(), NotStable> {
        let write = match self.form {
            Form::Stable => rewritten,
            Form::Compact => copied,
        };
        self.at = write(self.json, self.at, &mut self.out)?;
        Ok(())
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Result<(), NotStable>) -> Result<(), NotStable> {
        if self.path.len() == STABLE_DEPTH_MAX {
            return self.fault("it nests too deep");
        }
        self.path.push(Step::Item(0));
        inner(self)?;
        self.path.pop();
        Ok(())
    }

    /// Writes a byte that has been read.
    fn copy(&mut self, byte: u8) {
        self.out.push(byte);
        self.at += 1;
    }

    /// Whether another item follows, or the end with this bracket does.
    fn another(&mut self, close: u8) -> Result<bool, NotStable> {
        match self.next() {
            Some(b',') => {
                self.copy(b',');
                Ok(true)
            }
            Some(byte) if byte == close => Ok(false),
            Some(_) => self.fault("a comma or a closing bracket was expected"),
            None => self.fault("the text ends inside an array or object"),
        }
    }

    fn array(&mut self) -> Result<(), NotStable> {
        self.copy(b'[');
        let mut more = self.next() != Some(b']');
        let mut item = 0;
        while more {
            if let Some(step) = self.path.last_mut() {
                *step = Step::Item(item);
            }
            self.value()?;
            item += 1;
            more = self.another(b']')?;
        }
        self.copy(b']');
        Ok(())
    }

    fn object(&mut self) -> Result<(), NotStable> {
        self.copy(b'{');
        let (base, start) = (self.members.len(), self.out.len());
        let mut more = self.next() != Some(b'}');
        while more {
            if self.next() != Some(b'"') {
                return self.fault("a key in quotes was expected");
            }
            let start = self.out.len();
            self.string()?;
            let key_end = self.out.len();
            if self.next() != Some(b':') {
                return self.fault("a colon was expected");
            }
            self.copy(b':');
            if let Some(step) = self.path.last_mut() {
                *step = Step::Key(start, key_end);
            }
            self.value()?;
            let end = self.out.len();
            if self.form == Form::Stable {
                self.members.push(Member { start, key_end, end });
            }
            more = self.another(b'}')?;
        }
        self.arrange(base, start);
        self.copy(b'}');
        Ok(())
    }

    /// Puts the members from `base` on, which were written from `start` on, into JavaScript's order.
    fn arrange(&mut self, base: usize, start: usize) {
        let out = &self.out;
        let members = &self.members[base..];
        let key = |member: &Member| &out[member.start..member.key_end];
        let mut places: Vec<usize> = (0..members.len()).collect();
        // Together with its place, so that of two that are the same the first comes first.
        places.sort_unstable_by_key(|place| (key(&members[*place]), *place));
        let twice = places
            .windows(2)
            .any(|two| key(&members[two[0]]) == key(&members[two[1]]));
        let indexed = members.iter().any(|member| index(key(member)).is_some());
        if twice || indexed {
            // What stands at each place: the value of the last member with this key, at the first one's.
            let mut kept: Vec<(Option<u32>, usize, Member)> = Vec::with_capacity(places.len());
            for same in places.chunk_by(|a, b| key(&members[*a]) == key(&members[*b])) {
                let (first, last) = (same[0], members[same[same.len() - 1]]);
                kept.push((index(key(&last)), first, last));
            }
            kept.sort_unstable_by_key(|(index, place, _)| (index.is_none(), *index, *place));
            let mut ordered = Vec::with_capacity(out.len() - start);
            for (place, (_, _, member)) in kept.iter().enumerate() {
                if place > 0 {
                    ordered.push(b',');
                }
                ordered.extend_from_slice(&out[member.start..member.end]);
            }
            self.out.truncate(start);
            self.out.append(&mut ordered);
        }
        self.members.truncate(base);
    }

    fn number(&mut self) -> Result<(), NotStable> {
        let start = self.at;
        let digits = |writer: &mut Self| {
            let from = writer.at;
            while writer.json.get(writer.at).is_some_and(u8::is_ascii_digit) {
                writer.at += 1;
            }
            writer.at - from
        };
        let took = |writer: &mut Self, bytes: &[u8]| {
            let is = writer
                .json
                .get(writer.at)
                .is_some_and(|byte| bytes.contains(byte));
            writer.at += usize::from(is);
            is
        };
        let negative = took(self, b"-");
        let zero = self.json.get(self.at) == Some(&b'0');
        let whole = digits(self);
        if whole == 0 || zero && whole > 1 {
            self.at = start;
            return self.fault("a number has to begin with a digit, and with no zero before others");
        }
        let mut integer = true;
        if took(self, b".") {
            integer = false;
            if digits(self) == 0 {
                return self.fault("a digit was expected after the point");
            }
        }
        if took(self, b"eE") {
            integer = false;
            took(self, b"+-");
            if digits(self) == 0 {
                return self.fault("a digit was expected in the exponent");
            }
        }
        let text = &self.json[start..self.at];
        if self.form == Form::Compact || integer && whole <= EXACT_DIGITS && !(negative && zero) {
            self.out.extend_from_slice(text);
            return Ok(());
        }
        let text = str::from_utf8(text).unwrap_or_default();
        // The grammar is Rust's too; what is too large for a double is infinite, and JavaScript writes
        // `null`.
        let number: f64 = text.parse().unwrap_or(f64::NAN);
        if number.is_finite() {
            let mut buffer = ryu_js::Buffer::new();
            self.out
                .extend_from_slice(buffer.format_finite(number).as_bytes());
        } else {
            self.out.extend_from_slice(b"null");
        }
        // Without a fraction, Rust writes every digit of a double.
        if integer && self.unsafe_integer.is_none() && !zero && format!("{number:.0}") != text {
            self.unsafe_integer = Some(self.pointer());
        }
        Ok(())
    }

    /// Where we are.
    fn pointer(&self) -> String {
        self.path.iter().fold(String::new(), |base, step| match step {
            Step::Item(place) => format!("{base}/{place}"),
            Step::Key(start, end) => {
                let written = &self.out[*start..*end];
                // A key with a lone surrogate is no Rust string; it is shown as it is written.
                let key = serde_json::from_slice(written)
                    .unwrap_or_else(|_| String::from_utf8_lossy(written).into_owned());
                pointer(&base, &key)
            }
        })
    }
}

/// The number of a key that is an array index (ECMAScript, 6.1.7): canonical, and below 2^32 - 1.
fn index(key: &[u8]) -> Option<u32> {
    let digits = &key[1..key.len() - 1];
    let canonical = digits == b"0" || !digits.starts_with(b"0");
    if !canonical || !(1..=10).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits)
        .ok()?
        .parse()
        .ok()
        .filter(|index| *index != u32::MAX)
}
