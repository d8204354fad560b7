//! JSON as it comes from outside: bounded before it is read, and read one level at a time, so that
//! every fault can be named by its JSON Pointer (RFC 6901) and values can stay the bytes they were.
//!
//! Nothing here builds a tree. [`check_depth`] looks at the raw bytes; [`Fields`] splits an object
//! into names and raw values that borrow from the text; a value is only parsed by whoever knows its
//! type. Names that nobody asked for are faults, with the nearest known name as a hint.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_path_to_error::Segment;

mod split;
mod stable;
mod steps;

pub use split::{MEMBERS_MAX, Name};
pub use stable::{NotStable, STABLE_DEPTH_MAX, compact, stable, unsafe_integer};
pub use steps::{STEPS_MAX, index, steps};

use split::Split;

/// Deepest nesting of arrays and objects. Real payloads stay below 20; every consumer behind us
/// (plugins, filters, endpoints) may parse recursively, and this keeps their stacks safe.
pub const DEPTH_MAX: usize = 64;
/// Most faults told at once: a body full of nonsense must not give an answer larger than itself.
pub const FAULTS_MAX: usize = 50;
/// A known name at this many edits or fewer is offered for an unknown one.
const HINT_EDITS_MAX: usize = 2;
/// Longer unknown names get no hint and are cut where they are shown.
const NAME_BYTES_MAX: usize = 64;

/// JSON that nests deeper than [`DEPTH_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the JSON nests deeper than {DEPTH_MAX} levels")]
pub struct TooDeep;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Fault {
    /// JSON Pointer (RFC 6901) into the body; empty for the whole.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

/// Everything that is wrong, as far as it is told: [`FAULTS_MAX`] at the most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Adds a fault while there is room.
    pub fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(Fault {
                pointer: pointer.into(),
                detail: detail.into(),
            });
        }
    }

    /// Adds another's faults while there is room.
    pub fn append(&mut self, other: Self) {
        let room = FAULTS_MAX.saturating_sub(self.0.len());
        self.0.extend(other.0.into_iter().take(room));
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The faults, in the order found.
    pub fn into_vec(self) -> Vec<Fault> {
        self.0
    }

    /// The value if nothing is wrong, else what is.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }

    /// One fault alone.
    pub fn one(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let mut faults = Self::default();
        faults.add(pointer, detail);
        faults
    }
}

/// Why a body could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is not JSON; where and why.
    Syntax(String),
    /// It is JSON, but not what was expected.
    Faults(Faults),
}

impl Unreadable {
    /// The faults; of what is inside a body that was read before, syntax is one of them.
    pub fn into_faults(self) -> Faults {
        match self {
            Self::Syntax(detail) => Faults::one("", detail),
            Self::Faults(faults) => faults,
        }
    }
}

impl From<Faults> for Unreadable {
    fn from(faults: Faults) -> Self {
        Self::Faults(faults)
    }
}

/// Refuses what is not of this kind, or not JSON at all.
fn check_kind(text: &str, base: &str, kind: &str) -> Result<(), Unreadable> {
    let given = kind_of(text);
    if given == kind {
        return Ok(());
    }
    serde_json::from_str::<&RawValue>(text).map_err(|error| Unreadable::Syntax(error.to_string()))?;
    Err(Faults::one(base, format!("must be {kind}, not {given}")).into())
}

/// Checks the nesting of JSON text without parsing it. Text that is not JSON passes or not by its
/// brackets alone; the parser behind it says the rest.
pub fn check_depth(text: &[u8]) -> Result<(), TooDeep> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(TooDeep);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// The pointer to a member of what `base` points to.
pub fn pointer(base: &str, name: &str) -> String {
    let name: Cow<'_, str> = if name.len() > NAME_BYTES_MAX {
        let end = (0..=NAME_BYTES_MAX)
            .rev()
            .find(|end| name.is_char_boundary(*end))
            .unwrap_or(0);
        format!("{}…", &name[..end]).into()
    } else {
        name.into()
    };
    if name.contains(['~', '/']) {
        format!("{base}/{}", name.replace('~', "~0").replace('/', "~1"))
    } else {
        format!("{base}/{name}")
    }
}

/// What a raw value is, for people: `a string`, `an object`.
pub fn kind_of(raw: &str) -> &'static str {
    match raw.trim_start().as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// What an object says about one name.
#[derive(Clone, Copy, Debug)]
pub enum Given<'a> {
    /// Nothing.
    Absent,
    /// `null`: in a patch, "take it away" (RFC 7396).
    Null,
    /// This value.
    Value(&'a RawValue),
}

/// An object, split into names and raw values. Names are taken out one by one; what is left in the
/// end is unknown.
pub struct Fields<'a> {
    base: String,
    fields: Vec<(Cow<'a, str>, &'a RawValue)>,
    asked: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// Splits the object that `text` is. `base` is the pointer to it.
    pub fn of(text: &'a str, base: &str) -> Result<Self, Unreadable> {
        check_kind(text, base, "an object")?;
        let Split(fields) =
            serde_json::from_str(text).map_err(|error| Unreadable::Syntax(error.to_string()))?;
        let mut faults = Faults::default();
        let mut names: Vec<&str> = fields.iter().map(|(name, _)| name.as_ref()).collect();
        names.sort_unstable();
        for pair in names.windows(2).filter(|pair| pair[0] == pair[1]) {
            faults.add(pointer(base, pair[0]), "is given twice");
        }
        Ok(faults.or(Self {
            base: base.to_owned(),
            fields,
            asked: Vec::new(),
        })?)
    }

    /// The pointer to a member.
    pub fn pointer(&self, name: &str) -> String {
        pointer(&self.base, name)
    }

    /// Takes what is said about a name.
    pub fn given(&mut self, name: &'static str) -> Given<'a> {
        self.asked.push(name);
        match self.fields.iter().position(|(known, _)| known == name) {
            None => Given::Absent,
            Some(place) => match self.fields.swap_remove(place).1 {
                raw if raw.get() == "null" => Given::Null,
                raw => Given::Value(raw),
            },
        }
    }

    /// Takes a value of a type; `null` counts as absent. `expected` names the type for people.
    pub fn read<T: DeserializeOwned>(
        &mut self,
        name: &'static str,
        expected: &str,
        faults: &mut Faults,
    ) -> Option<T> {
        match self.given(name) {
            Given::Absent | Given::Null => None,
            Given::Value(raw) => read(raw, &self.pointer(name), expected, faults),
        }
    }

    /// Takes a text; `null` counts as absent.
    pub fn text(&mut self, name: &'static str, faults: &mut Faults) -> Option<String> {
        self.read(name, "a string", faults)
    }

    /// Whatever nobody asked for is unknown.
    pub fn finish(self, faults: &mut Faults) {
        for (name, _) in &self.fields {
            let hint = match nearest(name, &self.asked) {
                Some(near) => format!("; did you mean `{near}`?"),
                None => format!("; known are {}", self.asked.join(", ")),
            };
            faults.add(self.pointer(name), format!("is not a known field{hint}"));
        }
    }

    /// All members, for objects whose names are free (headers, extension attributes).
    pub fn into_members(self) -> Vec<(Cow<'a, str>, &'a RawValue)> {
        self.fields
    }
}

/// Reads a raw value as a type, or says at `pointer` what was expected.
pub fn read<T: DeserializeOwned>(
    raw: &RawValue,
    pointer: &str,
    expected: &str,
    faults: &mut Faults,
) -> Option<T> {
    match serde_json::from_str(raw.get()) {
        Ok(value) => Some(value),
        Err(_) => {
            // The place inside is looked for where there is a fault only: it costs.
            let mut again = serde_json::Deserializer::from_str(raw.get());
            let found = serde_path_to_error::deserialize::<_, T>(&mut again).err();
            let inner = found.map_or_else(|| pointer.to_owned(), |error| place(pointer, error.path()));
            if inner == pointer {
                faults.add(
                    pointer,
                    format!("must be {expected}{}", but_is(raw.get(), expected)),
                );
            } else {
                faults.add(inner, format!("cannot be in {expected}"));
            }
            None
        }
    }
}

/// What stands there, where its kind is what is wrong: "must be a number from 1 to 5, not a number" would
/// help nobody, and neither would "must be off or refuse, not a string".
fn but_is(raw: &str, expected: &str) -> String {
    let kind = kind_of(raw);
    let list = kind == "an array" && expected.starts_with("a list");
    let word = kind == "a string"
        && !["a number", "a list", "an object"]
            .iter()
            .any(|other| expected.starts_with(other));
    match expected.starts_with(kind) || list || word {
        true => String::new(),
        false => format!(", not {kind}"),
    }
}

/// A path behind a pointer, as a pointer (RFC 6901).
pub fn place(base: &str, path: &serde_path_to_error::Path) -> String {
    let mut pointer = base.to_owned();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } | Segment::Enum { variant: key } => pointer = self::pointer(&pointer, key),
            Segment::Unknown => {}
        }
    }
    pointer
}

/// Splits an array into its raw items, `max` at the most.
pub fn items<'a>(text: &'a str, base: &str, max: usize) -> Result<Vec<&'a RawValue>, Unreadable> {
    check_kind(text, base, "an array")?;
    let (items, count) = split::items(text, max).map_err(|error| Unreadable::Syntax(error.to_string()))?;
    if count > max {
        return Err(Faults::one(base, format!("has {count} items; {max} are allowed")).into());
    }
    Ok(items)
}

/// The known name that a mistyped one probably meant.
pub fn nearest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let near = known.iter().map(|known| (edits(name, known), *known)).min()?;
    (near.0 <= HINT_EDITS_MAX && near.0 < near.1.len()).then_some(near.1)
}

/// Levenshtein's distance, over bytes and whatever their case; both names are short, for the work grows with
/// their product.
pub fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let swap = diagonal + usize::from(!x.eq_ignore_ascii_case(&y));
            diagonal = row[j + 1];
            row[j + 1] = swap.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn depth_counts_brackets_outside_strings() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(check_depth(nested(DEPTH_MAX).as_bytes()), Ok(()));
        assert_eq!(check_depth(nested(DEPTH_MAX + 1).as_bytes()), Err(TooDeep));
        let objects = format!("{}1{}", r#"{"a":"#.repeat(65), "}".repeat(65));
        assert_eq!(check_depth(objects.as_bytes()), Err(TooDeep));
        let text = format!(r#"{{"a":"{}\"{}"}}"#, "[".repeat(100), "{".repeat(100));
        assert_eq!(check_depth(text.as_bytes()), Ok(()));
        // Many siblings are not deep.
        assert_eq!(check_depth("[]".repeat(1_000).as_bytes()), Ok(()));
    }

    #[test]
    fn faults_have_pointers_and_hints() {
        let mut faults = Faults::default();
        let mut fields = Fields::of(r#"{"nmae":"x","url":7,"a/b~c":1}"#, "/plugins/0").unwrap();
        assert_eq!(fields.text("name", &mut faults), None);
        assert_eq!(fields.text("url", &mut faults), None);
        fields.finish(&mut faults);
        let mut fields = Fields::of(r#"{"codes":[404,"5xx"],"mode":"maybe","waits":7}"#, "").unwrap();
        assert_eq!(
            fields.read::<Vec<u16>>("codes", "a list of codes", &mut faults),
            None
        );
        assert_eq!(fields.read::<bool>("mode", "off or on", &mut faults), None);
        assert_eq!(
            fields.read::<Vec<u16>>("waits", "a list of numbers", &mut faults),
            None
        );
        let told: Vec<(String, String)> = faults
            .into_vec()
            .into_iter()
            .map(|fault| (fault.pointer, fault.detail))
            .collect();
        assert!(told.contains(&("/plugins/0/url".into(), "must be a string, not a number".into())));
        assert!(told.contains(&("/codes/1".into(), "cannot be in a list of codes".into())));
        assert!(told.contains(&("/mode".into(), "must be off or on".into())));
        assert!(told.contains(&("/waits".into(), "must be a list of numbers, not a number".into())));
        assert!(told.contains(&(
            "/plugins/0/nmae".into(),
            "is not a known field; did you mean `name`?".into()
        )));
        assert!(told.contains(&(
            "/plugins/0/a~1b~0c".into(),
            "is not a known field; known are name, url".into()
        )));
    }

    #[test]
    fn a_name_may_be_given_once() {
        let faults = Fields::of(r#"{"a":1,"a":2}"#, "")
            .err()
            .unwrap()
            .into_faults()
            .into_vec();
        assert_eq!(faults[0].pointer, "/a");
    }

    #[test]
    fn what_is_not_json_is_told_apart_from_what_is_not_wanted() {
        for text in ["hello", "{", r#"{"a":}"#, "", "[1", "{} x"] {
            let error = Fields::of(text, "").err().unwrap();
            assert!(matches!(error, Unreadable::Syntax(_)), "{text}: {error:?}");
        }
        assert!(matches!(
            Fields::of("[1]", "").err().unwrap(),
            Unreadable::Faults(_)
        ));
        assert!(items("[1,2,3]", "", 3).is_ok());
        assert!(matches!(
            items("[1,2,3]", "", 2).err().unwrap(),
            Unreadable::Faults(_)
        ));
    }

    #[test]
    fn null_is_not_absent() {
        let mut fields = Fields::of(r#"{"filter":null}"#, "").unwrap();
        assert!(matches!(fields.given("filter"), Given::Null));
        assert!(matches!(fields.given("name"), Given::Absent));
    }

    #[test]
    fn values_stay_the_bytes_they_were() {
        let text = r#"{ "data" :  {"b": 1.0, "a": 10000000000000000000001} }"#;
        let mut fields = Fields::of(text, "").unwrap();
        let Given::Value(raw) = fields.given("data") else {
            panic!("given")
        };
        assert_eq!(raw.get(), r#"{"b": 1.0, "a": 10000000000000000000001}"#);
        assert!(
            text.as_bytes().as_ptr_range().contains(&raw.get().as_ptr()),
            "borrowed, not copied"
        );
    }

    #[test]
    fn a_body_full_of_nonsense_gives_a_short_answer() {
        let members: Vec<String> = (0..MEMBERS_MAX).map(|n| format!(r#""x{n}":0"#)).collect();
        let text = format!("{{{}}}", members.join(","));
        let mut faults = Faults::default();
        Fields::of(&text, "").unwrap().finish(&mut faults);
        assert_eq!(faults.into_vec().len(), FAULTS_MAX);
        assert!(pointer("", &"é".repeat(1_000)).len() < 2 * NAME_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn any_text_is_answered_without_a_panic(text in "[\\[\\]{}\",:a-c\\\\0-9 ]{0,64}") {
            let _either = check_depth(text.as_bytes());
            if let Ok(fields) = Fields::of(&text, "") {
                let mut faults = Faults::default();
                fields.finish(&mut faults);
            }
        }

        #[test]
        fn distance_is_symmetric_and_zero_for_equals(a in "[a-d_]{0,10}", b in "[a-d_]{0,10}") {
            prop_assert_eq!(edits(&a, &b), edits(&b, &a));
            prop_assert_eq!(edits(&a, &a), 0);
        }
    }
}
