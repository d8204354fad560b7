//! Templates with `{{path}}`, read once and filled for each event.
//!
//! A path names an attribute of the event (`type`, `id`, `source`, `subject`, `time`, `tenant`,
//! `attributes.name`), a place in its data (`data.items.0.name`, or as a JSON Pointer
//! `/items/0/name`), or, where it is neither, a member of the data. What is not there is empty.
//! The operator wrote the template and may use what Slack offers; values are escaped.

use crate::text::escape;
use hookway_plugin::Event;
use hookway_plugin::serde_json::Value;

/// A template that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Path(String),
}

impl Template {
    /// Reads a template, or says what is wrong with it.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once("{{") {
            let position = text.len() - after.len() - 1;
            let (path, after) = after
                .split_once("}}")
                .ok_or_else(|| format!("`{{{{` at byte {position} is never closed by `}}}}`"))?;
            let path = path.trim();
            if path.is_empty() || path.contains(['{', '}']) || path.contains(char::is_whitespace) {
                return Err(format!(
                    "`{{{{{path}}}}}` at byte {position} is no path; write one like {{{{data.title}}}}"
                ));
            }
            parts.push(Part::Literal(literal.to_owned()));
            parts.push(Part::Path(path.to_owned()));
            rest = after;
        }
        parts.push(Part::Literal(rest.to_owned()));
        Ok(Self { parts })
    }

    /// Fills in the values of an event, escaped.
    pub(crate) fn fill(&self, event: &Event, data: &Value) -> String {
        self.fill_with(event, data, escape)
    }

    /// Fills in the values as they are, for what is escaped later as a whole.
    pub(crate) fn fill_raw(&self, event: &Event, data: &Value) -> String {
        self.fill_with(event, data, str::to_owned)
    }

    fn fill_with(&self, event: &Event, data: &Value, escape: fn(&str) -> String) -> String {
        let parts = self.parts.iter().map(|part| match part {
            Part::Literal(text) => text.clone(),
            Part::Path(path) => escape(&resolve(path, event, data)),
        });
        parts.collect()
    }
}

fn resolve(path: &str, event: &Event, data: &Value) -> String {
    match path {
        "type" => return event.event_type.clone(),
        "id" => return event.id.clone(),
        "source" => return event.source.clone(),
        "subject" => return event.subject.clone().unwrap_or_default(),
        "time" => return event.time.clone(),
        "tenant" => return event.tenant.clone(),
        "data" => return show(data),
        _ => {}
    }
    if let Some(name) = path.strip_prefix("attributes.") {
        return event.attribute(name).unwrap_or_default().to_owned();
    }
    let found = if path.starts_with('/') {
        data.pointer(path)
    } else {
        let inside = path.strip_prefix("data.").and_then(|path| walk(path, data));
        inside.or_else(|| walk(path, data))
    };
    found.map(show).unwrap_or_default()
}

fn walk<'a>(path: &str, data: &'a Value) -> Option<&'a Value> {
    path.split('.').try_fold(data, |value, name| match value {
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        other => other.get(name),
    })
}

/// A value as people read it: strings without quotes, nothing for `null`, JSON for the rest.
pub(crate) fn show(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookway_plugin::serde_json::json;
    use hookway_plugin::testing::event;

    #[test]
    fn paths() {
        let data = json!({
            "title": "a<b", "items": [{"name": "x"}], "n": 3, "no": null, "a.b": 1, "type": "inner",
        });
        let mut event = event("alert.created", data.clone());
        event
            .attributes
            .push(("x-github-event".into(), "push".into()));
        for (template, expected) in [
            ("", ""),
            ("plain <!here>", "plain <!here>"),
            ("{{type}} from {{ source }}", "alert.created from test"),
            ("{{data.title}}", "a&lt;b"),
            ("{{title}}", "a&lt;b"),
            ("{{data.items.0.name}}/{{/items/0/name}}", "x/x"),
            ("{{data.n}}{{data.no}}{{data.gone.away}}{{subject}}", "3"),
            ("{{data.items}}", "[{\"name\":\"x\"}]"),
            ("{{attributes.X-GitHub-Event}}", "push"),
            ("{{data.type}}", "inner"),
            ("a}}b", "a}}b"),
        ] {
            let filled = Template::read(template)
                .expect("a template")
                .fill(&event, &data);
            assert_eq!(filled, expected, "{template}");
        }
    }

    #[test]
    fn faults() {
        for (template, expected) in [
            ("ab {{data.title", "`{{` at byte 4 is never closed by `}}`"),
            (
                "{{}}",
                "`{{}}` at byte 1 is no path; write one like {{data.title}}",
            ),
            (
                "{{a b}}",
                "`{{a b}}` at byte 1 is no path; write one like {{data.title}}",
            ),
        ] {
            assert_eq!(Template::read(template), Err(expected.to_owned()));
        }
    }
}
