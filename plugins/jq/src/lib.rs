//! The plugin `jq`: an event goes through a jq program, and every output is a request.
//!
//! A program without output (`select`, `empty`) filters the event; `null` and `false` are outputs
//! like any other. The event's attributes are in `$event`, `debug` writes to the log. Data that is a web
//! form is an object of strings. A program sees neither environment nor clock, so that it answers the
//! same whenever it is asked.
//!
//! `program` compiles and runs, `value` turns jaq's values into JSON.

mod program;
mod value;

use hookway_plugin::prelude::*;
use hookway_plugin::serde::de::IgnoredAny;
use program::{Fault, Program};
use std::borrow::Cow;

/// More outputs than this for one event are a mistake in the program.
const OUTPUTS_MAX: usize = 16;

/// The configuration of `jq`.
#[config]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The jq program. It gets the event's data as `.` (a web form as an object of strings, with an
    /// array for a name that is repeated) and its attributes as `$event` (`id`,
    /// `type`, `source`, `subject`, `time`, `attributes`). Example:
    /// `select(.severity == "critical") | {text: .title}`
    #[schemars(length(min = 1))]
    program: String,
    /// The content type of what is sent. An output that is a string is sent as its text, not as
    /// JSON, where this is no JSON type. Example: `text/plain`
    #[serde(default)]
    content_type: Option<String>,
}

/// The plugin.
pub struct Jq {
    program: Program,
    content_type: Option<String>,
    /// Whether strings are sent as they are.
    raw_strings: bool,
}

impl Plugin for Jq {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, Vec<Problem>> {
        program::connect_log();
        let program = Program::compile(&config.program).map_err(|faults| {
            faults
                .into_iter()
                .map(|fault| Problem::at("/program", fault))
                .collect::<Vec<_>>()
        })?;
        let raw_strings = config
            .content_type
            .as_deref()
            .is_some_and(|kind| !kind.contains("json"));
        Ok(Self {
            program,
            content_type: config.content_type,
            raw_strings,
        })
    }

    fn transform(&self, event: &Event, _: &Context) -> Result<Outcome, Failure> {
        // A form is an object of strings; JSON is handed on as it came, with its order and digits.
        let data: Cow<'_, [u8]> = if event.is_form() {
            event.value()?.to_string().into_bytes().into()
        } else {
            // jaq reads more than JSON, and nests as deep as the data does.
            event.json::<IgnoredAny>()?;
            event.data.as_slice().into()
        };
        if value::depth(&data) > value::DEPTH_MAX {
            return Err(reject(format!(
                "the data is nested deeper than {}",
                value::DEPTH_MAX
            )));
        }
        let outputs = self.program.run(event, &data, OUTPUTS_MAX).map_err(failure)?;
        if outputs.is_empty() {
            return filtered("the program gave no output");
        }
        let requests = outputs.iter().map(|output| {
            let body = match value::text(output).filter(|_| self.raw_strings) {
                Some(text) => text.to_vec(),
                None => value::to_json(output).map_err(reject)?,
            };
            let request = Request::new(body);
            Ok(match &self.content_type {
                Some(kind) => request.header("content-type", kind),
                None => request,
            })
        });
        deliver(requests.collect::<Result<Vec<_>, Failure>>()?)
    }
}

fn failure(fault: Fault) -> Failure {
    reject(match fault {
        Fault::Input(text) => format!("the data cannot be read: {text}"),
        Fault::Error(text) => format!("the program failed: {text}"),
        Fault::Halted => "the program halted".to_owned(),
        Fault::TooMany => format!("the program gave more than {OUTPUTS_MAX} outputs"),
    })
}

hookway_plugin::export!(Jq as "jq");

#[cfg(test)]
mod tests {
    use super::*;
    use hookway_plugin::log::Level;
    use hookway_plugin::testing::{self, event, run};

    fn alert() -> Event {
        let mut event = event("alert.created", Value::Null);
        let data = r#"{"title": "Disk full", "severity": "critical", "tags": [1, 2]}"#;
        event.data = data.into();
        event
    }

    fn body(program: &str, event: &Event) -> String {
        let run = run::<Jq>(json!({"program": program}), event);
        String::from_utf8(run.request().body.clone()).expect("text")
    }

    #[test]
    fn programs_reshape() {
        for (program, expected) in [
            (".title", r#""Disk full""#),
            (
                "{text: .title, by: $event.source}",
                r#"{"text":"Disk full","by":"test"}"#,
            ),
            ("$event.type", r#""alert.created""#),
            (".missing", "null"),
            (".severity == \"low\"", "false"),
            (".tags | map(. * 2) | add", "6"),
            ("[.[] | strings] | join(\"/\")", r#""Disk full/critical""#),
            (". | keys_unsorted", r#"["title","severity","tags"]"#),
            ("[nan, infinite]", "[null,1.7976931348623157e308]"),
            (".title | test(\"disk\"; \"i\")", "true"),
            ("$event.time | fromdate | floor", "1767323045"),
            ("\"\\(.title)!\" | @base64", r#""RGlzayBmdWxsIQ==""#),
        ] {
            assert_eq!(body(program, &alert()), expected, "{program}");
        }
    }

    #[test]
    fn a_web_form_is_an_object_of_strings() {
        let mut event = alert();
        event.content_type = "application/x-www-form-urlencoded".to_owned();
        event.data = b"From=%2B1555&Body=It+is+%22down%22&Media=a&Media=b".to_vec();
        for (program, expected) in [
            (
                "{text: \"\\(.From): \\(.Body)\"}",
                r#"{"text":"+1555: It is \"down\""}"#,
            ),
            (".Media", r#"["a","b"]"#),
        ] {
            assert_eq!(body(program, &event), expected, "{program}");
        }
    }

    #[test]
    fn the_lines_of_the_cookbook_work() {
        let book = include_str!("../../../docs/cookbook.md");
        for (program, data, expected) in [
            (
                r#"{text: .title, by: $event.source}"#,
                r#"{"title":"Hi"}"#,
                r#"{"text":"Hi","by":"test"}"#,
            ),
            (
                r#".customer.email = "[redacted]""#,
                r#"{"customer":{"email":"a"}}"#,
                r#"{"customer":{"email":"[redacted]"}}"#,
            ),
            (".lines[]", r#"{"lines":[7]}"#, "7"),
            (
                r#". + {region: "eu", kind: $event.type}"#,
                r#"{"a":1}"#,
                r#"{"a":1,"region":"eu","kind":"alert.created"}"#,
            ),
            (
                r#"select(.severity == "critical")"#,
                r#"{"severity":"critical"}"#,
                r#"{"severity":"critical"}"#,
            ),
            (
                r#"{text: "\(.From): \(.Body)"}"#,
                r#"{"From":"a","Body":"b"}"#,
                r#"{"text":"a: b"}"#,
            ),
        ] {
            assert!(book.contains(&format!("`{program}`")), "{program}");
            let mut event = alert();
            event.data = data.into();
            assert_eq!(body(program, &event), expected, "{program}");
        }
    }

    #[test]
    fn numbers_and_order_stay_as_they_were() {
        let mut event = alert();
        let data = r#"{"z":1.50,"a":12345678901234567890123,"m":1700000000000,"é":"\u0000<"}"#;
        event.data = data.into();
        assert_eq!(body(".", &event), data);
    }

    #[test]
    fn no_output_filters_and_each_output_is_a_request() {
        let filtered = run::<Jq>(json!({"program": "select(.severity == \"low\")"}), &alert());
        assert_eq!(filtered.filtered(), "the program gave no output");
        let several = run::<Jq>(json!({"program": ".tags[]"}), &alert());
        let bodies: Vec<_> = several
            .output()
            .requests
            .iter()
            .map(|one| &one.body[..])
            .collect();
        assert_eq!(bodies, [b"1", b"2"]);
        let sixteen = run::<Jq>(json!({"program": "range(16)"}), &alert());
        assert_eq!(sixteen.output().requests.len(), 16);
    }

    #[test]
    fn what_cannot_work_is_rejected() {
        let nested = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for (program, data, expected) in [
            (
                ".",
                "plain text",
                "the data is not JSON: expected value at line 1 column 1",
            ),
            (
                ".",
                "NaN",
                "the data is not JSON: expected value at line 1 column 1",
            ),
            (".", &nested, "the data is nested deeper than 128"),
            (".a", "[1]", "the program failed: cannot index [1] with \"a\""),
            ("error(\"no lead\")", "{}", "the program failed: no lead"),
            ("halt", "{}", "the program halted"),
            ("range(17)", "{}", "the program gave more than 16 outputs"),
            ("repeat(1)", "{}", "the program gave more than 16 outputs"),
            (
                "{(1|tostring): 1} | {(.): 2}",
                "{}",
                "an object has a key that is no string",
            ),
            (
                "reduce range(500) as $i (0; [.])",
                "{}",
                "the output is nested deeper than 128",
            ),
        ] {
            let mut event = alert();
            event.data = data.into();
            let run = run::<Jq>(json!({"program": program}), &event);
            let text = run.failure().to_string();
            assert_eq!(text.trim_start_matches("rejected: "), expected, "{program}");
        }
    }

    #[test]
    fn faults_in_the_program_are_said_with_their_place() {
        for (program, expected) in [
            ("", "line 1 column 1: expected term, found the end of the program"),
            (
                "{a: .b",
                "line 1 column 7: expected closing brace, found the end of the program",
            ),
            (".a |\n  | .b", "line 2 column 3: expected term, found `|`"),
            ("foo(1) | bar", "line 1 column 1: there is no filter `foo/1`"),
            (".a | $who", "line 1 column 6: there is no variable `$who`"),
            ("now", "line 1 column 1: there is no filter `now/0`"),
            ("env", "line 1 column 1: there is no filter `env/0`"),
            (
                "import \"a\" as a; .",
                "line 1 column 9: cannot import: module loading not supported",
            ),
        ] {
            let problems = testing::problems::<Jq>(json!({"program": program}));
            assert_eq!(problems[0], Problem::at("/program", expected), "{program}");
        }
        let both = testing::problems::<Jq>(json!({"program": "foo(1) | bar"}));
        assert_eq!(both.len(), 2);
    }

    #[test]
    fn other_content_types() {
        let config = json!({"program": ".title", "content_type": "text/plain"});
        let run = run::<Jq>(config, &alert());
        assert_eq!(run.request().body, b"Disk full");
        assert_eq!(
            run.request().headers,
            [("content-type".to_owned(), "text/plain".to_owned())]
        );
        let config = json!({"program": "{a: 1}", "content_type": "application/x-thing+json"});
        assert_eq!(testing::run::<Jq>(config, &alert()).json(), json!({"a": 1}));
    }

    #[test]
    fn debug_goes_to_the_log() {
        let run = run::<Jq>(json!({"program": ".title | debug"}), &alert());
        run.assert_logged(Level::Debug, "Disk full");
    }

    #[test]
    fn it_says_what_it_is() {
        let manifest = testing::describe::<Jq>();
        assert_eq!(manifest.package.name, "jq");
        assert!(manifest.config_schema.contains("additionalProperties"));
        assert_eq!(testing::problems::<Jq>(json!({"program": ".", "x": 1})).len(), 1);
    }
}
