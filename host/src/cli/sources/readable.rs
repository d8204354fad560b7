//! A source in words, for the terminal: what is data in the API is a line here.

use serde_json::{Value, json};

/// A source with its whole address, and its rate as people write it.
pub(super) fn readable(source: &Value, base: &str) -> Value {
    let mut shown = source.clone();
    let address = match source["url"].as_str() {
        Some(url) => url.to_owned(),
        None => {
            let base = base.trim_end_matches('/');
            format!("{base}{}", source["path"].as_str().unwrap_or_default())
        }
    };
    shown["address"] = json!(address);
    let rate = &source["rate_limit"];
    if rate.is_object() {
        shown["rate_limit"] = json!(format!("{}/{}", rate["requests"], rate["per_seconds"]));
    }
    if source["handshakes"]
        .to_string()
        .contains("\"is_verify_token\":true")
    {
        shown["verify_token"] = match source["has_verify_token"] == true {
            true => json!("set"),
            false => json!("none: handshakes must show the secret; --verify-token-file gives one"),
        };
    }
    for switch in ["always_ok", "keep_refused"] {
        if source[switch] == false {
            shown[switch] = Value::Null;
        }
    }
    shown["verification"] = json!(verification(&source["verification"]));
    shown["handshakes"] = words(&source["handshakes"], "/name", ", ");
    shown["events"] = events(&source["events"]);
    shown["response"] = response(&source["response"]);
    if source["old_secrets_until"].as_array().is_some_and(Vec::is_empty) {
        shown["old_secrets_until"] = Value::Null;
    }
    shown
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// What stands at a pointer of each item, joined; nothing where there are none.
fn words(items: &Value, pointer: &str, between: &str) -> Value {
    let items = items.as_array().map(Vec::as_slice).unwrap_or_default();
    let words: Vec<&str> = items.iter().map(|item| text(item, pointer)).collect();
    if words.is_empty() {
        Value::Null
    } else {
        json!(words.join(between))
    }
}

fn verification(way: &Value) -> String {
    let list = |name: &str, each: fn(&Value) -> String| {
        let items = way[name].as_array().map(Vec::as_slice).unwrap_or_default();
        items.iter().map(each).collect::<Vec<_>>().join(", or ")
    };
    match text(way, "/kind") {
        "none" => "none: whoever knows the address can send".to_owned(),
        "basic" => "user and password (basic authentication)".to_owned(),
        "token" => format!("the secret itself, in {}", list("places", place)),
        "signature" => list("schemes", scheme),
        _ => way.to_string(),
    }
}

fn place(place: &Value) -> String {
    match place["query"].as_str() {
        Some(query) => format!("the parameter {query}"),
        None => format!("{} {}", text(place, "/header"), text(place, "/prefix").trim())
            .trim_end()
            .to_owned(),
    }
}

fn scheme(scheme: &Value) -> String {
    let header = text(scheme, "/header");
    let place = if header.is_empty() {
        text(scheme, "/signature_pointer")
    } else {
        header
    };
    let mut line = format!(
        "{} of {}, {} in {place} as {}",
        text(scheme, "/algorithm"),
        text(scheme, "/input"),
        text(scheme, "/encoding"),
        text(scheme, "/format"),
    );
    if let Some(seconds) = scheme["tolerance_seconds"].as_u64() {
        line.push_str(&format!(", {seconds} s old at the most"));
    }
    line
}

/// `type A | B; id C; subject D`, or what else a mapping says.
fn events(mapping: &Value) -> Value {
    let Some(members) = mapping.as_object() else {
        return Value::Null;
    };
    let order = ["format", "split", "type", "id", "subject", "on_conflict"];
    let parts = order.iter().filter_map(|name| match members.get(*name)? {
        Value::Array(items) if items.is_empty() => Some(format!("{name} none")),
        Value::Array(items) => {
            let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            Some(format!("{name} {}", texts.join(" | ")))
        }
        Value::String(text) if text.is_empty() => Some(format!("{name} the whole body")),
        Value::String(text) => Some(format!("{name} {text}")),
        _ => None,
    });
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() {
        Value::Null
    } else {
        json!(parts.join("; "))
    }
}

fn response(response: &Value) -> Value {
    let mut line = response["status"].to_string();
    if let Some(headers) = response["headers"].as_object() {
        for (name, value) in headers {
            line.push_str(&format!(", {name}: {}", value.as_str().unwrap_or_default()));
        }
    }
    match text(response, "/body") {
        "" => {}
        body => line.push_str(&format!(", {body}")),
    }
    json!(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::preset;

    #[test]
    fn presets_are_told_in_words() {
        let of = |name: &str| {
            let preset = preset::named(name).unwrap();
            let source = json!({
                "path": "/webhooks/x", "verification": preset.verification, "handshakes": preset.handshakes,
                "events": preset.events, "response": preset.response.clone().unwrap_or_default(),
            });
            let shown = readable(&source, "http://127.0.0.1:8080/");
            assert_eq!(shown["address"], "http://127.0.0.1:8080/webhooks/x");
            ["verification", "handshakes", "events", "response"]
                .map(|name| shown[name].as_str().unwrap_or_default().to_owned())
        };
        assert_eq!(
            of("slack"),
            [
                "hmac-sha256 of v0:{ts}:{body}, hex in X-Slack-Signature as v0={sig}, 300 s old at the most",
                "url_verification",
                "type slack.{json:/event/type} | slack.{json:/type} | slack.command.{form:command} | \
                 slack.interaction; id {json:/event_id} | {form:trigger_id} | {sha256}; subject \
                 {json:/event/channel} | {json:/event/item/channel} | {form:channel_id} | {json:/team_id}",
                "200",
            ]
        );
        let [way, _, events, _] = of("cloudevents");
        assert_eq!(
            way,
            "the secret itself, in Authorization Bearer, or the parameter access_token"
        );
        assert_eq!(events, "format cloudevents");
        assert!(of("mailgun")[0].contains("in /signature/signature as {sig}"));
        assert!(of("sendgrid")[2].starts_with("split the whole body; type"));
        assert_eq!(of("none")[0], "none: whoever knows the address can send");
        assert_eq!(of("twilio")[3], "200, content-type: text/xml, <Response/>");
        for preset in preset::all() {
            assert!(
                of(&preset.name).iter().all(|line| !line.contains('\n')),
                "{}",
                preset.name
            );
        }
    }
}
