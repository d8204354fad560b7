//! How values of settings are written and read.
//!
//! A [`Kind`] reads a value from what a file or a text gave and shows it in the form in which it could
//! be read again. Flags and environment give texts, so every kind takes a text too.

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use toml::Value;

use super::ADMIN_KEY_CHARACTERS_MIN;
use crate::auth::KeyPrefix;
use crate::secret::Secret;

/// Most entries of a list in the configuration.
pub(super) const ENTRIES_MAX: usize = 256;

/// Reads and shows values of type `T`.
pub trait Kind<T> {
    /// How it is written, for people.
    const FORM: &'static str;
    /// Reads a value.
    fn parse(value: &Value) -> Result<T, String>;
    /// Shows it; secrets are masked.
    fn show(value: &T) -> String;
}

/// An IP address and a port.
pub enum Address {}
/// A whole number.
pub enum Count {}
/// A number of bytes.
pub enum Size {}
/// A span of time.
pub enum Time {}
/// A span of time, kept as a number of milliseconds.
pub enum Millis {}
/// `true` or `false`.
pub enum Switch {}
/// Any text that is not empty.
pub enum Text {}
/// A path.
pub enum PathText {}
/// A secret text.
pub enum SecretText {}
/// One word of several.
pub enum Choice {}
/// How API keys begin.
pub enum Prefix {}
/// Nothing (an empty text), or what the inner kind says.
pub struct Optional<K>(std::marker::PhantomData<K>);
/// Several of the inner kind; as a text, joined by commas.
pub struct List<K>(std::marker::PhantomData<K>);

impl Kind<SocketAddr> for Address {
    const FORM: &'static str = "IP address and port, such as 127.0.0.1:8080";
    fn parse(value: &Value) -> Result<SocketAddr, String> {
        from_text(value, Self::FORM)
    }
    fn show(value: &SocketAddr) -> String {
        value.to_string()
    }
}

/// Types that a whole number of the configuration can have.
pub trait Number: Copy {
    /// This number, if it fits.
    fn from_wide(number: u64) -> Option<Self>;
    /// The number.
    fn wide(self) -> u64;
}

macro_rules! numbers {
    ($($type:ty)*) => {$(
        impl Number for $type {
            fn from_wide(number: u64) -> Option<Self> {
                Self::try_from(number).ok()
            }
            fn wide(self) -> u64 {
                u64::try_from(self).unwrap_or(u64::MAX)
            }
        }
    )*};
}
numbers! { u32 u64 usize }

impl Number for NonZeroU32 {
    fn from_wide(number: u64) -> Option<Self> {
        u32::try_from(number).ok().and_then(Self::new)
    }
    fn wide(self) -> u64 {
        self.get().into()
    }
}

impl Number for NonZeroU16 {
    fn from_wide(number: u64) -> Option<Self> {
        u16::try_from(number).ok().and_then(Self::new)
    }
    fn wide(self) -> u64 {
        self.get().into()
    }
}

impl<T: Number> Kind<T> for Count {
    const FORM: &'static str = "whole number";
    fn parse(value: &Value) -> Result<T, String> {
        let number = match value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::String(text) => text.trim().replace('_', "").parse().ok(),
            _ => None,
        };
        number
            .and_then(T::from_wide)
            .ok_or_else(|| wrong(value, <Self as Kind<T>>::FORM))
    }
    fn show(value: &T) -> String {
        value.wide().to_string()
    }
}

/// Units of size, greatest first, for showing and reading.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

impl<T: Number> Kind<T> for Size {
    const FORM: &'static str = "size, such as 64 MiB";
    fn parse(value: &Value) -> Result<T, String> {
        let bytes = match value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::String(text) => size_from(text),
            _ => None,
        };
        bytes
            .and_then(T::from_wide)
            .ok_or_else(|| wrong(value, <Self as Kind<T>>::FORM))
    }
    fn show(value: &T) -> String {
        let bytes = value.wide();
        let fits = |(_, unit): &&(&str, u64)| bytes >= *unit && bytes.is_multiple_of(*unit);
        match SIZE_UNITS.iter().find(fits) {
            Some((name, unit)) => format!("{} {name}", bytes / unit),
            None => format!("{bytes} B"),
        }
    }
}

fn size_from(text: &str) -> Option<u64> {
    let (number, unit) = number_and_unit(text.trim())?;
    let unit = match unit {
        "" => 1,
        unit => {
            SIZE_UNITS
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(unit))?
                .1
        }
    };
    number.checked_mul(unit)
}

/// Units of time in milliseconds, greatest first. The first name of each is the one shown.
const TIME_UNITS: [(&[&str], u64); 5] = [
    (&["d", "day", "days"], 86_400_000),
    (&["h", "hour", "hours"], 3_600_000),
    (&["min", "m", "minute", "minutes"], 60_000),
    (&["s", "second", "seconds"], 1_000),
    (&["ms", "millisecond", "milliseconds"], 1),
];

impl Kind<Duration> for Time {
    const FORM: &'static str = "time, such as 5s, 10min, 24h or 30d";
    fn parse(value: &Value) -> Result<Duration, String> {
        match value {
            Value::String(text) => time_from(text).ok_or_else(|| wrong(value, Self::FORM)),
            Value::Integer(_) => Err(format!("needs a unit; write it as a text: {}", Self::FORM)),
            _ => Err(wrong(value, Self::FORM)),
        }
    }
    fn show(value: &Duration) -> String {
        let millis = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
        let fits = |(_, unit): &&(&[&str], u64)| millis >= *unit && millis.is_multiple_of(*unit);
        match TIME_UNITS.iter().find(fits) {
            Some((names, unit)) => format!("{}{}", millis / unit, names[0]),
            None => "0s".to_owned(),
        }
    }
}

impl<T: Number> Kind<T> for Millis {
    const FORM: &'static str = "time, such as 100ms or 5s, or a number of milliseconds";
    fn parse(value: &Value) -> Result<T, String> {
        let millis = match value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            value => Time::parse(value)
                .ok()
                .and_then(|time| u64::try_from(time.as_millis()).ok()),
        };
        millis
            .and_then(T::from_wide)
            .ok_or_else(|| wrong(value, <Self as Kind<T>>::FORM))
    }
    fn show(value: &T) -> String {
        Time::show(&Duration::from_millis(value.wide()))
    }
}

fn time_from(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text.trim())?;
    let (_, millis) = TIME_UNITS.iter().find(|(names, _)| names.contains(&unit))?;
    number.checked_mul(*millis).map(Duration::from_millis)
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '_')
        .unwrap_or(text.len());
    let number = text[..end].replace('_', "").parse().ok()?;
    Some((number, text[end..].trim()))
}

impl Kind<bool> for Switch {
    const FORM: &'static str = "true or false";
    fn parse(value: &Value) -> Result<bool, String> {
        match value {
            Value::Boolean(on) => Ok(*on),
            Value::String(text) => match text.trim() {
                "true" | "1" | "yes" | "on" => Ok(true),
                "false" | "0" | "no" | "off" => Ok(false),
                _ => Err(wrong(value, Self::FORM)),
            },
            _ => Err(wrong(value, Self::FORM)),
        }
    }
    fn show(value: &bool) -> String {
        value.to_string()
    }
}

impl Kind<String> for Text {
    const FORM: &'static str = "text";
    fn parse(value: &Value) -> Result<String, String> {
        match value {
            Value::String(text) if !text.is_empty() => Ok(text.clone()),
            _ => Err(wrong(value, "text that is not empty")),
        }
    }
    fn show(value: &String) -> String {
        value.clone()
    }
}

impl Kind<PathBuf> for PathText {
    const FORM: &'static str = "path";
    fn parse(value: &Value) -> Result<PathBuf, String> {
        <Text as Kind<String>>::parse(value).map(PathBuf::from)
    }
    fn show(value: &PathBuf) -> String {
        value.display().to_string()
    }
}

impl Kind<Secret> for SecretText {
    const FORM: &'static str = "text of 32 characters or more";
    fn parse(value: &Value) -> Result<Secret, String> {
        // The value is a secret: no message may repeat it.
        match value {
            Value::String(text) if text.chars().count() < ADMIN_KEY_CHARACTERS_MIN => {
                Err(format!("is shorter than {ADMIN_KEY_CHARACTERS_MIN} characters"))
            }
            Value::String(text) if !text.bytes().all(|b| b.is_ascii_graphic()) => {
                Err("may only have visible ASCII characters, since it is sent in a header".to_owned())
            }
            Value::String(text) => Ok(Secret::new(text.clone())),
            _ => Err(format!("must be a {}", Self::FORM)),
        }
    }
    fn show(_: &Secret) -> String {
        "*".repeat(ADMIN_KEY_CHARACTERS_MIN)
    }
}

impl<K: Kind<T>, T> Kind<Option<T>> for Optional<K> {
    const FORM: &'static str = K::FORM;
    fn parse(value: &Value) -> Result<Option<T>, String> {
        match value {
            Value::String(text) if text.is_empty() => Ok(None),
            value => K::parse(value).map(Some),
        }
    }
    fn show(value: &Option<T>) -> String {
        value.as_ref().map(K::show).unwrap_or_default()
    }
}

impl<K: Kind<T>, T> Kind<Vec<T>> for List<K> {
    const FORM: &'static str = K::FORM;
    fn parse(value: &Value) -> Result<Vec<T>, String> {
        let parts: Vec<Value> = match value {
            Value::Array(parts) => parts.clone(),
            Value::String(text) => text
                .split(',')
                .map(|part| Value::String(part.trim().to_owned()))
                .collect(),
            value => return Err(wrong(value, K::FORM)),
        };
        if parts.len() > ENTRIES_MAX {
            return Err(format!("has more than {ENTRIES_MAX} entries"));
        }
        parts.iter().map(K::parse).collect()
    }
    fn show(value: &Vec<T>) -> String {
        value.iter().map(K::show).collect::<Vec<_>>().join(",")
    }
}

impl Kind<KeyPrefix> for Prefix {
    const FORM: &'static str = "text of lower-case letters, digits and _ that ends with _, such as hw_";
    fn parse(value: &Value) -> Result<KeyPrefix, String> {
        from_text(value, Self::FORM)
    }
    fn show(value: &KeyPrefix) -> String {
        value.to_string()
    }
}

fn from_text<T: FromStr>(value: &Value, form: &str) -> Result<T, String> {
    value
        .as_str()
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| wrong(value, form))
}

pub(super) fn wrong(value: &Value, form: &str) -> String {
    let article = match form.starts_with(['a', 'e', 'i', 'o', 'A', 'E', 'I', 'O']) {
        true => "an",
        false => "a",
    };
    format!("is {value}, which is not {article} {form}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    #[test]
    fn times_have_units() {
        let cases = [
            ("5s", Some(5_000)),
            ("250 ms", Some(250)),
            ("10 min", Some(600_000)),
            ("10m", Some(600_000)),
            ("24 hours", Some(86_400_000)),
            ("30d", Some(2_592_000_000)),
            ("5", None),
            ("s", None),
            ("-5s", None),
            ("1.5s", None),
            ("99999999999999999999d", None),
            ("18446744073709551615d", None),
            ("", None),
        ];
        for (given, millis) in cases {
            assert_eq!(
                Time::parse(&text(given)).ok().map(|t| t.as_millis()),
                millis,
                "{given}"
            );
        }
        assert!(Time::parse(&Value::Integer(5)).unwrap_err().contains("unit"));
    }

    #[test]
    fn sizes_are_bytes_or_have_units() {
        let cases = [
            (text("64 MiB"), Some(64 << 20)),
            (text("64mib"), Some(64 << 20)),
            (text("1 kB"), Some(1_000)),
            (text("17"), Some(17)),
            (Value::Integer(1_048_576), Some(1 << 20)),
            (Value::Integer(-1), None),
            (text("1 parsec"), None),
            (text("99999999999 TiB"), None),
        ];
        for (given, bytes) in cases {
            assert_eq!(<Size as Kind<u64>>::parse(&given).ok(), bytes, "{given}");
        }
        assert_eq!(<Size as Kind<u64>>::show(&(64 << 20)), "64 MiB");
        assert_eq!(<Size as Kind<u64>>::show(&1_025), "1025 B");
        assert_eq!(<Size as Kind<u64>>::show(&2_000_000), "2 MB");
    }

    #[test]
    fn a_short_admin_key_is_refused_without_being_repeated() {
        let fault = SecretText::parse(&text("hunter2")).unwrap_err();
        assert!(fault.contains("32") && !fault.contains("hunter2"));
        assert!(SecretText::parse(&text(&"k".repeat(32))).is_ok());
        assert!(SecretText::parse(&text(&"é".repeat(32))).is_err());
    }
}
