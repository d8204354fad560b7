//! What a plugin says: bounded lines of bounded length, safe to show on a terminal.

use crate::delivery::{LogLevel, LogLine};

use super::limits::PluginLimits;

/// The lines of one run.
#[derive(Debug)]
pub(super) struct Log {
    lines: Vec<LogLine>,
    dropped: u32,
    lines_most: usize,
    line_bytes_most: usize,
    last_error: Option<String>,
    partial: [Vec<u8>; 2],
}

/// A standard stream of an ordinary WASI program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Log {
    pub(super) fn new(limits: &PluginLimits) -> Self {
        Self {
            lines: Vec::new(),
            dropped: 0,
            lines_most: limits.log_lines,
            line_bytes_most: limits.log_line_bytes,
            last_error: None,
            partial: [Vec::new(), Vec::new()],
        }
    }

    /// Adds a line, or counts it where there is no room.
    pub(super) fn add(&mut self, level: LogLevel, text: &str) {
        // A panic's second line is Rust's advice on back-traces, which tells nothing of the fault.
        if level == LogLevel::Error && !text.starts_with("note: ") {
            self.last_error = Some(clean(text, self.line_bytes_most));
        }
        if self.lines.len() < self.lines_most {
            let message = clean(text, self.line_bytes_most);
            self.lines.push(LogLine { level, message });
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// Adds what was written to a standard stream: a line for each line of it.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let partial = &mut self.partial[stream as usize];
            let room = self.line_bytes_most.saturating_sub(partial.len());
            let (text, ends) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            partial.extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                self.end_line(stream);
            }
        }
    }

    fn end_line(&mut self, stream: Stream) {
        let line = std::mem::take(&mut self.partial[stream as usize]);
        let level = match stream {
            Stream::Stdout => LogLevel::Info,
            Stream::Stderr => LogLevel::Error,
        };
        self.add(level, &String::from_utf8_lossy(&line));
    }

    /// The newest error, which is the panic where there was one.
    pub(super) fn last_error(&mut self) -> Option<&str> {
        self.flush();
        self.last_error.as_deref()
    }

    fn flush(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if !self.partial[stream as usize].is_empty() {
                self.end_line(stream);
            }
        }
    }

    /// Takes everything out, so that the next run begins with an empty log.
    pub(super) fn take(&mut self) -> (Vec<LogLine>, u32) {
        self.flush();
        self.last_error = None;
        (std::mem::take(&mut self.lines), std::mem::take(&mut self.dropped))
    }
}

/// The first `most` bytes of a text, cut between characters, control characters escaped: a plugin
/// must not be able to move an operator's cursor or to forge a line.
pub(super) fn clean(text: &str, most: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(most));
    for character in text.chars() {
        // Line and paragraph separators and the marks that turn the direction of text can forge too.
        let harmless = !character.is_control()
            && !matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let before = clean.len();
        if harmless {
            clean.push(character);
        } else {
            clean.extend(character.escape_default());
        }
        if clean.len() > most {
            clean.truncate(before);
            break;
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn log(lines: usize, bytes: usize) -> Log {
        Log::new(&PluginLimits {
            log_lines: lines,
            log_line_bytes: bytes,
            ..PluginLimits::default()
        })
    }

    #[test]
    fn lines_beyond_the_limit_are_counted() {
        let mut log = log(2, 16);
        for text in ["one", "a text of more than sixteen bytes", "three", "four"] {
            log.add(LogLevel::Info, text);
        }
        let (lines, dropped) = log.take();
        let texts: Vec<_> = lines.iter().map(|line| line.message.as_str()).collect();
        assert_eq!(texts, ["one", "a text of more t"]);
        assert_eq!(dropped, 2);
        assert_eq!(log.take(), (Vec::new(), 0));
    }

    #[test]
    fn standard_streams_become_lines() {
        let mut log = log(9, 32);
        log.write(Stream::Stderr, b"thread main pan");
        log.write(Stream::Stdout, b"hello\n");
        log.write(Stream::Stderr, b"icked\n\x1b[2Jgone");
        assert_eq!(log.last_error(), Some("\\u{1b}[2Jgone"));
        let (lines, _) = log.take();
        let texts: Vec<_> = lines.iter().map(|line| line.message.as_str()).collect();
        assert_eq!(texts, ["hello", "thread main panicked", "\\u{1b}[2Jgone"]);
    }

    proptest! {
        #[test]
        fn a_clean_text_is_short_and_shows_no_control(text in ".{0,40}", most in 16_usize..40) {
            let clean = clean(&text, most);
            prop_assert!(clean.len() <= most);
            prop_assert!(!clean.chars().any(char::is_control));
        }
    }
}
