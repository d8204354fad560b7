//! A message within Slack's limits.
//!
//! Slack refuses a message that breaks any of them, so nothing leaves here that could: text is cut
//! where a person sees it, and a last line says how many blocks were left out.

use crate::text::{cut, line};
use hookway_plugin::serde_json::{Value, json};

const HEADER_MAX: usize = 150;
const SECTION_MAX: usize = 3_000;
const FIELD_MAX: usize = 2_000;
const FIELDS_MAX: usize = 10;
const BLOCKS_MAX: usize = 50;
/// Characters in all blocks, and in what notifications show: 12,000 together.
const BLOCK_TEXT_MAX: usize = 11_000;
const FALLBACK_MAX: usize = 1_000;
/// Kept free for the line that says what was left out.
const NOTE_MAX: usize = 100;
/// Less of a text than this is not worth showing.
const TEXT_MIN: usize = 80;

/// A message; all text in it is escaped.
#[derive(Debug, Default)]
pub(crate) struct Message {
    /// What it is about: one line.
    pub(crate) title: String,
    /// What notifications say after the title: plain text.
    pub(crate) summary: String,
    /// What follows the title.
    pub(crate) parts: Vec<Part>,
    /// The bar beside it.
    pub(crate) color: Option<&'static str>,
}

/// A part of a message.
#[derive(Debug)]
pub(crate) enum Part {
    /// A paragraph.
    Text(String),
    /// Names and values in two columns.
    Fields(Vec<(String, String)>),
    /// Small print.
    Context(String),
}

impl Message {
    /// The body of the request.
    pub(crate) fn to_json(&self) -> Value {
        let mut blocks = Blocks::default();
        let title = cut(&line(&self.title), HEADER_MAX);
        let fallback = if self.summary.trim().is_empty() {
            title.clone()
        } else {
            cut(&format!("{title}: {}", line(&self.summary)), FALLBACK_MAX)
        };
        blocks.characters += title.chars().count();
        let header = json!({"type": "header", "text": {"type": "plain_text", "text": title}});
        for part in &self.parts {
            blocks.add(part);
        }
        let mut rest = blocks.finish();
        match self.color {
            Some(color) if !rest.is_empty() => json!({
                "text": fallback,
                "blocks": [header],
                "attachments": [{"color": color, "blocks": rest}],
            }),
            _ => {
                rest.insert(0, header);
                json!({"text": fallback, "blocks": rest})
            }
        }
    }
}

/// The blocks after the header, as long as there is room.
#[derive(Default)]
struct Blocks {
    blocks: Vec<Value>,
    characters: usize,
    omitted: usize,
}

impl Blocks {
    fn add(&mut self, part: &Part) {
        match part {
            Part::Text(text) => {
                // A text may be shortened to the room that is left; other parts fit or do not.
                let limit = self.room().min(SECTION_MAX);
                let limit = if limit < TEXT_MIN { SECTION_MAX } else { limit };
                let text = cut(text.trim(), limit);
                let block = json!({"type": "section", "text": mrkdwn(&text)});
                self.push(block, text.chars().count());
            }
            Part::Fields(fields) => {
                for fields in fields.chunks(FIELDS_MAX) {
                    let texts = fields
                        .iter()
                        .map(|(name, value)| cut(&format!("*{}*\n{value}", line(name)), FIELD_MAX));
                    let texts: Vec<String> = texts.collect();
                    let characters = texts.iter().map(|text| text.chars().count()).sum();
                    let fields: Vec<Value> = texts.iter().map(|text| mrkdwn(text)).collect();
                    self.push(json!({"type": "section", "fields": fields}), characters);
                }
            }
            Part::Context(text) => {
                let text = cut(text.trim(), FIELD_MAX);
                let block = json!({"type": "context", "elements": [mrkdwn(&text)]});
                self.push(block, text.chars().count());
            }
        }
    }

    /// Takes a block, unless it is empty or there is no room. The header and the note count too.
    fn push(&mut self, block: Value, characters: usize) {
        if characters == 0 {
            return;
        }
        if self.blocks.len() + 2 >= BLOCKS_MAX || characters > self.room() {
            self.omitted += 1;
            return;
        }
        self.characters += characters;
        self.blocks.push(block);
    }

    fn room(&self) -> usize {
        (BLOCK_TEXT_MAX - NOTE_MAX).saturating_sub(self.characters)
    }

    fn finish(mut self) -> Vec<Value> {
        if self.omitted > 0 {
            let noun = if self.omitted == 1 { "block" } else { "blocks" };
            let note = format!("… {} {noun} omitted", self.omitted);
            self.blocks
                .push(json!({"type": "context", "elements": [mrkdwn(&note)]}));
        }
        self.blocks
    }
}

/// Text with formatting. `verbatim` keeps Slack from finding names and channels in it by itself.
fn mrkdwn(text: &str) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every text in the blocks, in order.
    fn texts(value: &Value) -> Vec<String> {
        match value {
            Value::Object(members) => members
                .iter()
                .flat_map(|(name, member)| match member {
                    Value::String(text) if name == "text" => vec![text.clone()],
                    other => texts(other),
                })
                .collect(),
            Value::Array(items) => items.iter().flat_map(texts).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn every_limit_holds() {
        let long = "x ".repeat(20_000);
        let mut parts = vec![Part::Text(long.clone())];
        parts.push(Part::Fields(
            (0..25).map(|_| (long.clone(), long.clone())).collect(),
        ));
        parts.extend((0..80).map(|_| Part::Text("short".into())));
        parts.push(Part::Text(long.clone()));
        parts.push(Part::Context(long.clone()));
        let message = Message {
            title: long.clone(),
            summary: long,
            parts,
            color: None,
        };
        let body = message.to_json();
        let blocks = body["blocks"].as_array().expect("blocks");
        assert_eq!(blocks.len(), 50);
        assert_eq!(
            blocks[0]["text"]["text"]
                .as_str()
                .map(|text| text.chars().count()),
            Some(150)
        );
        assert_eq!(
            blocks[1]["text"]["text"]
                .as_str()
                .map(|text| text.chars().count()),
            Some(3_000)
        );
        let last = blocks[49]["elements"][0]["text"].as_str().expect("a note");
        assert!(
            last.starts_with("… ") && last.ends_with(" blocks omitted"),
            "{last}"
        );
        let all: usize = texts(&body).iter().map(|text| text.chars().count()).sum();
        assert!(all <= 12_000, "{all}");
    }

    #[test]
    fn a_text_is_shortened_to_the_room_that_is_left() {
        let long = "y".repeat(3_000);
        let parts = (0..5).map(|_| Part::Text(long.clone())).collect();
        let body = Message {
            title: "t".into(),
            parts,
            ..Message::default()
        }
        .to_json();
        let blocks = body["blocks"].as_array().expect("blocks");
        let lengths: Vec<_> = texts(&body["blocks"])
            .iter()
            .map(|text| text.chars().count())
            .collect();
        assert_eq!(blocks.len(), 6);
        assert_eq!(lengths[..5], [1, 3_000, 3_000, 3_000, 1_899]);
        assert_eq!(blocks[5]["elements"][0]["text"], "… 1 block omitted");
    }

    #[test]
    fn empty_parts_vanish_and_a_colour_needs_an_attachment() {
        let parts = || {
            vec![
                Part::Text("  ".into()),
                Part::Fields(vec![]),
                Part::Context("c".into()),
            ]
        };
        let plain = Message {
            title: "a\n b".into(),
            parts: parts(),
            ..Message::default()
        }
        .to_json();
        assert_eq!(plain["text"], "a b");
        assert_eq!(plain["blocks"].as_array().map(Vec::len), Some(2));
        let colored = Message {
            title: "a".into(),
            summary: "s".into(),
            parts: parts(),
            color: Some("#000"),
        };
        let colored = colored.to_json();
        assert_eq!(colored["text"], "a: s");
        assert_eq!(colored["blocks"].as_array().map(Vec::len), Some(1));
        assert_eq!(colored["attachments"][0]["color"], "#000");
        assert_eq!(
            colored["attachments"][0]["blocks"][0]["elements"][0]["text"],
            "c"
        );
    }
}
