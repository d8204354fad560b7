//! `hookway plugin inspect`: what a plugin is, what it can reach, how it is configured, who uses it.

use serde_json::{Value, json};

use super::bench::Bench;
use super::build::BuildFlags;
use super::schema;
use super::target::Target;
use crate::api::plugins::ComponentOut;
use crate::cli::output::{Column, Output, Tone, cell};
use crate::cli::{Context, Failure};
use crate::plugin::{Plugin, grant};

const FIELDS: [Column; 10] = [
    ("name", "/name"),
    ("version", "/version"),
    ("summary", "/summary"),
    ("origin", "/origin"),
    ("digest", "/digest"),
    ("size", "/shown_size"),
    ("event types", "/event_types"),
    ("headers", "/wants_headers"),
    ("used by", "/used_by"),
    ("exports", "/exports"),
];
const VERSION_COLUMNS: [Column; 4] = [
    ("DIGEST", "/digest"),
    ("BYTES", "/size"),
    ("UPLOADED", "/uploaded_at"),
    ("CURRENT", "/current"),
];
/// Digits of a digest that are enough for people.
const DIGITS: usize = 12;

/// Flags of `plugin inspect`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A plugin's name, a .wasm file, or a crate's folder (built first)
    target: String,
    /// Print the JSON Schema of its configuration and nothing else
    #[arg(long)]
    schema: bool,
    #[command(flatten)]
    flags: BuildFlags,
}

/// Shows it.
pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let output = &context.output;
    let target = Target::of(&args.target)?.where_named(context);
    let plugin = found(&target, &args.flags, context).await?;
    let config = &plugin["config_schema"];
    if args.schema {
        if config.is_null() {
            return Err(Failure::other(format!("{} has no schema", target.name())));
        }
        return output.json(config);
    }
    if output.json {
        return output.json(&plugin);
    }
    show(output, &plugin)
}

/// From the router where it is a name, and from the component itself otherwise. The plugins of this
/// program can be looked at without a router; then nobody knows who uses them.
async fn found(target: &Target, flags: &BuildFlags, context: &Context) -> Result<Value, Failure> {
    let name = match target {
        Target::FirstParty(name) => Some(*name),
        Target::Known { name, .. } => Some(name.as_str()),
        Target::File(_) | Target::Crate(_) => None,
    };
    if let Some(name) = name {
        let answer = match context.client() {
            Ok(client) => client.get(&["plugins", name], &[]).await,
            Err(failure) => Err(failure),
        };
        match (answer, target) {
            (Ok(plugin), _) => return Ok((*plugin).clone()),
            (Err(Failure::Unreachable { .. } | Failure::Usage(_)), Target::FirstParty(_)) => {}
            (Err(failure), _) => return Err(failure),
        }
    }
    let Some(local) = target.local(flags, &context.output).await? else {
        return Err(Failure::usage(format!("there is no {}", target.name())));
    };
    let plugin = Bench::open(context)?.load(&local.what, local.component).await?;
    let mut described = described(&plugin);
    described["origin"] = match target {
        Target::FirstParty(_) => json!("first-party (no router was asked who uses it)"),
        _ => json!(local.what),
    };
    Ok(described)
}

/// What a component says of itself, in the words of the API.
pub(super) fn described(plugin: &Plugin) -> Value {
    let manifest = plugin.manifest();
    let mut described = serde_json::to_value(ComponentOut::from(plugin)).unwrap_or_default();
    described["name"] = json!(manifest.name);
    described["version"] = json!(manifest.version);
    described["summary"] = json!(manifest.summary);
    described["digest"] = json!(plugin.digest());
    described
}

fn show(output: &Output, plugin: &Value) -> Result<(), Failure> {
    let mut shown = plugin.clone();
    let size = plugin["size"]
        .as_u64()
        .and_then(|size| usize::try_from(size).ok());
    shown["shown_size"] = size.map(kilobytes).into();
    output.fields(&shown, &FIELDS)?;
    let strings = |name: &str| -> Vec<String> {
        let list = plugin[name].as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    output.line("")?;
    output.lines(&import_lines(output, &strings("imports")))?;
    let versions = plugin["versions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if !versions.is_empty() {
        output.line("")?;
        output.rows(versions, &VERSION_COLUMNS)?;
    }
    let fields = schema::rows(&plugin["config_schema"]);
    output.line("")?;
    if fields.is_empty() {
        return output.line(&output.tone(Tone::Faint, "no configuration"));
    }
    output.line(&output.tone(Tone::Faint, "configuration (--schema prints it whole)"))?;
    for field in fields {
        let [name, kind, default, description] =
            ["field", "type", "default", "description"].map(|column| cell(&field[column]));
        let default = match default.as_str() {
            "" => String::new(),
            "required" => output.tone(Tone::Odd, "  required"),
            value => format!("  = {value}"),
        };
        let kind = output.tone(Tone::Faint, &kind);
        output.line(&format!("  {}  {kind}{default}", output.tone(Tone::Title, &name)))?;
        if !description.is_empty() {
            output.line(&format!("      {description}"))?;
        }
    }
    Ok(())
}

/// What a plugin can reach: each import, and what it gets by it.
pub(super) fn import_lines(output: &Output, imports: &[String]) -> Vec<String> {
    if imports.is_empty() {
        return vec!["it reaches nothing: it has no imports".to_owned()];
    }
    let width = imports.iter().map(String::len).max().unwrap_or(0);
    let title = output.tone(Tone::Faint, "it reaches, by its imports");
    let line = |import: &String| {
        let shown = cell(&json!(import));
        format!("  {shown:width$}  {}", output.tone(Tone::Faint, grant(import)))
    };
    std::iter::once(title).chain(imports.iter().map(line)).collect()
}

/// A size for people.
pub(in crate::cli) fn kilobytes(bytes: usize) -> String {
    format!("{} kB", bytes.div_ceil(1_000))
}

/// The digits of a digest that people compare.
pub(in crate::cli) fn short(digest: &str) -> String {
    digest.chars().take(DIGITS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ColourWhen;

    #[test]
    fn imports_are_shown_with_what_they_grant() {
        let output = Output::new(false, ColourWhen::Never, true);
        let imports = ["hookway:plugin/log@0.1.0", "wasi:cli/exit@0.2.6"].map(str::to_owned);
        assert_eq!(
            import_lines(&output, &imports),
            [
                "it reaches, by its imports",
                "  hookway:plugin/log@0.1.0  lines in the log of the delivery",
                "  wasi:cli/exit@0.2.6       ends the run with a fault"
            ]
        );
        assert_eq!(
            import_lines(&output, &[]),
            ["it reaches nothing: it has no imports"]
        );
        assert_eq!(
            (kilobytes(98_001), short(&"ab".repeat(32)).len()),
            ("99 kB".to_owned(), 12)
        );
    }
}
