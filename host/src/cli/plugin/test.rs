//! `hookway plugin test`: events from files, through the runtime that serves and within its limits, and
//! compared with what was expected.
//!
//! `fixtures/NAME.json` is an event, `NAME.expected.json` what becomes of it (see `golden`),
//! `NAME.config.json` or else `config.json` the configuration. Whatever an event leaves open (id, source,
//! time) is always the same.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::bench::Bench;
use super::build::BuildFlags;
use super::golden::{golden, text};
use super::sample::Sample;
use super::target::Target;
use super::{difference, run as trial};
use crate::cli::output::{Output, Tone, clean};
use crate::cli::{Context, Failure, input};

/// The folder in a crate.
const FIXTURES: &str = "fixtures";
/// The configuration of every event that has none of its own.
const CONFIG: &str = "config.json";
/// Most files of one folder: its names are held in memory. Three a fixture, this is thousands of them.
const FILES_MAX: usize = 30_000;

/// Flags of `plugin test`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The crate's folder, which is built first, or a component
    #[arg(default_value = ".", value_name = "DIR|WASM")]
    target: PathBuf,
    /// The folder of the events [default: fixtures in the crate]
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,
    /// Write what came as what is expected
    #[arg(long)]
    update: bool,
    #[command(flatten)]
    flags: BuildFlags,
}

/// The files of one event.
#[derive(Debug, PartialEq, Eq)]
struct Fixture {
    name: String,
    event: PathBuf,
    config: Option<PathBuf>,
    expected: PathBuf,
}

/// How one event came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// As expected.
    Passed,
    /// Otherwise.
    Differs,
    /// Nothing was expected yet.
    New,
    /// What is expected was written.
    Written,
}

impl Verdict {
    fn word(self) -> (&'static str, Tone) {
        match self {
            Self::Passed => ("ok", Tone::Good),
            Self::Differs => ("DIFFERS", Tone::Bad),
            Self::New => ("NEW", Tone::Bad),
            Self::Written => ("written", Tone::Odd),
        }
    }
}

/// Runs them all.
pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let output = &context.output;
    let target = Target::at(&args.target)?;
    let folder = folder(&target, args.fixtures.clone());
    let fixtures = fixtures(&folder)?;
    let Some(local) = target.local(&args.flags, output).await? else {
        return Err(Failure::usage("name a crate's folder or a component"));
    };
    let bench = Bench::open(context)?;
    let plugin = bench.load(&local.what, local.component).await?;
    let width = fixtures
        .iter()
        .map(|fixture| fixture.name.chars().count())
        .max()
        .unwrap_or(0);
    let mut results = Vec::with_capacity(fixtures.len());
    for fixture in &fixtures {
        let config = match &fixture.config {
            Some(path) => read_json(path)?,
            None => "{}".to_owned(),
        };
        let what = fixture.event.display().to_string();
        let event = Sample::read(&what, input::file(&what)?)?.fixture()?;
        let record = bench.run(&plugin, &config, &event).await?;
        let got = golden(&record);
        let expected = expected(&fixture.expected)?;
        let verdict = match &expected {
            Some(expected) if *expected == got => Verdict::Passed,
            _ if args.update => {
                write(&fixture.expected, &text(&got))?;
                Verdict::Written
            }
            Some(_) => Verdict::Differs,
            None => Verdict::New,
        };
        let old = expected.as_ref().map(text).unwrap_or_default();
        if !output.json {
            show(output, fixture, width, verdict, &record, &old, &text(&got))?;
        }
        results.push((fixture, verdict, record));
    }
    summary(output, &bench, &results)
}

/// What one event came to.
fn show(
    output: &Output,
    fixture: &Fixture,
    width: usize,
    verdict: Verdict,
    record: &Value,
    old: &str,
    new: &str,
) -> Result<(), Failure> {
    let (word, tone) = verdict.word();
    output.line(&format!(
        "{}  {}  {}",
        output.tone(tone, &format!("{word:<7}")),
        output.tone(Tone::Title, &format!("{:width$}", clean(&fixture.name))),
        trial::measures(output, record),
    ))?;
    if matches!(verdict, Verdict::Differs | Verdict::New) {
        let shown = difference::lines(output, old, new);
        output.lines(&shown.iter().map(|line| format!("    {line}")).collect::<Vec<_>>())?;
        // Why it came otherwise is mostly in what the plugin said.
        let log = trial::log_lines(output, record);
        output.lines(&log.iter().map(|line| format!("  {line}")).collect::<Vec<_>>())?;
        if record["outcome"] == "fault" {
            output.line(&format!("    {}", crate::cli::output::cell(&record["reason"])))?;
        }
    }
    Ok(())
}

fn summary(output: &Output, bench: &Bench, results: &[(&Fixture, Verdict, Value)]) -> Result<(), Failure> {
    let failed = results
        .iter()
        .filter(|(_, verdict, _)| matches!(verdict, Verdict::Differs | Verdict::New))
        .count();
    let most = |name: &str| {
        results
            .iter()
            .filter_map(|(_, _, record)| record[name].as_u64())
            .max()
    };
    let (slowest, memory) = (
        most("duration_us").unwrap_or(0),
        most("memory_bytes").unwrap_or(0),
    );
    let limits = &bench.limits;
    if output.json {
        let results = results.iter().map(|(fixture, verdict, record)| {
            json!({"name": fixture.name, "result": verdict.word().0.to_lowercase(), "run": record})
        });
        output.json(&json!({
            "passed": failed == 0,
            "failed": failed,
            "fixtures": results.collect::<Vec<_>>(),
        }))?;
    } else {
        output.line(&format!(
            "{} of {} as expected; slowest {:.2} ms of {} ms, most memory {} KiB of {} KiB",
            results.len() - failed,
            results.len(),
            // Only shown; a run of 2^52 microseconds there is none.
            std::time::Duration::from_micros(slowest).as_secs_f64() * 1_000.0,
            limits.transform_ms,
            memory / 1_024,
            limits.memory_bytes / 1_024,
        ))?;
    }
    if failed == 0 {
        return Ok(());
    }
    Err(Failure::other(format!(
        "{failed} of {} came out otherwise than expected; if that is meant, `hookway plugin test --update` \
         writes what came",
        results.len()
    )))
}

fn folder(target: &Target, chosen: Option<PathBuf>) -> PathBuf {
    chosen.unwrap_or_else(|| match target {
        Target::Crate(path) => path.join(FIXTURES),
        _ => PathBuf::from(FIXTURES),
    })
}

/// The events of a folder, by name.
fn fixtures(folder: &Path) -> Result<Vec<Fixture>, Failure> {
    let entries = std::fs::read_dir(folder).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::usage(format!(
            "there is no {}: put an event there as NAME.json, as it is posted, and `hookway plugin test \
             --update` writes what is expected of it",
            folder.display()
        )),
        _ => Failure::io(format!("cannot list {}", folder.display()), error),
    })?;
    let names: BTreeSet<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .take(FILES_MAX + 1)
        .collect();
    if names.len() > FILES_MAX {
        return Err(Failure::usage(format!(
            "{} has more than {FILES_MAX} files; give a part of them with --fixtures",
            folder.display()
        )));
    }
    let events = names.iter().filter_map(|name| event_name(name));
    let found: Vec<Fixture> = events
        .map(|name| {
            let own = format!("{name}.config.json");
            let config = [own.as_str(), CONFIG]
                .into_iter()
                .find(|file| names.contains(*file));
            Fixture {
                name: name.to_owned(),
                event: folder.join(format!("{name}.json")),
                config: config.map(|file| folder.join(file)),
                expected: folder.join(format!("{name}.expected.json")),
            }
        })
        .collect();
    if found.is_empty() {
        return Err(Failure::usage(format!(
            "there are no events in {}: put one there as NAME.json, as it is posted",
            folder.display()
        )));
    }
    Ok(found)
}

/// The name of an event, if this is the file of one.
fn event_name(file: &str) -> Option<&str> {
    let name = file.strip_suffix(".json")?;
    let other = name == "config" || name.ends_with(".config") || name.ends_with(".expected");
    (!other && !name.is_empty() && !name.starts_with('.')).then_some(name)
}

fn read_json(path: &Path) -> Result<String, Failure> {
    let what = path.display().to_string();
    Ok(input::json(&what, input::file(&what)?)?.get().to_owned())
}

fn expected(path: &Path) -> Result<Option<Value>, Failure> {
    if !path.exists() {
        return Ok(None);
    }
    let text = read_json(path)?;
    let value = serde_json::from_str(&text);
    value
        .map(Some)
        .map_err(|error| Failure::usage(format!("{} is not JSON: {error}", path.display())))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| Failure::io(format!("cannot write {}", path.display()), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_its_own_configuration_or_that_of_all() {
        let directory = tempfile::tempdir().unwrap();
        let put = |name: &str| std::fs::write(directory.path().join(name), "{}").unwrap();
        for name in [
            "a.json",
            "a.expected.json",
            "b.json",
            "b.config.json",
            "notes.txt",
            ".x.json",
        ] {
            put(name);
        }
        let configs = |found: &[Fixture]| -> Vec<Option<String>> {
            let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
            found
                .iter()
                .map(|fixture| fixture.config.as_ref().map(name))
                .collect()
        };
        let found = fixtures(directory.path()).unwrap();
        let names: Vec<&str> = found.iter().map(|fixture| fixture.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(configs(&found), [None, Some("b.config.json".to_owned())]);
        put("config.json");
        let found = fixtures(directory.path()).unwrap();
        assert_eq!(configs(&found)[0].as_deref(), Some("config.json"));
    }

    #[test]
    fn a_folder_without_events_says_what_belongs_there() {
        let directory = tempfile::tempdir().unwrap();
        for folder in [directory.path().to_owned(), directory.path().join("no")] {
            let fault = fixtures(&folder).unwrap_err();
            assert!(matches!(fault, Failure::Usage(_)));
            assert!(fault.to_string().contains("NAME.json"), "{fault}");
        }
    }
}
