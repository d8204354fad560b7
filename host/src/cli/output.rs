//! What commands print: tables and lines for people, JSON for machines; colours where they are wanted.
//!
//! Text that came from outside is shown with its control characters escaped, so that a payload cannot
//! move the cursor or write the terminal's title. Failures go to standard error.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use serde_json::Value;

use super::ColourWhen;
use super::client::Answer;
use super::failure::Failure;
use super::indent::indented;
use crate::telemetry::Colour;

/// Longest text in a cell of a table; the rest is cut.
const CELL_CHARACTERS_MAX: usize = 60;
/// Longest text in the last column of a table, in characters: it pushes nothing aside, and it is where
/// reasons stand, whose end is often what helps.
const LAST_CELL_CHARACTERS_MAX: usize = 240;

/// Where a command writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    /// Whether machines read it.
    pub json: bool,
    paint: Colour,
    paint_errors: Colour,
}

/// What a piece of text is, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it is.
    Plain,
    /// A title.
    Title,
    /// Of less weight.
    Faint,
    /// All is well.
    Good,
    /// Look here.
    Odd,
    /// Something is wrong.
    Bad,
}

impl Tone {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Title => "\x1b[1m",
            Self::Faint => "\x1b[2m",
            Self::Good => "\x1b[32m",
            Self::Odd => "\x1b[33m",
            Self::Bad => "\x1b[31m",
        }
    }

    /// The tone of a delivery's status.
    pub(super) fn of_status(status: &str) -> Self {
        match status {
            "delivered" | "enabled" | "true" => Self::Good,
            "pending" | "held" | "retry" => Self::Odd,
            "failed" | "fault" | "disabled" | "reject" | "misconfigured" => Self::Bad,
            "filtered" => Self::Faint,
            _ => Self::Plain,
        }
    }
}

/// A column of a table: its title and where the value is.
pub(super) type Column = (&'static str, &'static str);

impl Output {
    pub(super) fn new(json: bool, when: ColourWhen, no_color: bool) -> Self {
        let paint = |terminal: bool| match when {
            ColourWhen::Always => Colour::On,
            ColourWhen::Auto if terminal && !no_color => Colour::On,
            ColourWhen::Auto | ColourWhen::Never => Colour::Off,
        };
        Self {
            json,
            paint: paint(std::io::stdout().is_terminal()),
            paint_errors: paint(std::io::stderr().is_terminal()),
        }
    }

    /// Whether log lines on standard error are coloured.
    pub(super) fn log_colour(&self) -> Colour {
        self.paint_errors
    }

    /// The same with the colours of standard error, for lines that become notes.
    pub(super) fn of_notes(&self) -> Self {
        Self {
            paint: self.paint_errors,
            ..*self
        }
    }

    /// A piece of text in its colour.
    pub(super) fn tone(&self, tone: Tone, text: &str) -> String {
        painted(self.paint, tone, text)
    }

    /// Writes a line.
    pub(super) fn line(&self, text: &str) -> Result<(), Failure> {
        write(&format!("{text}\n"))
    }

    /// Writes a remark to standard error, where it does not get between the answers.
    pub(super) fn note(&self, text: &str) {
        // Where this cannot be written there is nobody to remark to.
        let _nobody_left = writeln!(
            std::io::stderr(),
            "{}",
            painted(self.paint_errors, Tone::Faint, text)
        );
    }

    /// Writes what the router answered, indented and otherwise as it came.
    pub(super) fn answer(&self, answer: &Answer) -> Result<(), Failure> {
        self.line(&indented(answer.text()))
    }

    /// Writes JSON of our own, indented.
    pub(super) fn json(&self, value: &Value) -> Result<(), Failure> {
        self.line(&format!("{value:#}"))
    }

    /// Writes a page of a list: as it came for machines, as a table for people.
    pub(super) fn page(&self, page: &Answer, columns: &[Column], nothing: &str) -> Result<(), Failure> {
        if self.json {
            return self.answer(page);
        }
        let rows = page["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        if rows.is_empty() {
            self.line(nothing)?;
            return self.more(page);
        }
        self.rows(rows, columns)?;
        self.more(page)
    }

    /// Says how to get the next page, if there is one.
    pub(super) fn more(&self, page: &Value) -> Result<(), Failure> {
        if let Some(cursor) = page["next"].as_str() {
            self.line(&self.tone(Tone::Faint, &format!("more: --cursor {}", clean(cursor))))?;
        }
        Ok(())
    }

    /// Writes a table.
    pub(super) fn rows(&self, rows: &[Value], columns: &[Column]) -> Result<(), Failure> {
        write(&self.table(rows, columns))
    }

    /// Writes single values, one a line, as far as they are there.
    pub(super) fn fields(&self, value: &Value, fields: &[Column]) -> Result<(), Failure> {
        self.lines(&self.field_lines(value, fields))
    }

    /// Single values, one a line, as far as they are there.
    pub(super) fn field_lines(&self, value: &Value, fields: &[Column]) -> Vec<String> {
        let width = fields.iter().map(|(title, _)| title.len()).max().unwrap_or(0);
        let texts = fields
            .iter()
            .map(|(title, pointer)| (title, cell(value.pointer(pointer).unwrap_or(&Value::Null))));
        let there = texts.filter(|(_, text)| !text.is_empty());
        let line = |(title, text): (&&str, String)| {
            let title = self.tone(Tone::Faint, &format!("{title:width$}"));
            format!("{title}  {}", self.tone(Tone::of_status(&text), &text))
        };
        there.map(line).collect()
    }

    /// Writes lines.
    pub(super) fn lines(&self, lines: &[String]) -> Result<(), Failure> {
        lines.iter().try_for_each(|line| self.line(line))
    }

    fn table(&self, rows: &[Value], columns: &[Column]) -> String {
        let cells: Vec<Vec<String>> = rows
            .iter()
            .map(|row| {
                let max = |i: usize| match i + 1 == columns.len() {
                    true => LAST_CELL_CHARACTERS_MAX,
                    false => CELL_CHARACTERS_MAX,
                };
                columns
                    .iter()
                    .enumerate()
                    .map(|(i, (_, at))| short(&cell(row.pointer(at).unwrap_or(&Value::Null)), max(i)))
                    .collect()
            })
            .collect();
        let width = |i: usize, title: &str| {
            cells
                .iter()
                .map(|row| row[i].chars().count())
                .chain([title.len()])
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = columns
            .iter()
            .enumerate()
            .map(|(i, (title, _))| width(i, title))
            .collect();
        let mut text = String::new();
        let titles = columns
            .iter()
            .map(|(title, _)| (Tone::Faint, (*title).to_owned()))
            .collect::<Vec<_>>();
        let rows = cells.into_iter().map(|row| {
            row.into_iter()
                .map(|c| (Tone::of_status(&c), c))
                .collect::<Vec<_>>()
        });
        for row in std::iter::once(titles).chain(rows) {
            let last = row.len() - 1;
            for (i, (tone, cell)) in row.into_iter().enumerate() {
                // The last column needs no padding, and long lines break better without.
                let padding = if i == last {
                    0
                } else {
                    widths[i] + 2 - cell.chars().count()
                };
                text.push_str(&self.tone(tone, &cell));
                text.push_str(&" ".repeat(padding));
            }
            text.push('\n');
        }
        text
    }

    /// Says on standard error why a command failed, and gives its exit code.
    pub(super) fn failed(&self, failure: &Failure) -> ExitCode {
        let text = match failure {
            Failure::OutputClosed => return failure.exit_code(),
            Failure::Problem(problem) if self.json => {
                serde_json::to_string(problem).unwrap_or_else(|_| problem.to_string())
            }
            failure => format!(
                "{} {}",
                painted(self.paint_errors, Tone::Bad, "error:"),
                failure.chain().join("\n  because: ")
            ),
        };
        // Where even this cannot be written there is nobody left to tell.
        let _nobody_left = writeln!(std::io::stderr(), "{text}");
        failure.exit_code()
    }
}

/// Writes bytes to standard output as they are.
pub(super) fn write_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::io("cannot write to standard output", error),
        })
}

fn write(text: &str) -> Result<(), Failure> {
    write_bytes(text.as_bytes())
}

fn painted(colour: Colour, tone: Tone, text: &str) -> String {
    match colour {
        Colour::On if tone != Tone::Plain && !text.is_empty() => format!("{}{text}\x1b[0m", tone.code()),
        Colour::On | Colour::Off => text.to_owned(),
    }
}

/// A JSON value as a cell: texts without quotes, lists joined by commas, nothing for `null`.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => clean(text),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(", "),
        value => clean(&value.to_string()),
    }
}

/// Text from outside with its control characters escaped (line breaks too).
pub(super) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        if drives_a_terminal(c) {
            cleaned.extend(c.escape_default());
        } else {
            cleaned.push(c);
        }
    }
    cleaned
}

/// Whether a terminal acts on a character. The bidirectional controls can make a line read as something
/// else.
pub(super) fn drives_a_terminal(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The first characters of a text, with a mark where something was cut.
fn short(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plain() -> Output {
        Output {
            json: false,
            paint: Colour::Off,
            paint_errors: Colour::Off,
        }
    }

    #[test]
    fn tables_are_aligned_and_cut() {
        let rows = [
            json!({"id": "sub_1", "name": "é", "events": ["a", "b"]}),
            json!({"id": "sub_22", "name": "x".repeat(100)}),
        ];
        let columns = [("ID", "/id"), ("NAME", "/name"), ("EVENTS", "/events")];
        let table = plain().table(&rows, &columns);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[1], format!("sub_1   é{}a, b", " ".repeat(61)));
        assert!(lines[2].contains('…') && lines[2].chars().count() == 70);
        let last = plain().table(&[json!({"why": "x".repeat(300)})], &[("WHY", "/why")]);
        assert_eq!(last.lines().nth(1).map(|line| line.chars().count()), Some(240));
    }

    #[test]
    fn text_from_outside_cannot_drive_the_terminal() {
        assert_eq!(clean("a\x1b[2J\nb\u{202e}c"), "a\\u{1b}[2J\\nb\\u{202e}c");
        assert_eq!(clean("Inventario crítico"), "Inventario crítico");
    }

    #[test]
    fn colours_only_where_they_are_wanted() {
        let output = |when, no_color| Output::new(false, when, no_color).tone(Tone::Good, "x");
        assert_eq!(output(ColourWhen::Always, true), "\x1b[32mx\x1b[0m");
        assert_eq!(output(ColourWhen::Never, false), "x");
        assert_eq!(output(ColourWhen::Auto, true), "x");
    }
}
