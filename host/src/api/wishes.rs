//! How wishes are read from a body: field by field, absent or null or a value, each fault with its place.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::control::set::Set;
use crate::json::{self, Faults, Fields, Given};

/// Reads one field of a wish.
pub(super) struct Wishes<'a, 'f> {
    pub(super) fields: Fields<'a>,
    pub(super) faults: &'f mut Faults,
}

impl<'a> Wishes<'a, '_> {
    pub(super) fn set<T: DeserializeOwned>(&mut self, name: &'static str, expected: &str) -> Set<T> {
        self.set_with(name, |raw, pointer, faults| {
            json::read(raw, pointer, expected, faults)
        })
    }

    pub(super) fn set_with<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a RawValue, &str, &mut Faults) -> Option<T>,
    ) -> Set<T> {
        match self.fields.given(name) {
            Given::Absent => Set::Keep,
            Given::Null => Set::Clear,
            Given::Value(raw) => match read(raw, &self.fields.pointer(name), self.faults) {
                Some(value) => Set::To(value),
                None => Set::Keep,
            },
        }
    }
}

/// What was read, or nothing and one fault more.
pub(super) fn kept<T>(read: Result<T, json::Unreadable>, faults: &mut Faults) -> Option<T> {
    read.map_err(|error| faults.append(error.into_faults())).ok()
}
