//! A message within Slack's limits.
//!
//! Slack refuses a message that breaks any of them, so nothing leaves here that could: text is cut
//! where a person sees it, and a last line says how many blocks were left out.

use crate::text::{cut, line};
use hookway_plugin::serde::Serialize;
use std::borrow::Cow;

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
pub(crate) struct Message<'a> {
    /// What it is about: one line.
    pub(crate) title: Cow<'a, str>,
    /// What notifications say after the title: plain text.
    pub(crate) summary: Cow<'a, str>,
    /// What follows the title.
    pub(crate) parts: Vec<Part<'a>>,
    /// The bar beside it.
    pub(crate) color: Option<&'static str>,
}

/// A part of a message.
#[derive(Debug)]
pub(crate) enum Part<'a> {
    /// A paragraph.
    Text(Cow<'a, str>),
    /// Names and values in two columns.
    Fields(Vec<(Cow<'a, str>, Cow<'a, str>)>),
    /// Small print.
    Context(Cow<'a, str>),
}

/// The body of the request. Members are in the order of their names, here and below.
#[derive(Debug, Serialize)]
#[serde(crate = "hookway_plugin::serde")]
pub(crate) struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    attachments: Option<[Attachment<'a>; 1]>,
    blocks: Vec<Block<'a>>,
    text: Cow<'a, str>,
}

#[derive(Debug, Serialize)]
#[serde(crate = "hookway_plugin::serde")]
struct Attachment<'a> {
    blocks: Vec<Block<'a>>,
    color: &'static str,
}

/// A block has one of these, and says which kind it is.
#[derive(Debug, Default, Serialize)]
#[serde(crate = "hookway_plugin::serde")]
struct Block<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    elements: Option<[Text<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Vec<Text<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Text<'a>>,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(crate = "hookway_plugin::serde")]
struct Text<'a> {
    text: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    verbatim: Option<bool>,
}

impl Message<'_> {
    /// The body of the request.
    pub(crate) fn body(&self) -> Body<'_> {
        let mut blocks = Blocks::default();
        let title = match line(&self.title) {
            Cow::Borrowed(title) => cut(title, HEADER_MAX),
            Cow::Owned(title) => Cow::Owned(cut(&title, HEADER_MAX).into_owned()),
        };
        let fallback = if self.summary.trim().is_empty() {
            title.clone()
        } else {
            let fallback = format!("{title}: {}", line(&self.summary));
            Cow::Owned(cut(&fallback, FALLBACK_MAX).into_owned())
        };
        blocks.characters += title.chars().count();
        for part in &self.parts {
            blocks.add(part);
        }
        let mut rest = blocks.finish();
        let header = Block {
            text: Some(Text {
                text: title,
                kind: "plain_text",
                verbatim: None,
            }),
            kind: "header",
            ..Block::default()
        };
        match self.color {
            Some(color) if !rest.is_empty() => Body {
                attachments: Some([Attachment { blocks: rest, color }]),
                blocks: vec![header],
                text: fallback,
            },
            _ => {
                rest.insert(0, header);
                Body {
                    attachments: None,
                    blocks: rest,
                    text: fallback,
                }
            }
        }
    }
}

/// The blocks after the header, as long as there is room.
#[derive(Default)]
struct Blocks<'a> {
    blocks: Vec<Block<'a>>,
    characters: usize,
    omitted: usize,
}

impl<'a> Blocks<'a> {
    fn add(&mut self, part: &'a Part<'_>) {
        match part {
            Part::Text(text) => {
                // A text may be shortened to the room that is left; other parts fit or do not.
                let limit = self.room().min(SECTION_MAX);
                let limit = if limit < TEXT_MIN { SECTION_MAX } else { limit };
                let text = cut(text.trim(), limit);
                let characters = text.chars().count();
                self.push(section(text), characters);
            }
            Part::Fields(fields) => {
                for fields in fields.chunks(FIELDS_MAX) {
                    let mut characters = 0;
                    let mut texts = Vec::with_capacity(fields.len());
                    for (name, value) in fields {
                        let text = field(&line(name), value);
                        characters += text.chars().count();
                        texts.push(mrkdwn(text.into()));
                    }
                    let block = Block {
                        fields: Some(texts),
                        kind: "section",
                        ..Block::default()
                    };
                    self.push(block, characters);
                }
            }
            Part::Context(text) => {
                let text = cut(text.trim(), FIELD_MAX);
                let characters = text.chars().count();
                self.push(context(text), characters);
            }
        }
    }

    /// Takes a block, unless it is empty or there is no room. The header and the note count too.
    fn push(&mut self, block: Block<'a>, characters: usize) {
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

    fn finish(mut self) -> Vec<Block<'a>> {
        if self.omitted > 0 {
            let noun = if self.omitted == 1 { "block" } else { "blocks" };
            let note = format!("… {} {noun} omitted", self.omitted);
            self.blocks.push(context(note.into()));
        }
        self.blocks
    }
}

/// A name above its value.
fn field(name: &str, value: &str) -> String {
    let mut text = String::with_capacity(name.len() + value.len() + 3);
    for piece in ["*", name, "*\n", value] {
        text.push_str(piece);
    }
    match cut(&text, FIELD_MAX) {
        Cow::Borrowed(_) => text,
        Cow::Owned(shorter) => shorter,
    }
}

fn section(text: Cow<'_, str>) -> Block<'_> {
    Block {
        text: Some(mrkdwn(text)),
        kind: "section",
        ..Block::default()
    }
}

fn context(text: Cow<'_, str>) -> Block<'_> {
    Block {
        elements: Some([mrkdwn(text)]),
        kind: "context",
        ..Block::default()
    }
}

/// Text with formatting. `verbatim` keeps Slack from finding names and channels in it by itself.
fn mrkdwn(text: Cow<'_, str>) -> Text<'_> {
    Text {
        text,
        kind: "mrkdwn",
        verbatim: Some(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookway_plugin::serde_json::{self, Value};

    fn json(message: &Message<'_>) -> Value {
        serde_json::to_value(message.body()).expect("it is JSON")
    }

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
        let long: Cow<'_, str> = Cow::Owned(long);
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
        let body = json(&message);
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
        let long: Cow<'_, str> = Cow::Owned("y".repeat(3_000));
        let parts = (0..5).map(|_| Part::Text(long.clone())).collect();
        let body = json(&Message {
            title: "t".into(),
            parts,
            ..Message::default()
        });
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
        let plain = json(&Message {
            title: "a\n b".into(),
            parts: parts(),
            ..Message::default()
        });
        assert_eq!(plain["text"], "a b");
        assert_eq!(plain["blocks"].as_array().map(Vec::len), Some(2));
        let colored = Message {
            title: "a".into(),
            summary: "s".into(),
            parts: parts(),
            color: Some("#000"),
        };
        let colored = json(&colored);
        assert_eq!(colored["text"], "a: s");
        assert_eq!(colored["blocks"].as_array().map(Vec::len), Some(1));
        assert_eq!(colored["attachments"][0]["color"], "#000");
        assert_eq!(colored["attachments"][0]["blocks"][0]["elements"][0]["text"], "c");
    }
}
