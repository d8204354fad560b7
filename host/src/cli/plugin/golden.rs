//! What became of an event, in the form that `*.expected.json` files have: what a plugin decided, without
//! what differs from run to run (time, memory, log).
//!
//! A body that is JSON is shown and compared as JSON, in `body`; other text is in `body_text`, bytes are
//! in `body_base64`. What a request leaves to the endpoint is left out.

use serde_json::{Map, Value, json};

/// The golden form of a run's record.
pub(in crate::cli) fn golden(record: &Value) -> Value {
    let mut members = Map::new();
    members.insert("outcome".to_owned(), record["outcome"].clone());
    if record["outcome"] == "fault" {
        // What exactly it broke is in the words of an engine, and changes with every line of code.
        keep(&mut members, record, &["fault"]);
        return Value::Object(members);
    }
    keep(&mut members, record, &["reason", "after_ms", "problems"]);
    for (list, one) in [("requests", request as fn(&Value) -> Value), ("events", event)] {
        let items = record[list].as_array().map(Vec::as_slice).unwrap_or_default();
        if !items.is_empty() {
            members.insert(list.to_owned(), items.iter().map(one).collect());
        }
    }
    Value::Object(members)
}

/// The text of a golden file: indented, in the order of the names.
pub(in crate::cli) fn text(golden: &Value) -> String {
    format!("{golden:#}\n")
}

fn request(request: &Value) -> Value {
    let mut members = Map::new();
    keep(
        &mut members,
        request,
        &["method", "path", "delay_ms", "dedup_key"],
    );
    let headers = request["headers"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if !headers.is_empty() {
        let pair = |pair: &Value| Some((pair[0].as_str()?.to_owned(), pair[1].clone()));
        let headers: Map<String, Value> = headers.iter().filter_map(pair).collect();
        members.insert("headers".to_owned(), headers.into());
    }
    payload(&mut members, request, "body");
    Value::Object(members)
}

fn event(event: &Value) -> Value {
    let mut members = Map::new();
    keep(
        &mut members,
        event,
        &["type", "subject", "datacontenttype", "extensions"],
    );
    if members.get("datacontenttype") == Some(&json!(crate::event::JSON)) {
        members.remove("datacontenttype");
    }
    if members.get("extensions") == Some(&json!({})) {
        members.remove("extensions");
    }
    payload(&mut members, event, "data");
    Value::Object(members)
}

fn keep(members: &mut Map<String, Value>, from: &Value, names: &[&str]) {
    for name in names {
        if !from[*name].is_null() {
            members.insert((*name).to_owned(), from[*name].clone());
        }
    }
}

fn payload(members: &mut Map<String, Value>, from: &Value, name: &str) {
    let encoded = format!("{name}_base64");
    match (from[name].as_str(), from.get(&encoded)) {
        (Some(text), _) => match serde_json::from_str::<Value>(text) {
            Ok(json) => members.insert(name.to_owned(), json),
            Err(_) => members.insert(format!("{name}_text"), text.into()),
        },
        (None, Some(bytes)) => members.insert(encoded, bytes.clone()),
        (None, None) => None,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_plugin_decided_is_kept() {
        let record = json!({
            "digest": "ab", "outcome": "deliver", "reason": null, "fault": null, "after_ms": null,
            "duration_us": 5, "memory_bytes": 6, "logs": [{"level": "info", "message": "x"}], "logs_dropped": 0,
            "requests": [
                {"method": "PUT", "path": "/a", "headers": [["content-type", "text/plain"]], "body": "hi",
                 "delay_ms": null},
                {"method": null, "path": null, "headers": [], "body": "{\"n\":1.50}", "delay_ms": 5},
                {"method": null, "path": null, "headers": [], "body_base64": "/w==", "delay_ms": null},
            ],
            "events": [{"type": "a.b", "subject": null, "datacontenttype": "application/json",
                        "extensions": {}, "data": "[1]"}],
        });
        let expected = json!({
            "outcome": "deliver",
            "requests": [
                {"method": "PUT", "path": "/a", "headers": {"content-type": "text/plain"}, "body_text": "hi"},
                {"body": {"n": 1.5}, "delay_ms": 5},
                {"body_base64": "/w=="},
            ],
            "events": [{"type": "a.b", "data": [1]}],
        });
        assert_eq!(golden(&record), expected);
    }

    #[test]
    fn other_ends_have_their_reasons_and_faults_their_kind() {
        let filtered = json!({"outcome": "filtered", "reason": "too low", "requests": [], "events": []});
        assert_eq!(
            golden(&filtered),
            json!({"outcome": "filtered", "reason": "too low"})
        );
        let fault = json!({"outcome": "fault", "fault": "trap", "reason": "panicked at src/lib.rs:3:9"});
        assert_eq!(golden(&fault), json!({"outcome": "fault", "fault": "trap"}));
        let refused = json!({"outcome": "refused_config", "digest": "a",
            "problems": [{"pointer": "/a", "detail": "b"}]});
        assert_eq!(golden(&refused)["problems"][0]["pointer"], "/a");
    }
}
