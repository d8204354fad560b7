//! GitHub's pushes, which many people send first: who pushed what where, and the commits.

use crate::data::Data;
use crate::message::{Message, Part};
use crate::text::{escape, escape_cut, line, link, start};
use hookway_plugin::Event;
use std::borrow::Cow;

const COMMITS_MAX: usize = 10;
const SUBJECT_MAX: usize = 100;

/// The message for a push; none where the event is another.
pub(crate) fn push<'a>(event: &'a Event, data: &'a Data<'_>) -> Option<Message<'a>> {
    let named = event.attribute("x-github-event");
    if named.is_some_and(|name| name != "push") {
        return None;
    }
    let repository = data.pointer("/repository/full_name")?.as_text()?;
    let reference = data.get("ref")?.as_text()?;
    let commits = data.get("commits")?.as_list()?;
    let pusher = first(data, &["/pusher/name", "/sender/login"]).unwrap_or("somebody");

    let (kind, branch) = match reference.strip_prefix("refs/tags/") {
        Some(tag) => ("tag", tag),
        None => (
            "branch",
            reference.strip_prefix("refs/heads/").unwrap_or(reference),
        ),
    };
    let is = |name: &str| data.get(name).is_some_and(Data::is_true);
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
        parts.push(Part::Text(Cow::Owned(lines.join("\n") + &more)));
    }
    let mut fields = vec![(
        "Repository",
        Cow::Owned(linked(data, "/repository/html_url", repository)),
    )];
    fields.push(("Branch", format!("`{}`", escape(branch).replace('`', "'")).into()));
    fields.push(("Pusher", escape(pusher)));
    if kind == "tag" {
        fields[1].0 = "Tag";
    }
    parts.push(Part::Fields(
        fields
            .into_iter()
            .map(|(name, value)| (Cow::Borrowed(name), value))
            .collect(),
    ));
    let compare = data.get("compare").and_then(Data::as_text);
    parts.extend(
        compare
            .and_then(|url| link(url, "Compare changes"))
            .map(|link| Part::Text(link.into())),
    );

    let subjects: Vec<Cow<'_, str>> = commits
        .iter()
        .take(3)
        .map(|commit| escape(subject(commit)))
        .collect();
    Some(Message {
        title: Cow::Owned(escape(&format!("[{repository}] {pusher} {what}")).into_owned()),
        summary: subjects.join("; ").into(),
        parts,
        color: None,
    })
}

fn commit(commit: &Data<'_>) -> String {
    let id = commit.get("id").and_then(Data::as_text).unwrap_or_default();
    let short = start(id, 7);
    let short = format!("`{}`", escape(short).replace('`', "'"));
    let url = commit.get("url").and_then(Data::as_text).unwrap_or_default();
    let id = link(url, &short).unwrap_or(short);
    let subject = line(subject(commit));
    let subject = escape_cut(&subject, SUBJECT_MAX);
    let author = first(commit, &["/author/username", "/author/name"]);
    let author = author
        .map(|author| format!(" — {}", escape(author)))
        .unwrap_or_default();
    format!("{id} {subject}{author}")
}

fn subject<'a>(commit: &'a Data<'_>) -> &'a str {
    let message = commit.get("message").and_then(Data::as_text).unwrap_or_default();
    message.lines().next().unwrap_or_default()
}

fn first<'a>(data: &'a Data<'_>, pointers: &[&str]) -> Option<&'a str> {
    pointers
        .iter()
        .find_map(|pointer| data.pointer(pointer)?.as_text())
}

fn linked(data: &Data<'_>, pointer: &str, label: &str) -> String {
    let url = data.pointer(pointer).and_then(Data::as_text).unwrap_or_default();
    link(url, &escape(label)).unwrap_or_else(|| escape(label).into_owned())
}
