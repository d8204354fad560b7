//! Server-sent events, read as the HTML standard says (section 9.2.6, "Interpreting an event stream").
//!
//! Pure: bytes in, events out. What a server may make us remember is bounded.

/// Longest event, in bytes. The router's have a few hundred.
pub const EVENT_BYTES_MAX: usize = 256 * 1_024;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamEvent {
    /// Its type; empty for a plain one.
    pub name: String,
    /// Its data, lines joined by line feeds.
    pub data: String,
}

/// The stream sent an event that is longer than [`EVENT_BYTES_MAX`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream sent an event of more than {EVENT_BYTES_MAX} bytes")]
pub struct TooLong;

/// Reads a stream piece by piece.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed now belongs to it.
    after_return: bool,
    started: bool,
    event: StreamEvent,
    has_data: bool,
    /// The last id that the stream gave, to go on from it.
    pub last_id: Option<String>,
    /// How long the stream wants us to wait before we connect again, in milliseconds.
    pub retry_ms: Option<u64>,
}

impl Parser {
    /// Takes the next bytes and gives the events that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<StreamEvent>, TooLong> {
        let mut events = Vec::new();
        for byte in bytes {
            let follows_return = std::mem::take(&mut self.after_return);
            match byte {
                b'\n' if follows_return => {}
                b'\n' | b'\r' => {
                    self.after_return = *byte == b'\r';
                    events.extend(self.end_line());
                }
                byte => self.line.push(*byte),
            }
            if self.line.len() + self.event.data.len() > EVENT_BYTES_MAX {
                return Err(TooLong);
            }
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Option<StreamEvent> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = if std::mem::replace(&mut self.started, true) {
            &line
        } else {
            line.strip_prefix('\u{feff}').unwrap_or(&line)
        };
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "id" if !value.contains('\0') => self.last_id = Some(value.to_owned()),
            "retry" if value.bytes().all(|b| b.is_ascii_digit()) => self.retry_ms = value.parse().ok(),
            // Comments have an empty name; others are to be ignored.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(text: &str) -> Vec<(String, String)> {
        let events = Parser::default().push(text.as_bytes()).unwrap();
        events.into_iter().map(|event| (event.name, event.data)).collect()
    }

    #[test]
    fn the_examples_of_the_standard() {
        let cases: [(&str, &[(&str, &str)]); 9] = [
            ("data: YHOO\ndata: +2\ndata: 10\n\n", &[("", "YHOO\n+2\n10")]),
            (
                ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\n",
                &[("", "first event"), ("", "second event")],
            ),
            ("data\n\ndata\ndata\n\ndata:", &[("", ""), ("", "\n")]),
            ("data:test\n\ndata: test\n\n", &[("", "test"), ("", "test")]),
            ("event: add\r\ndata: 1\r\n\r\n", &[("add", "1")]),
            ("event: add\rdata: 1\r\r", &[("add", "1")]),
            ("\u{feff}data: x\n\n", &[("", "x")]),
            ("event: lonely\n\ndata: y\n\n", &[("", "y")]),
            ("unknown: x\n\n", &[]),
        ];
        for (text, expected) in cases {
            let expected: Vec<_> = expected
                .iter()
                .map(|(n, d)| ((*n).to_owned(), (*d).to_owned()))
                .collect();
            assert_eq!(events(text), expected, "{text:?}");
        }
    }

    #[test]
    fn ids_and_waits_are_kept() {
        let mut parser = Parser::default();
        parser.push(b"id: 7\nretry: 1500\nretry: soon\n\n").unwrap();
        assert_eq!(
            (parser.last_id.as_deref(), parser.retry_ms),
            (Some("7"), Some(1_500))
        );
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut parser = Parser::default();
        let line = format!("data: {}\n", "x".repeat(1_000));
        assert!((0..300).any(|_| parser.push(line.as_bytes()).is_err()));
        assert_eq!(
            Parser::default().push(&vec![b'x'; EVENT_BYTES_MAX + 1]),
            Err(TooLong)
        );
    }

    proptest! {
        #[test]
        fn cutting_the_stream_anywhere_changes_nothing(text in "(data: ?[a-z]{0,5}(\r\n|\r|\n)|(\r\n|\r|\n)|:c\n){0,20}", at: prop::sample::Index) {
            let at = at.index(text.len() + 1);
            let mut parser = Parser::default();
            let mut cut = parser.push(&text.as_bytes()[..at]).unwrap();
            cut.extend(parser.push(&text.as_bytes()[at..]).unwrap());
            prop_assert_eq!(cut, Parser::default().push(text.as_bytes()).unwrap());
        }
    }
}
