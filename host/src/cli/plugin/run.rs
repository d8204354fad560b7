//! `hookway plugin run`: one event through one plugin, and nothing is sent.
//!
//! A component, a crate and the plugins of this program run here, in the runtime that serves; a router
//! is asked for plugins that only it has. The record that is shown has one shape, whoever made it.
//! `--against` runs a second plugin or version on the same event and shows what differs.

use http::Method;
use serde_json::{Value, json};

use super::bench::{Bench, REFUSED};
use super::build::BuildFlags;
use super::golden::{golden, text};
use super::sample::Sample;
use super::target::{Target, whole_digest};
use super::{difference, sample};
use crate::cli::client::Body;
use crate::cli::deliveries::{pretty, run_line};
use crate::cli::output::{Output, Tone, cell};
use crate::cli::{Context, Failure, input};
use crate::clock::Clock;
use crate::time::Timestamp;

/// The outcome of a run that was stopped, or that gave what is not allowed.
const FAULT: &str = "fault";

/// Flags of `plugin run`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A .wasm file, a crate's folder (built first), a plugin of this program, or the name of one that
    /// the router knows (NAME@DIGEST for one version)
    target: String,
    /// A file with the event as it would be posted to /events (- for standard input)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["event_type", "data"])]
    event: Option<String>,
    /// The event's type, in place of --event
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// The event's data: JSON, @FILE or -
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    /// An event of the router's history, by its id
    #[arg(long, value_name = "ID", conflicts_with_all = ["event", "event_type", "data"])]
    event_id: Option<String>,
    /// The plugin's configuration: JSON, @FILE or -
    #[arg(long, value_name = "JSON", default_value = "{}")]
    plugin_config: String,
    /// Run this one on the same event too, and show what it does otherwise
    #[arg(long, value_name = "TARGET")]
    against: Option<String>,
    #[command(flatten)]
    flags: BuildFlags,
}

/// Runs it, and fails if the plugin broke: scripts that try a plugin look at exit codes.
pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let record = tried(args, context).await?;
    match record["outcome"] == FAULT {
        true => Err(Failure::other(
            "the plugin broke a rule of the router; a delivery would record this fault",
        )),
        false => Ok(()),
    }
}

/// Runs it, shows what came of it and says it.
async fn tried(args: Args, context: &Context) -> Result<Value, Failure> {
    let output = &context.output;
    let target = Target::of(&args.target)?.where_named(context);
    let against = args.against.as_deref().map(Target::of).transpose()?;
    let against = against.map(|target| target.where_named(context));
    let now = Clock::system().now();
    let sample = sample_of(&args, context).await?.arrive(now)?;
    let config = input::json("--plugin-config", input::argument(&args.plugin_config)?)?;
    let mut trial = Trial {
        context,
        sample: &sample,
        now,
        config: config.get(),
        flags: &args.flags,
        bench: None,
    };
    let record = trial.record(&target).await?;
    let Some(other) = against else {
        if output.json {
            output.json(&record)?;
        } else {
            show(output, &target.name(), &record)?;
        }
        return Ok(record);
    };
    let against = trial.record(&other).await?;
    let (old, new) = (golden(&against), golden(&record));
    if output.json {
        output.json(&json!({"run": &record, "against": against, "same": old == new}))?;
        return Ok(record);
    }
    for (target, record) in [(&other, &against), (&target, &record)] {
        output.line(&format!("{}  {}", target.name(), measures(output, record)))?;
    }
    if old == new {
        output.line("both do the same")?;
        return Ok(record);
    }
    output.line(&output.tone(Tone::Faint, &format!("- {}", other.name())))?;
    output.line(&output.tone(Tone::Faint, &format!("+ {}", target.name())))?;
    output.lines(&difference::lines(output, &text(&old), &text(&new)))?;
    Ok(record)
}

/// One event and one configuration, for as many plugins as are asked for.
struct Trial<'a> {
    context: &'a Context,
    sample: &'a Sample,
    now: Timestamp,
    config: &'a str,
    flags: &'a BuildFlags,
    bench: Option<Bench>,
}

impl Trial<'_> {
    /// What a plugin makes of the event.
    async fn record(&mut self, target: &Target) -> Result<Value, Failure> {
        let Some(local) = target.local(self.flags, &self.context.output).await? else {
            return self.asked(target).await;
        };
        let bench = match self.bench.take() {
            Some(bench) => bench,
            None => Bench::open(self.context)?,
        };
        let plugin = bench.load(&local.what, local.component).await?;
        let event = self.sample.event(self.now)?;
        let record = bench.run(&plugin, self.config, &event).await;
        self.bench = Some(bench);
        let record = record?;
        if record["outcome"] == REFUSED {
            return Err(refused(&local.what, &record));
        }
        Ok(record)
    }

    /// The same from a router.
    async fn asked(&self, target: &Target) -> Result<Value, Failure> {
        let Target::Known { name, digest } = target else {
            return Err(Failure::other(format!(
                "{} is not in this program",
                target.name()
            )));
        };
        if std::path::Path::new(name).is_dir() {
            let remark = format!("asking the router for `{name}`; the folder of that name is ./{name}");
            self.context.output.note(&remark);
        }
        let client = self.context.client()?;
        let digest = match digest {
            Some(digits) => Some(whole_digest(&client, name, digits).await?),
            None => None,
        };
        let body = self.sample.body(self.config, digest.as_deref());
        let answer = client
            .call(Method::POST, &["plugins", name, "run"], &[], Body::Json(body))
            .await?;
        Ok((*answer).clone())
    }
}

/// A configuration that the plugin does not take, as people read it.
fn refused(what: &str, record: &Value) -> Failure {
    let problems = record["problems"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let lines = problems.iter().map(|problem| {
        let (pointer, detail) = (cell(&problem["pointer"]), cell(&problem["detail"]));
        format!("\n  {}", format!("{pointer} {detail}").trim_start())
    });
    Failure::usage(format!(
        "{what} does not take the configuration (--plugin-config):{}",
        lines.collect::<String>()
    ))
}

async fn sample_of(args: &Args, context: &Context) -> Result<Sample, Failure> {
    if let Some(id) = &args.event_id {
        let event = context.client()?.get(&["events", id], &[]).await?;
        return sample::Sample::of_history(id, event.text());
    }
    match (&args.event, &args.event_type) {
        (Some(path), _) => Sample::read(path, input::file(path)?),
        (None, Some(event_type)) => Sample::of(event_type, args.data.as_deref()),
        (None, None) => Err(Failure::usage(
            "give an event: --event FILE, --event-id ID, or --type and --data",
        )),
    }
}

/// What a run decided, how long it took and what memory it had.
pub(in crate::cli) fn measures(output: &Output, record: &Value) -> String {
    let outcome = cell(&record["outcome"]);
    let tone = Tone::of_status(&outcome);
    let micros = record["duration_us"].as_f64().unwrap_or_default();
    let memory = record["memory_bytes"].as_u64().unwrap_or_default();
    format!(
        "{}  {:.2} ms  {} KiB",
        output.tone(tone, &format!("{outcome:<7}")),
        micros / 1_000.0,
        memory / 1_024
    )
}

/// What a run logged.
pub(super) fn log_lines(output: &Output, record: &Value) -> Vec<String> {
    let line = |log: &Value| {
        let level = output.tone(Tone::Faint, &cell(&log["level"]));
        format!("  {level}  {}", cell(&log["message"]))
    };
    let mut lines: Vec<String> = list(record, "logs").iter().map(line).collect();
    if let Some(dropped @ 1..) = record["logs_dropped"].as_u64() {
        lines.push(format!("  {dropped} more lines did not fit"));
    }
    lines
}

/// A record as people read it.
fn show(output: &Output, name: &str, record: &Value) -> Result<(), Failure> {
    // On a delivery a run names its plugin; here the caller did.
    let mut result = record.clone();
    result["plugin"] = json!(name);
    output.line(&run_line(output, &result))?;
    output.lines(&log_lines(output, record))?;
    for request in list(record, "requests") {
        let method = request["method"].as_str().unwrap_or("POST");
        let title = format!("request {method} {}", cell(&request["path"]));
        output.line(&output.tone(Tone::Title, title.trim_end()))?;
        for header in list(request, "headers") {
            let name = output.tone(Tone::Faint, &format!("{}:", cell(&header[0])));
            output.line(&format!("  {name} {}", cell(&header[1])))?;
        }
        if let Some(delay) = request["delay_ms"].as_u64() {
            output.line(&format!("  not before {delay} ms have passed"))?;
        }
        body(output, &request["body"])?;
    }
    for event in list(record, "events") {
        let title = format!("event {} {}", cell(&event["type"]), cell(&event["subject"]));
        output.line(&output.tone(Tone::Title, title.trim_end()))?;
        body(output, &event["data"])?;
    }
    Ok(())
}

fn body(output: &Output, text: &Value) -> Result<(), Failure> {
    pretty(text.as_str().unwrap_or("(not text)"))
        .iter()
        .try_for_each(|line| output.line(&format!("  {line}")))
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ColourWhen;

    #[test]
    fn a_refused_configuration_says_where() {
        let record = json!({"outcome": REFUSED, "problems": [
            {"pointer": "/a", "detail": "is no number"}, {"pointer": "", "detail": "lacks `b`"}]});
        let text = refused("leads", &record).to_string();
        assert!(text.ends_with(":\n  /a is no number\n  lacks `b`"), "{text}");
    }

    #[test]
    fn a_run_is_a_line_and_its_log_is_below() {
        let output = Output::new(false, ColourWhen::Never, true);
        let record = json!({"outcome": "filtered", "duration_us": 1_230, "memory_bytes": 2_048,
            "logs": [{"level": "warn", "message": "a\u{7}"}], "logs_dropped": 2});
        assert_eq!(measures(&output, &record), "filtered  1.23 ms  2 KiB");
        assert_eq!(
            log_lines(&output, &record),
            ["  warn  a\\u{7}", "  2 more lines did not fit"]
        );
    }
}
