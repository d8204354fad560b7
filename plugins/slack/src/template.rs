//! Templates with `{{path}}`, read once and filled for each event.
//!
//! A path names an attribute of the event (`type`, `id`, `source`, `subject`, `time`, `tenant`,
//! `attributes.name`), a place in its data (`data.items.0.name`, or as a JSON Pointer
//! `/items/0/name`), or, where it is neither, a member of the data. What is not there is empty.
//! The operator wrote the template and may use what Slack offers; values are escaped.

use crate::data::Data;
use crate::text::escape;
use hookway_plugin::Event;
use std::borrow::Cow;

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
    pub(crate) fn fill(&self, event: &Event, data: &Data<'_>) -> String {
        self.fill_with(event, data, escape)
    }

    /// Fills in the values as they are, for what is escaped later as a whole.
    pub(crate) fn fill_raw(&self, event: &Event, data: &Data<'_>) -> String {
        self.fill_with(event, data, |text| Cow::Borrowed(text))
    }

    fn fill_with(&self, event: &Event, data: &Data<'_>, escape: fn(&str) -> Cow<'_, str>) -> String {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => filled.push_str(text),
                Part::Path(path) => filled.push_str(&escape(&resolve(path, event, data))),
            }
        }
        filled
    }
}

fn resolve<'a>(path: &str, event: &'a Event, data: &'a Data<'_>) -> Cow<'a, str> {
    let attribute = match path {
        "type" => Some(event.event_type.as_str()),
        "id" => Some(event.id.as_str()),
        "source" => Some(event.source.as_str()),
        "subject" => Some(event.subject.as_deref().unwrap_or_default()),
        "time" => Some(event.time.as_str()),
        "tenant" => Some(event.tenant.as_str()),
        "data" => return data.show(),
        other => other
            .strip_prefix("attributes.")
            .map(|name| event.attribute(name).unwrap_or_default()),
    };
    if let Some(attribute) = attribute {
        return Cow::Borrowed(attribute);
    }
    let found = if path.starts_with('/') {
        data.pointer(path)
    } else {
        let inside = path.strip_prefix("data.").and_then(|path| walk(path, data));
        inside.or_else(|| walk(path, data))
    };
    found.map(Data::show).unwrap_or_default()
}

fn walk<'a, 'b>(path: &str, data: &'a Data<'b>) -> Option<&'a Data<'b>> {
    path.split('.').try_fold(data, |value, name| match value {
        Data::List(items) => items.get(name.parse::<usize>().ok()?),
        other => other.get(name),
    })
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
        event.attributes.push(("x-github-event".into(), "push".into()));
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
                .fill(&event, &data.clone().into());
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
