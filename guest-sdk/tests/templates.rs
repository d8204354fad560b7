//! The templates of `hookway plugin new` are plugins like any other: their own tests run here, and
//! each of them is what its test says also in the way it is exported.

#![allow(unreachable_pub, reason = "in a crate of their own they are reached")]

#[path = "../../host/src/cli/plugin/templates/emit.rs"]
mod emit;
#[path = "../../host/src/cli/plugin/templates/filter.rs"]
mod filter;
#[path = "../../host/src/cli/plugin/templates/transform.rs"]
mod transform;

use hookway_plugin::testing::{describe, schema};

#[test]
fn their_settings_are_described() {
    for schema in [
        schema::<emit::Escalation>(),
        schema::<filter::Gate>(),
        schema::<transform::Message>(),
    ] {
        assert_eq!(schema["additionalProperties"], false);
        let properties = schema["properties"].as_object().expect("fields");
        assert!(properties.values().all(|field| field["description"].is_string()));
    }
    assert_eq!(describe::<emit::Escalation>().event_types, ["alert.created"]);
}
