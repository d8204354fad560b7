//! Profiles are kept in versions, and removed ones stay for the deliveries that have them.

use super::{Backend, Maker, Size, TENANT};
use crate::store::{Error, NewProfile};

pub(in crate::store) async fn profiles_are_kept_in_versions<B: Backend>() {
    let backend = B::new(Size::Usual);
    let maker = Maker::new();
    let store = backend.open(maker.now);
    let profile = |tenant, name: &str, version| NewProfile {
        tenant,
        name: name.to_owned(),
        version,
        document: format!("{{\"name\":\"{name}\",\"version\":{version}}}"),
        created_at: maker.now,
        rule_changes: Vec::new(),
    };
    let built_in = store.add_profile(profile(None, "plain", 1)).await.unwrap();
    let first = store.add_profile(profile(Some(TENANT), "acme", 1)).await.unwrap();
    let second = store.add_profile(profile(Some(TENANT), "acme", 2)).await.unwrap();
    assert!(built_in < first && first < second);
    let again = store.add_profile(profile(Some(TENANT), "acme", 2)).await;
    assert!(matches!(again, Err(Error::Taken { .. })), "{again:?}");

    store
        .remove_profile(TENANT, "acme".to_owned(), maker.now)
        .await
        .unwrap();
    let again = store.remove_profile(TENANT, "acme".to_owned(), maker.now).await;
    assert!(matches!(again, Err(Error::Missing { .. })), "{again:?}");
    let third = store.add_profile(profile(Some(TENANT), "acme", 3)).await.unwrap();
    store.close().await.unwrap();
    drop(store);

    let store = backend.open(maker.now);
    let kept = store.profiles().await.unwrap();
    let told: Vec<_> = kept
        .iter()
        .map(|known| {
            (
                known.number,
                known.tenant,
                known.version,
                known.removed_at.is_some(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (built_in, None, 1, false),
            (first, Some(TENANT), 1, true),
            (second, Some(TENANT), 2, true),
            (third, Some(TENANT), 3, false),
        ]
    );
    assert_eq!(kept[2].document, "{\"name\":\"acme\",\"version\":2}");
    store.close().await.unwrap();
}
