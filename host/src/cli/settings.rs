//! `hookway config`: every setting, its value and where it comes from.

use serde_json::{Value, json};

use super::output::{Tone, clean, write_bytes};
use super::{Context, Failure};
use crate::config::{Loaded, Origin, SETTINGS, Setting, reference};

/// Flags of `config`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookway config
  hookway config --doc server
  hookway config --reference > configuration.md
  HOOKWAY_LISTEN=0.0.0.0:80 hookway config --json")]
pub(super) struct Args {
    /// Only settings whose name starts so
    #[arg(value_name = "PREFIX", default_value = "")]
    prefix: String,
    /// Say of each setting what it is for, its form, default, limits and variables
    #[arg(long)]
    doc: bool,
    /// Print the reference page, Markdown: every setting of this version
    #[arg(long, conflicts_with_all = ["prefix", "doc"])]
    reference: bool,
}

/// Shows the settings.
pub(super) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    if args.reference {
        return write_bytes(reference::page().as_bytes());
    }
    let loaded = context.load(Vec::new())?;
    let chosen: Vec<&Setting> = SETTINGS
        .iter()
        .filter(|s| s.path.starts_with(&args.prefix))
        .collect();
    if chosen.is_empty() {
        return Err(Failure::usage(format!(
            "no setting starts with {:?}",
            args.prefix
        )));
    }
    let output = &context.output;
    if output.json {
        return output.json(&chosen.iter().map(|setting| as_json(setting, &loaded)).collect());
    }
    let width = chosen.iter().map(|setting| setting.path.len()).max().unwrap_or(0);
    for setting in chosen {
        let origin = loaded.origin(setting);
        let value = clean(&setting.show(&loaded.config));
        let value = if value.is_empty() {
            output.tone(Tone::Faint, "(none)")
        } else {
            value
        };
        let from = match origin {
            Origin::Default => output.tone(Tone::Faint, "default"),
            given => output.tone(Tone::Good, &clean(&given.to_string())),
        };
        output.line(&format!("{:width$} = {value}  ({from})", setting.path))?;
        if args.doc {
            output.line(&doc_of(setting))?;
        }
    }
    Ok(())
}

fn doc_of(setting: &Setting) -> String {
    let mut text = format!("    {}\n    Form: {}.", setting.doc(), setting.form);
    if !setting.default.is_empty() {
        text.push_str(&format!(" Default: {}.", setting.default));
    }
    if let Some((least, most)) = setting.limits() {
        text.push_str(&format!(" From {least} to {most}."));
    }
    text.push_str(&format!(" Variable: {}.\n", setting.variables().join(", ")));
    text
}

fn as_json(setting: &Setting, loaded: &Loaded) -> Value {
    let (kind, place) = match loaded.origin(setting) {
        Origin::Default => ("default", None),
        Origin::File(path) => ("file", Some(path.display().to_string())),
        Origin::Environment(name) => ("environment", Some(name.clone())),
        Origin::Flag(name) => ("flag", Some(name.clone())),
    };
    let limits = setting.limits();
    json!({
        "name": setting.path,
        "value": setting.show(&loaded.config),
        "origin": kind,
        "origin_name": place,
        "default": setting.default,
        "form": setting.form,
        "minimum": limits.as_ref().map(|(least, _)| least),
        "maximum": limits.as_ref().map(|(_, most)| most),
        "variables": setting.variables(),
        "doc": setting.doc(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Given;
    use crate::config::layers::resolve;

    #[test]
    fn a_secret_is_never_shown() {
        let key = "k3y-0123456789abcdef0123456789abcdef";
        let environment = vec![("HOOKWAY_ADMIN_KEY".to_owned(), key.to_owned())];
        let loaded = resolve(&Given {
            environment,
            ..Given::default()
        })
        .unwrap();
        let all: Value = SETTINGS.iter().map(|setting| as_json(setting, &loaded)).collect();
        assert!(!all.to_string().contains("0123456789abcdef"));
        let shown = all
            .as_array()
            .unwrap()
            .iter()
            .find(|s| s["name"] == "admin_key")
            .unwrap();
        assert_eq!(
            (&shown["origin"], shown["value"].as_str().unwrap().chars().next()),
            (&json!("environment"), Some('*'))
        );
    }
}
