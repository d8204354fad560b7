//! GitHub's pushes, which many people send first: who pushed what where, and the commits.

use crate::message::{Message, Part};
use crate::text::{cut, escape, line, link};
use hookway_plugin::Event;
use hookway_plugin::serde_json::Value;

const COMMITS_MAX: usize = 10;
const SUBJECT_MAX: usize = 100;

/// The message for a push; none where the event is another.
pub(crate) fn push(event: &Event, data: &Value) -> Option<Message> {
    let named = event.attribute("x-github-event");
    if named.is_some_and(|name| name != "push") {
        return None;
    }
    let repository = data.pointer("/repository/full_name")?.as_str()?;
    let reference = data.get("ref")?.as_str()?;
    let commits = data.get("commits")?.as_array()?;
    let pusher = first(data, &["/pusher/name", "/sender/login"]).unwrap_or("somebody");

    let (kind, branch) = match reference.strip_prefix("refs/tags/") {
        Some(tag) => ("tag", tag),
        None => (
            "branch",
            reference.strip_prefix("refs/heads/").unwrap_or(reference),
        ),
    };
    let is = |name: &str| data.get(name).and_then(Value::as_bool).unwrap_or(false);
    let count = match commits.len() {
        1 => "1 commit".to_owned(),
        many => format!("{many} commits"),
    };
    let what = if is("deleted") {
        format!("deleted {kind} {branch}")
    } else if is("created") && commits.is_empty() {
        format!("created {kind} {branch}")
    } else if is("forced") {
        format!("force-pushed {count} to {branch}")
    } else {
        format!("pushed {count} to {branch}")
    };

    let mut parts = Vec::new();
    let lines: Vec<String> = commits.iter().take(COMMITS_MAX).map(commit).collect();
    if !lines.is_empty() {
        let more = match commits.len().saturating_sub(COMMITS_MAX) {
            0 => String::new(),
            more => format!("\n… and {more} more"),
        };
        parts.push(Part::Text(lines.join("\n") + &more));
    }
    let mut fields = vec![(
        "Repository",
        linked(data, "/repository/html_url", repository),
    )];
    fields.push(("Branch", format!("`{}`", escape(branch).replace('`', "'"))));
    fields.push(("Pusher", escape(pusher)));
    if kind == "tag" {
        fields[1].0 = "Tag";
    }
    parts.push(Part::Fields(
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    ));
    let compare = data.get("compare").and_then(Value::as_str);
    parts.extend(
        compare
            .and_then(|url| link(url, "Compare changes"))
            .map(Part::Text),
    );

    let subjects: Vec<String> = commits
        .iter()
        .take(3)
        .map(|commit| escape(subject(commit)))
        .collect();
    Some(Message {
        title: escape(&format!("[{repository}] {pusher} {what}")),
        summary: subjects.join("; "),
        parts,
        color: None,
    })
}

fn commit(commit: &Value) -> String {
    let id = commit.get("id").and_then(Value::as_str).unwrap_or_default();
    let short: String = id.chars().take(7).collect();
    let short = format!("`{}`", escape(&short).replace('`', "'"));
    let url = commit
        .get("url")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let id = link(url, &short).unwrap_or(short);
    let subject = cut(&escape(&line(subject(commit))), SUBJECT_MAX);
    let author = first(commit, &["/author/username", "/author/name"]);
    let author = author
        .map(|author| format!(" — {}", escape(author)))
        .unwrap_or_default();
    format!("{id} {subject}{author}")
}

fn subject(commit: &Value) -> &str {
    let message = commit
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or_default();
    message.lines().next().unwrap_or_default()
}

fn first<'a>(data: &'a Value, pointers: &[&str]) -> Option<&'a str> {
    pointers
        .iter()
        .find_map(|pointer| data.pointer(pointer)?.as_str())
}

fn linked(data: &Value, pointer: &str, label: &str) -> String {
    let url = data
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default();
    link(url, &escape(label)).unwrap_or_else(|| escape(label))
}
