//! A jq program, compiled once and run for each event.

use hookway_plugin::Event;
use jaq_core::load::{self, Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, compile, data};
use jaq_json::{Map, Val, read};

type Data = data::JustLut<Val>;

/// What a plugin must not know: it answers the same whenever it is asked.
const UNKNOWN: [&str; 2] = ["env", "now"];

/// A program that can be run.
pub(crate) struct Program(jaq_core::Filter<Data>);

/// Why a run gave no outputs.
pub(crate) enum Fault {
    /// jaq does not understand the data.
    Input(String),
    /// The program gave an error, and nobody caught it.
    Error(String),
    /// The program called `halt`.
    Halted,
    /// The program gave more outputs than are allowed.
    TooMany,
}

impl Program {
    /// Compiles, or says each fault with its place.
    pub(crate) fn compile(code: &str) -> Result<Self, Vec<String>> {
        // To read all definitions takes most of the time of a fresh instance, and few programs need them
        // all. No definition takes the place of another, so those that are enough are as good.
        Self::compile_with(code, jaq_core::defs()).or_else(|_| {
            let all = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
            Self::compile_with(code, all)
        })
    }

    fn compile_with(
        code: &str,
        definitions: impl Iterator<Item = load::parse::Def<&'static str>>,
    ) -> Result<Self, Vec<String>> {
        let functions = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
        let functions = functions.filter(|(name, _, _)| !UNKNOWN.contains(name));
        let arena = Arena::default();
        let modules = Loader::new(definitions)
            .load(&arena, File { code, path: () })
            .map_err(|errors| syntax_faults(code, errors))?;
        let filter = Compiler::default()
            .with_funs(functions)
            .with_global_vars(["$event"])
            .compile(modules)
            .map_err(|errors| name_faults(code, errors))?;
        Ok(Self(filter))
    }

    /// Runs on an event and its data as JSON, for at most so many outputs.
    pub(crate) fn run(&self, event: &Event, data: &[u8], outputs_max: usize) -> Result<Vec<Val>, Fault> {
        let input = read::parse_single(data).map_err(|error| Fault::Input(error.to_string()))?;
        let context = Ctx::<Data>::new(&self.0.lut, Vars::new([attributes(event)]));
        let mut outputs = Vec::new();
        for output in self.0.id.run((context, input)) {
            let output = output.map_err(|exception| match exception.get_err() {
                Ok(error) => Fault::Error(message(error)),
                Err(_) => Fault::Halted,
            })?;
            if outputs.len() == outputs_max {
                return Err(Fault::TooMany);
            }
            outputs.push(output);
        }
        Ok(outputs)
    }
}

/// An error's text. `error("text")` says only that; other values are shown as JSON.
fn message(error: jaq_json::Error) -> String {
    match error.into_val() {
        Val::TStr(text) => String::from_utf8_lossy(&text).into_owned(),
        other => other.to_string(),
    }
}

/// `$event`.
fn attributes(event: &Event) -> Val {
    let text = |text: &str| Val::utf8_str(text.as_bytes().to_vec());
    let extensions = event
        .attributes
        .iter()
        .map(|(name, value)| (text(name), text(value)));
    let members = [
        ("id", text(&event.id)),
        ("type", text(&event.event_type)),
        ("source", text(&event.source)),
        ("subject", event.subject.as_deref().map_or(Val::Null, text)),
        ("time", text(&event.time)),
        ("attributes", Val::obj(extensions.collect())),
    ];
    Val::obj(
        members
            .into_iter()
            .map(|(name, value)| (text(name), value))
            .collect::<Map>(),
    )
}

fn syntax_faults(code: &str, errors: load::Errors<&str, ()>) -> Vec<String> {
    let mut faults = Vec::new();
    for (_, error) in errors {
        match error {
            load::Error::Io(errors) => faults.extend(
                errors
                    .into_iter()
                    .map(|(part, error)| format!("{}: cannot import: {error}", place(code, part))),
            ),
            load::Error::Lex(errors) => faults.extend(
                errors
                    .into_iter()
                    .map(|(expected, part)| wrong(code, expected.as_str(), part)),
            ),
            load::Error::Parse(errors) => faults.extend(
                errors
                    .into_iter()
                    .map(|(expected, part)| wrong(code, expected.as_str(), part)),
            ),
        }
    }
    faults
}

fn name_faults(code: &str, errors: compile::Errors<&str, ()>) -> Vec<String> {
    let errors = errors.into_iter().flat_map(|(_, errors)| errors);
    let text = errors.map(|(name, kind)| {
        let arity = match &kind {
            compile::Undefined::Filter(arity) => format!("/{arity}"),
            _ => String::new(),
        };
        format!(
            "{}: there is no {} `{name}{arity}`",
            place(code, name),
            kind.as_str()
        )
    });
    text.collect()
}

fn wrong(code: &str, expected: &str, part: &str) -> String {
    let place = place(code, part);
    let part: String = part.trim().chars().take(20).collect();
    if part.is_empty() {
        format!("{place}: expected {expected}, found the end of the program")
    } else {
        format!("{place}: expected {expected}, found `{part}`")
    }
}

/// Line and column at which a part of the program begins.
fn place(code: &str, part: &str) -> String {
    let before = code.get(..load::span(code, part).start).unwrap_or(code);
    let line = before.matches('\n').count() + 1;
    let column = before
        .chars()
        .rev()
        .take_while(|&character| character != '\n')
        .count()
        + 1;
    format!("line {line} column {column}")
}

/// Sends what `debug` and `stderr` print to the plugin's log.
pub(crate) fn connect_log() {
    struct Forward;
    impl log::Log for Forward {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            hookway_plugin::log::debug!("{}", record.args());
        }
        fn flush(&self) {}
    }
    // It fails where it was done before, which is the same.
    drop(log::set_logger(&Forward));
    log::set_max_level(log::LevelFilter::Debug);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// Or a program would mean one thing with the core's definitions and another one with all.
    #[test]
    fn no_definition_takes_the_place_of_another() {
        let functions = jaq_core::funs::<Data>()
            .chain(jaq_std::funs())
            .chain(jaq_json::funs());
        let functions = functions.map(|(name, arguments, _)| (name, arguments.len()));
        let core = jaq_core::defs().map(|found| (found.name, found.args.len()));
        let taken: HashSet<_> = functions.chain(core).collect();
        for found in jaq_std::defs().chain(jaq_json::defs()) {
            assert!(!taken.contains(&(found.name, found.args.len())), "{}", found.name);
        }
    }
}
