//! What a producer should know of an event before its receivers find out.

use super::{Mode, Profile};
use crate::event::Event;
use crate::json;

/// Data of this many bytes is told of: Express, the most used server of webhooks in JavaScript, refuses
/// bodies of more than 100 KiB where nobody has said otherwise; what is between is for the envelope.
pub const BODY_BYTES_WARNED: usize = 100_000;

/// Something that receivers may see otherwise, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What, and what would help.
    pub detail: String,
}

impl Profile {
    /// What receivers may see otherwise than the producer meant, or refuse. Nothing is parsed unless the
    /// profile writes JSON as JavaScript does.
    pub fn warnings(&self, event: &Event) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let mut warn = |detail| warnings.push(Warning { detail });
        if event.data.len() >= BODY_BYTES_WARNED {
            warn(format!(
                "the data has {} bytes; many receivers refuse bodies of more than 100 kB",
                event.data.len()
            ));
        }
        let numbers_change = self.body == Mode::JsStableJson && event.is_json();
        if let Some(pointer) = numbers_change
            .then(|| json::unsafe_integer(&event.data))
            .flatten()
        {
            warn(format!(
                "the integer at `{pointer}` of the data is beyond 2^53 and loses digits, because the profile \
                 `{}` writes numbers as JavaScript does; send it as a string",
                self.name
            ));
        }
        warnings
    }
}
