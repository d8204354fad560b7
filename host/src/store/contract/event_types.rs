//! What is said about types of events.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::{Backend, Maker, Size, TENANT};
use crate::event_type::{Definition, EventType};
use crate::id::TenantId;
use crate::store::Error;
use crate::time::Timestamp;

fn described(tenant: TenantId, name: &str, version: u64, now: Timestamp) -> Arc<EventType> {
    let raw = |text: &str| Some(RawValue::from_string(text.to_owned()).unwrap());
    Arc::new(EventType {
        tenant,
        definition: Definition {
            name: name.to_owned(),
            group: Some("Alerts".to_owned()),
            descriptions: [("es".to_owned(), "Se creó".to_owned())].into(),
            // Written anew, both would be other bytes.
            schema: raw(r#"{ "maximum": 1.0, "a": 1, "a": 2 }"#),
            sample: raw(r#"{"n":1.0, "big": 12345678901234567890123}"#),
            deprecated: true,
        },
        version,
        created_at: now,
        updated_at: now,
    })
}

fn whole(event_type: &EventType) -> String {
    format!("{event_type:?}")
}

pub(in crate::store) async fn event_types_are_kept_whole<B: Backend>() {
    let backend = B::new(Size::Usual);
    let maker = Maker::new();
    let store = backend.open(maker.now);
    let other = TenantId::from_number(TENANT.number() + 1);
    let types: Vec<_> = [(TENANT, "a.b"), (TENANT, "c"), (other, "a.b")]
        .map(|(tenant, name)| described(tenant, name, 1, maker.now))
        .into();
    store.put_event_types(types.clone()).await.unwrap();
    drop(store);
    let store = backend.open(maker.now);
    let found = store.event_types().await.unwrap();
    assert_eq!(
        found.iter().map(whole).collect::<Vec<_>>(),
        types.iter().map(|one| whole(one)).collect::<Vec<_>>()
    );

    // All or none, whatever the reason.
    let new = described(TENANT, "new", 1, maker.now);
    for (bad, expected) in [
        (described(TENANT, "c", 1, maker.now), "Taken"),
        (described(TENANT, "c", 3, maker.now), "Changed"),
        (described(TENANT, "none", 2, maker.now), "Missing"),
    ] {
        let refused = store.put_event_types(vec![new.clone(), bad]).await.unwrap_err();
        assert!(format!("{refused:?}").starts_with(expected), "{refused:?}");
        assert_eq!(store.event_types().await.unwrap().len(), 3);
    }
    let later = Timestamp::from_millis(maker.now.as_millis() + 1);
    let second = described(TENANT, "c", 2, later);
    store.put_event_types(vec![new, second.clone()]).await.unwrap();
    let found = store.event_types().await.unwrap();
    assert_eq!(found.len(), 4);
    assert_eq!(whole(&found[1]), whole(&second));

    store.remove_event_type(TENANT, "a.b".to_owned()).await.unwrap();
    let missing = store.remove_event_type(TENANT, "a.b".to_owned()).await;
    assert!(matches!(missing, Err(Error::Missing { .. })));
    let left: Vec<String> = store
        .event_types()
        .await
        .unwrap()
        .into_iter()
        .map(|one| format!("{} {}", one.tenant.number(), one.definition.name))
        .collect();
    let expected = [(TENANT, "c"), (TENANT, "new"), (other, "a.b")];
    assert_eq!(
        left,
        expected.map(|(tenant, name)| format!("{} {name}", tenant.number()))
    );
}
