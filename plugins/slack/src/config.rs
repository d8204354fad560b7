//! The configuration: what an operator may say, and what is wrong with what was said.

use crate::Slack;
use crate::pattern;
use crate::severity::Severity;
use crate::template::Template;
use hookway_plugin::{Problem, config};

/// The configuration of `slack`. Everything is optional. Templates take values from the event with
/// `{{type}}`, `{{source}}`, `{{subject}}`, `{{time}}` and `{{data.some.member}}`; what is not there
/// is empty. Values are escaped; what you write yourself may use Slack's formatting.
#[config]
#[derive(Default)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Template of the title, such as `{{data.name}} is {{data.status}}`. Without it the plugin
    /// looks for `title`, `name` and the like, and takes the event's type where there is nothing.
    title: Option<String>,
    /// Template of the text, in Slack's mrkdwn. Without it the plugin looks for `message`,
    /// `summary`, `description` and the like, and shows the other members as fields.
    text: Option<String>,
    /// Names and values in two columns. Without it: the data's scalar members, unless there is a
    /// `text`. An empty list shows none.
    fields: Option<Vec<Field>>,
    /// A link under the message.
    link: Option<Link>,
    /// Only events of these types: `alert.created`, `alert.*`, `*`. Empty means all that come.
    types: Vec<String>,
    /// Only events that are at least this bad. Events without any severity are filtered, events
    /// with an unknown one are sent.
    min_severity: Option<Severity>,
    /// JSON Pointer to the severity in the data. Without it: `/severity`, then `/data/severity`.
    severity: Option<String>,
    /// Whether the severity gives the message a coloured bar; it does unless this is `false`.
    color: Option<bool>,
}

/// A name and a value.
#[config]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Template of the name.
    title: String,
    /// Template of the value. The field is left out where it is empty.
    value: String,
}

/// A link.
#[config]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Template of the address, such as `{{data.url}}`. Only http and https addresses are shown.
    url: String,
    /// Template of what is shown; `Open` where it is missing or empty.
    #[serde(default)]
    label: String,
}

/// Makes the plugin, or says everything that is wrong.
pub(crate) fn check(config: Config) -> Result<Slack, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut template = |pointer: String, text: &str| match Template::read(text) {
        Ok(template) => Some(template),
        Err(fault) => {
            problems.push(Problem::at(pointer, fault));
            None
        }
    };
    let title = config
        .title
        .and_then(|text| template("/title".into(), &text));
    let text = config.text.and_then(|text| template("/text".into(), &text));
    let fields = config.fields.map(|fields| {
        let fields = fields.iter().enumerate().filter_map(|(index, field)| {
            let name = template(format!("/fields/{index}/title"), &field.title);
            let value = template(format!("/fields/{index}/value"), &field.value);
            Some((name?, value?))
        });
        fields.collect()
    });
    let link = config.link.and_then(|link| {
        let url = template("/link/url".into(), &link.url);
        let label = template("/link/label".into(), &link.label);
        Some((url?, label?))
    });
    for (index, pattern) in config.types.iter().enumerate() {
        let fault = pattern::fault(pattern);
        problems.extend(fault.map(|fault| Problem::at(format!("/types/{index}"), fault)));
    }
    let severity_pointers = match config.severity {
        None => vec!["/severity".to_owned(), "/data/severity".to_owned()],
        Some(pointer) if pointer.starts_with('/') => vec![pointer],
        Some(pointer) => {
            let detail =
                format!("`{pointer}` is no JSON Pointer; write one like `/labels/severity`");
            problems.push(Problem::at("/severity", detail));
            Vec::new()
        }
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Slack {
        title,
        text,
        fields,
        link,
        types: config.types,
        min_severity: config.min_severity,
        severity_pointers,
        color: config.color.unwrap_or(true),
    })
}
