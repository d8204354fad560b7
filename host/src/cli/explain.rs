//! `hookway explain`: what a problem means and what to do about it, from the pages that the router serves
//! under `/problems`, too. They are part of the program, so no router is asked.

use serde_json::{Value, json};

use super::output::{Column, Output, Tone};
use super::{Context, Failure};
use crate::api::inbound;
use crate::api::problem::{Kind, PAGES};
use crate::json::nearest;
use crate::reception::Refusal;

/// Flags of `explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookway explain
  hookway explain invalid
  hookway explain mismatch")]
pub(super) struct Args {
    /// The problem's name or `type`, such as invalid or /problems/invalid, or a reception's reason, such as
    /// mismatch [default: list all]
    #[arg(value_name = "PROBLEM")]
    slug: Option<String>,
}

const COLUMNS: [Column; 3] = [("PROBLEM", "/slug"), ("STATUS", "/status"), ("MEANING", "/title")];

/// Prints a page, or the list of them.
pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let output = &context.output;
    let Some(given) = &args.slug else {
        let kinds: Vec<Value> = Kind::ALL.iter().copied().map(summary).collect();
        return match output.json {
            true => output.json(&json!({ "data": kinds })),
            false => output.rows(&kinds, &COLUMNS),
        };
    };
    let kind = kind_of(given)?;
    if output.json {
        let mut shown = summary(kind);
        shown["page"] = kind.page().into();
        return output.json(&shown);
    }
    output.lines(&page(kind.page(), output))
}

fn summary(kind: Kind) -> Value {
    json!({
        "type": kind.reference(),
        "slug": kind.slug(),
        "status": kind.status().as_u16(),
        "title": kind.title(),
    })
}

/// The kind that somebody names by its slug, by a problem's `type`, by the URL of its page, or by the word
/// that the receptions of a source have for a refusal.
fn kind_of(given: &str) -> Result<Kind, Failure> {
    let slug = match given.rsplit_once(PAGES) {
        Some((_, rest)) => rest.trim_start_matches('/'),
        None => given,
    };
    let refusal = || Refusal::of(slug).map(inbound::kind);
    Kind::of_slug(slug).or_else(refusal).ok_or_else(|| {
        let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.slug()).collect();
        let hint = match nearest(slug, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`hookway explain` lists them".to_owned(),
        };
        Failure::usage(format!("there is no problem called `{given}`; {hint}"))
    })
}

/// A page as a terminal shows it: titles stand out, code is indented, the rest is as it was written.
fn page(text: &str, output: &Output) -> Vec<String> {
    let mut code = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            code = !code;
        } else if code {
            lines.push(format!("    {line}"));
        } else {
            let title = line.strip_prefix("## ").or_else(|| line.strip_prefix("# "));
            lines.push(title.map_or_else(|| line.to_owned(), |title| output.tone(Tone::Title, title)));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, ColourWhen};
    use super::*;
    use crate::config::SETTINGS;

    #[test]
    fn a_problem_is_found_by_whatever_people_have_of_it() {
        for given in [
            "too-large",
            "/problems/too-large",
            "http://127.0.0.1:8080/problems/too-large",
        ] {
            assert_eq!(kind_of(given).unwrap(), Kind::TooLarge, "{given}");
        }
        assert_eq!(kind_of("mismatch").unwrap(), Kind::Unverified);
        let near = kind_of("too-larg").unwrap_err().to_string();
        assert!(near.contains("`too-large`"), "{near}");
        let far = kind_of("/problems/").unwrap_err().to_string();
        assert!(far.contains("lists them"), "{far}");
    }

    #[test]
    fn a_page_is_shown_without_its_marks() {
        let output = Output::new(false, ColourWhen::Never, false);
        assert_eq!(
            page("# T\n\nx `y`\n\n```json\n{\n# }\n```\n## U", &output),
            ["T", "", "x `y`", "", "    {", "    # }", "U"]
        );
    }

    /// What the pages tell people to type must work, and to set must be there.
    #[test]
    fn the_pages_name_commands_and_settings_that_exist() {
        let mut commands = 0;
        for kind in Kind::ALL {
            let mut lines = kind.page().lines();
            while lines.any(|line| line.starts_with("```")) {
                for line in lines.by_ref().take_while(|line| !line.starts_with("```")) {
                    let call = line.split([' ', '|', '>']).take_while(|word| !word.is_empty());
                    let call: Vec<&str> = call.collect();
                    if call.first() != Some(&"hookway") {
                        continue;
                    }
                    commands += 1;
                    if let Err(error) = Cli::try_parse_from(call) {
                        let shown = error.kind() == clap::error::ErrorKind::DisplayHelp;
                        assert!(shown, "{}: {line}: {error}", kind.slug());
                    }
                }
            }
            for (n, word) in kind.page().split('`').enumerate() {
                let group = word.split_once('.').map_or("", |(group, _)| group);
                if n % 2 == 1
                    && SETTINGS
                        .iter()
                        .any(|known| known.path.starts_with(&format!("{group}.")))
                {
                    let known = SETTINGS.iter().any(|setting| setting.path == word);
                    assert!(known, "{}: there is no setting {word}", kind.slug());
                }
            }
        }
        assert!(commands > 20, "only {commands} commands found");
    }
}
