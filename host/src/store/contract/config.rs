//! What is configured.

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{Backend, Maker, Size, TENANT};
use crate::digest::Digest;
use crate::profile::Choice;
use crate::retry::Schedule;
use crate::secret::Secret;
use crate::store::{Error, Key, PluginVersion, Row, Tenant, TenantSettings};
use crate::subscription::{
    Endpoint, Envelope, Isolation, PluginStep, RateLimit, SigningSecret, Status, Subscription,
};

pub(in crate::store) fn subscription(maker: &Maker, key: Option<&str>) -> Subscription {
    Subscription {
        id: maker.subscription(),
        tenant: TENANT,
        key: key.map(str::to_owned),
        name: "Alerts to Slack".to_owned(),
        status: Status::Held {
            since: maker.now,
            reason: "its plugin says so".to_owned(),
            probe_at: Some(maker.now.plus(Duration::from_secs(60))),
        },
        events: vec!["alert.*".to_owned(), "push".to_owned()],
        filter: Some("event.data.severity == 'critical'".to_owned()),
        plugins: vec![PluginStep {
            name: "slack".to_owned(),
            digest: Some(Digest::of(b"component")),
            config: RawValue::from_string("{\"n\": 1.0, \"n\":2}".to_owned()).unwrap(),
        }],
        endpoint: Endpoint {
            url: Secret::new("https://hooks.example.com/T0KEN"),
            headers: vec![("Authorization".to_owned(), Secret::new("Bearer t0ken"))],
            secrets: vec![SigningSecret {
                secret: Secret::new("whsec_t0ken"),
                until: Some(maker.now),
            }],
            max_in_flight: Some(NonZeroU16::MIN),
            rate_limit: Some(RateLimit {
                requests: NonZeroU32::MIN,
                per_seconds: NonZeroU32::MAX,
                burst: NonZeroU32::MIN,
            }),
            disable_on_gone: true,
        },
        profile: Choice::default(),
        retry: Schedule::new(
            vec![Duration::from_millis(1_500), Duration::from_secs(7_200)],
            0.1,
            3,
        )
        .ok(),
        timeout_seconds: NonZeroU16::new(300),
        envelope: Envelope::Profile,
        isolation: Isolation::Event,
        version: 1,
        created_at: maker.now,
        updated_at: maker.now,
    }
}

/// Everything of a subscription as text; secrets too, which `Debug` alone would hide.
fn whole(subscription: &Subscription) -> String {
    let endpoint = serde_json::to_string(&subscription.endpoint).unwrap();
    format!("{subscription:?} {endpoint}")
}

pub(in crate::store) async fn subscriptions_are_kept_whole<B: Backend>() {
    let backend = B::new(Size::Usual);
    let maker = Maker::new();
    let store = backend.open(maker.now);
    let mut first = subscription(&maker, Some("alerts"));
    let second = subscription(&maker, None);
    store.add_subscription(Arc::new(first.clone())).await.unwrap();
    store.add_subscription(Arc::new(second.clone())).await.unwrap();
    let taken = subscription(&maker, Some("alerts"));
    assert!(matches!(
        store.add_subscription(Arc::new(taken)).await,
        Err(Error::Taken { .. })
    ));
    drop(store);
    let store = backend.open(maker.now);
    let found = store.subscriptions().await.unwrap();
    assert_eq!(
        found.iter().map(whole).collect::<Vec<_>>(),
        [whole(&first), whole(&second)]
    );
    assert!(store.newest_id().await.unwrap() >= second.id.number());

    first.version = 2;
    first.name = "Renamed".to_owned();
    // What is the profile's business again is not there any more.
    (first.retry, first.timeout_seconds) = (None, None);
    let changed = Arc::new(first.clone());
    assert!(matches!(
        store.update_subscription(Arc::clone(&changed), 2, Row::GoesOn).await,
        Err(Error::Changed)
    ));
    store.update_subscription(Arc::clone(&changed), 1, Row::GoesOn).await.unwrap();
    assert!(matches!(
        store.update_subscription(changed, 1, Row::GoesOn).await,
        Err(Error::Changed)
    ));
    assert_eq!(whole(&store.subscriptions().await.unwrap()[0]), whole(&first));
    let renamed = Subscription {
        key: Some("alerts".to_owned()),
        ..second.clone()
    };
    assert!(matches!(
        store.update_subscription(Arc::new(renamed), 1, Row::GoesOn).await,
        Err(Error::Taken { .. })
    ));

    store.remove_subscription(first.id).await.unwrap();
    assert!(matches!(
        store.remove_subscription(first.id).await,
        Err(Error::Missing { .. })
    ));
    let missing = store.update_subscription(Arc::new(first), 2, Row::GoesOn).await;
    assert!(matches!(missing, Err(Error::Missing { .. })));
    assert_eq!(store.subscriptions().await.unwrap().len(), 1);
}

pub(in crate::store) async fn tenants_and_keys<B: Backend>() {
    let maker = Maker::new();
    let backend = B::new(Size::Usual);
    let store = backend.open(maker.now);
    let tenants = store.tenants().await.unwrap();
    assert_eq!((tenants.len(), tenants[0].name.as_str()), (1, "default"));
    let tenant = Tenant {
        id: maker.ids.next(maker.now),
        name: "acme".to_owned(),
        created_at: maker.now,
        settings: TenantSettings {
            external_id: Some("org_abc123".to_owned()),
            default_profile: "workflows@1".parse().ok(),
            validate_events: Some(crate::event_type::Strictness::Refuse),
        },
    };
    store.add_tenant(tenant.clone()).await.unwrap();
    let twin = Tenant {
        id: maker.ids.next(maker.now),
        ..tenant.clone()
    };
    assert!(matches!(store.add_tenant(twin).await, Err(Error::Taken { .. })));
    assert_eq!(store.tenants().await.unwrap()[1], tenant);
    let changed = Tenant {
        settings: TenantSettings::default(),
        ..tenant.clone()
    };
    store.update_tenant(changed.clone()).await.unwrap();
    assert_eq!(store.tenants().await.unwrap()[1], changed);

    let key = Key {
        id: maker.ids.next(maker.now),
        tenant: Some(tenant.id),
        name: "ci".to_owned(),
        hash: Digest::of(b"hw_x"),
        scopes: "publish read".to_owned(),
        created_at: maker.now,
        revoked_at: None,
    };
    store.add_key(key.clone()).await.unwrap();
    assert_eq!(store.keys().await.unwrap(), std::slice::from_ref(&key));
    assert!(store.revoke_key(key.id, maker.now).await.unwrap());
    assert!(!store.revoke_key(key.id, maker.now).await.unwrap());
    assert_eq!(store.keys().await.unwrap()[0].revoked_at, Some(maker.now));
    let nothing = store.revoke_key(maker.ids.next(maker.now), maker.now).await;
    assert!(matches!(nothing, Err(Error::Missing { .. })));
}

pub(in crate::store) async fn components_are_kept_while_used<B: Backend>() {
    let maker = Maker::new();
    let backend = B::new(Size::Usual);
    let store = backend.open(maker.now);
    let version = |component: &'static [u8]| PluginVersion {
        tenant: TENANT,
        name: "slack".to_owned(),
        digest: Digest::of(component),
        size: u64::try_from(component.len()).unwrap(),
        manifest: "{}".to_owned(),
        uploaded_at: maker.now,
        current: true,
    };
    for component in [&b"component"[..], b"newer"] {
        store
            .add_plugin(version(component), Bytes::from_static(component))
            .await
            .unwrap();
    }
    let wrong = store
        .add_plugin(version(b"newer"), Bytes::from_static(b"other"))
        .await;
    assert!(matches!(wrong, Err(Error::Damaged { .. })));
    let mut versions = store.plugins().await.unwrap();
    versions.sort_by_key(|version| version.current);
    assert_eq!(
        versions,
        [
            PluginVersion {
                current: false,
                ..version(b"component")
            },
            version(b"newer")
        ]
    );

    // The subscription names the older digest.
    let pinned = Arc::new(subscription(&maker, None));
    store.add_subscription(Arc::clone(&pinned)).await.unwrap();
    store.remove_plugin(TENANT, "slack".to_owned()).await.unwrap();
    let missing = store.remove_plugin(TENANT, "slack".to_owned()).await;
    assert!(matches!(missing, Err(Error::Missing { .. })));
    assert!(store.plugins().await.unwrap().is_empty());
    let kept = store.component(Digest::of(b"component")).await.unwrap();
    assert_eq!(kept, Some(Bytes::from_static(b"component")));
    assert_eq!(store.component(Digest::of(b"newer")).await.unwrap(), None);
    store.remove_subscription(pinned.id).await.unwrap();
    assert_eq!(store.component(Digest::of(b"component")).await.unwrap(), None);
}
