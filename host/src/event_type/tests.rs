//! What a definition may be, and that the built-in catalogues are what the products' documents list.

use super::catalogue::{built_in, built_ins, checked};
use super::*;

fn definition(text: &str) -> Definition {
    serde_json::from_str(text).unwrap()
}

fn told(definition: &Definition) -> Vec<String> {
    let mut faults = Faults::default();
    definition.check("", &mut faults);
    faults.into_vec().into_iter().map(|fault| fault.pointer).collect()
}

#[test]
fn definitions_are_checked_whole() {
    let good = r#"{"name":"db_connection.created","group":"Connections","descriptions":{"es":"Se creó"},
                   "schema":{"type":"object"},"sample":{"id":1},"deprecated":true}"#;
    assert!(told(&definition(good)).is_empty());
    assert!(told(&definition(r#"{"name":"a"}"#)).is_empty());
    for (bad, place) in [
        (r#"{"name":""}"#, "/name"),
        (r#"{"name":"a..b"}"#, "/name"),
        (r#"{"name":"hookway.a"}"#, "/name"),
        (r#"{"name":"load"}"#, "/name"),
        (r#"{"name":"a","group":""}"#, "/group"),
        (r#"{"name":"a","descriptions":{"e_n":"x"}}"#, "/descriptions/e_n"),
        (r#"{"name":"a","descriptions":{"en":""}}"#, "/descriptions/en"),
        (r#"{"name":"a","schema":7}"#, "/schema"),
        (r#"{"name":"a","schema":{"type":"nothing"}}"#, "/schema"),
        (
            r#"{"name":"a","schema":{"properties":{"n":{"type":"number"}}},"sample":{"n":"x"}}"#,
            "/sample/n",
        ),
    ] {
        assert_eq!(told(&definition(bad)), [place], "{bad}");
    }
    let long = "x".repeat(SCHEMA_BYTES_MAX);
    let long = format!(r#"{{"name":"a","schema":{{"title":"{long}"}},"sample":"{long}"}}"#);
    assert_eq!(told(&definition(&long)), ["/schema", "/sample"]);
    let many: BTreeMap<String, String> = (0..=LANGUAGES_MAX)
        .map(|n| (format!("en-x{n}"), "text".to_owned()))
        .collect();
    let many = Definition {
        name: "a".to_owned(),
        descriptions: many,
        ..Definition::default()
    };
    assert_eq!(told(&many), ["/descriptions"]);
}

#[test]
fn descriptions_are_in_the_readers_language() {
    let both = definition(r#"{"name":"a","descriptions":{"es":"uno","en":"one"}}"#);
    assert_eq!(both.description("es-AR"), Some(("es", "uno")));
    assert_eq!(both.description("fr"), Some(("en", "one")));
    assert_eq!(definition(r#"{"name":"a"}"#).description("es"), None);
}

#[test]
fn a_document_is_checked_as_a_whole() {
    let list = |names: &[&str]| {
        names
            .iter()
            .map(|name| Definition {
                name: (*name).to_owned(),
                ..Definition::default()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(checked(list(&["a", "b"]), "/event_types").unwrap().len(), 2);
    let faults = checked(list(&["a", "b", "a", "c..d"]), "/event_types").unwrap_err();
    let places: Vec<String> = faults.into_vec().into_iter().map(|fault| fault.pointer).collect();
    assert_eq!(places, ["/event_types/2/name", "/event_types/3/name"]);
    let many = vec![
        Definition {
            name: "a".to_owned(),
            ..Definition::default()
        };
        catalogue::TYPES_MAX + 1
    ];
    assert_eq!(checked(many, "/event_types").unwrap_err().into_vec().len(), 1);
}

fn names(name: &str) -> Vec<&'static str> {
    let catalogue = built_in(name).unwrap();
    catalogue
        .event_types
        .iter()
        .map(|definition| definition.name.as_str())
        .collect()
}

/// WF-13, AE-04, IB-04, WX-01: the names, in the order of the products' documents.
#[test]
fn the_built_in_catalogues_have_exactly_these_types() {
    assert_eq!(
        names("workflows"),
        [
            "alert.created",
            "alert.acknowledged",
            "alert.assigned",
            "alert.resolved",
            "alert.critical",
            "alert.deleted",
            "project.created",
            "project.updated",
            "project.deleted",
            "user.invited",
            "user.joined",
            "user.activated",
            "user.deactivated",
            "csv.uploaded",
            "db_connection.created",
            "db_connection.updated",
            "db_connection.deleted",
            "query.completed",
            "query.deleted",
            "api_key.created",
            "api_key.deleted",
            "webhook.created",
            "webhook.enabled",
            "webhook.disabled",
            "webhook.deleted",
        ]
    );
    assert_eq!(
        names("aetherflow"),
        [
            "workflow.created",
            "workflow.updated",
            "workflow.deleted",
            "workflow.executed",
            "workflow.completed",
            "workflow.failed",
            "integration.connected",
            "integration.disconnected",
            "integration.error",
            "user.invited",
            "user.joined",
            "billing.updated",
        ]
    );
    assert_eq!(
        names("inboundflow"),
        [
            "call.completed",
            "call.transferred",
            "appointment.booked",
            "lead.created"
        ]
    );
    assert_eq!(
        names("workflux"),
        [
            "conversation.started",
            "conversation.completed",
            "conversation.escalated",
            "agent.response",
            "user.message",
            "escalation.triggered",
            "integration.sync",
            "integration.error",
            "agent.updated",
        ]
    );
}

/// WF-13: groups and descriptions as printed.
#[test]
fn groups_and_descriptions_are_the_products_own() {
    let workflows = built_in("workflows").unwrap();
    let mut groups: Vec<&str> = workflows
        .event_types
        .iter()
        .filter_map(|one| one.group.as_deref())
        .collect();
    groups.dedup();
    assert_eq!(
        groups,
        [
            "Alerts",
            "Projects",
            "Users",
            "Data",
            "Connections",
            "Queries",
            "API Keys",
            "Webhooks"
        ]
    );
    let text = |catalogue: &str, name: &str, language: &str| {
        let definition = built_in(catalogue).unwrap().named(name).unwrap();
        definition.descriptions[language].clone()
    };
    assert_eq!(
        text("workflows", "alert.critical", "es"),
        "Se creó una alerta de severidad crítica"
    );
    assert_eq!(
        text("workflows", "query.deleted", "es"),
        "Un historial de consulta fue eliminado"
    );
    assert_eq!(
        text("aetherflow", "integration.disconnected", "en"),
        "Fired when an integration connection is lost"
    );
    assert_eq!(
        text("inboundflow", "appointment.booked", "es"),
        "Se activa cuando la IA reserva una cita de calendario durante una llamada"
    );
    assert_eq!(
        text("workflux", "agent.response", "en"),
        "Agent generated response"
    );
}

/// AE-05, IB-09, WX-01: every type has a sample, so that a test event of it exists; the printed ones have a
/// schema which they keep.
#[test]
fn every_built_in_type_is_valid_described_in_both_languages_and_has_a_sample() {
    for catalogue in built_ins() {
        assert!(
            checked(catalogue.event_types.clone(), "").is_ok(),
            "{}",
            catalogue.name
        );
        assert!(language::is_tag(&catalogue.language) && !catalogue.note.is_empty());
        for definition in &catalogue.event_types {
            let shown = format!("{} {}", catalogue.name, definition.name);
            let languages: Vec<&str> = definition.descriptions.keys().map(String::as_str).collect();
            assert_eq!(languages, ["en", "es"], "{shown}");
            let sample = definition.sample.as_ref().unwrap().get();
            assert!(sample.starts_with('{') && !sample.contains('\n'), "{shown}");
            let printed = catalogue.printed_samples.contains(&definition.name);
            assert_eq!(definition.schema.is_some(), printed, "{shown}");
        }
        assert!(
            catalogue
                .printed_samples
                .iter()
                .all(|name| catalogue.named(name).is_some())
        );
    }
    let printed: Vec<usize> = built_ins().iter().map(|one| one.printed_samples.len()).collect();
    assert_eq!(printed, [1, 2, 4, 4]);
}

#[test]
fn printed_samples_keep_their_bytes() {
    let sample = |catalogue: &str, name: &str| {
        let definition = built_in(catalogue).unwrap().named(name).unwrap();
        definition.sample.as_ref().unwrap().get().to_owned()
    };
    assert_eq!(
        sample("workflows", "alert.created"),
        r#"{"id":"alert_xyz789","title":"Inventario crítico: Materia Prima A","severity":"critical","status":"active","#
            .to_owned()
            + r#""projectId":"proj_def456","area":"Inventario","createdAt":"2026-05-19T16:30:00.000Z"}"#
    );
    assert_eq!(
        sample("workflux", "conversation.completed"),
        r#"{"conversation_id":"conv-123","agent_id":"agent-123","duration_seconds":300,"messages_count":8,"#
            .to_owned()
            + r#""resolution_rate":1.0,"satisfaction_score":5,"was_escalated":false}"#
    );
}
