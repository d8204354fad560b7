//! Sources: what is configured of them.

use std::sync::Arc;

use super::{Backend, Maker, Size, TENANT};
use crate::id::TenantId;
use crate::secret::Secret;
use crate::source::{Conflict, Mapping, Response, Settings, Source, Verification};
use crate::store::Error;
use crate::subscription::SigningSecret;

pub(in crate::store) fn source(maker: &Maker, name: &str) -> Source {
    Source {
        id: maker.ids.next(maker.now),
        tenant: TENANT,
        name: name.to_owned(),
        description: Some("Every deploy".to_owned()),
        enabled: true,
        preset: "github".to_owned(),
        settings: Settings {
            verification: Some(Verification::Basic),
            handshakes: Some(Vec::new()),
            events: Mapping {
                event_type: Some(vec!["github.{header:x-github-event}".to_owned()]),
                id: Some(Vec::new()),
                on_conflict: Some(Conflict::Duplicate),
                ..Mapping::default()
            },
            allowed_ips: vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
            body_bytes_max: Some(65_536),
            response: Some(Response::default()),
            keep_refused: true,
            ..Settings::default()
        },
        secrets: vec![
            SigningSecret {
                secret: Secret::new("whsec_t0ken"),
                until: None,
            },
            SigningSecret {
                secret: Secret::new("older T0KEN"),
                until: Some(maker.now),
            },
        ],
        unread: None,
        verify_token: Some(Secret::new("verify t0ken")),
        version: 1,
        created_at: maker.now,
        updated_at: maker.now,
    }
}

/// Everything of a source as text; secrets too, which `Debug` alone would hide.
fn whole(source: &Source) -> String {
    let secrets = serde_json::to_string(&(&source.secrets, &source.verify_token)).unwrap();
    format!("{source:?} {secrets}")
}

pub(in crate::store) async fn sources_are_kept_whole<B: Backend>() {
    let backend = B::new(Size::Usual);
    let maker = Maker::new();
    let store = backend.open(maker.now);
    let mut first = source(&maker, "deploys");
    let second = Source {
        description: None,
        enabled: false,
        settings: Settings::default(),
        secrets: Vec::new(),
        verify_token: None,
        ..source(&maker, "builds")
    };
    // A name belongs to its tenant.
    let foreign = Source {
        tenant: TenantId::from_number(2),
        ..source(&maker, "deploys")
    };
    for added in [&first, &second, &foreign] {
        store.add_source(Arc::new(added.clone())).await.unwrap();
    }
    let taken = store.add_source(Arc::new(source(&maker, "deploys"))).await;
    assert!(
        matches!(&taken, Err(Error::Taken { what }) if what.contains("deploys")),
        "{taken:?}"
    );
    drop(store);
    let store = backend.open(maker.now);
    let found = store.sources().await.unwrap();
    assert_eq!(
        found.iter().map(whole).collect::<Vec<_>>(),
        [whole(&first), whole(&second), whole(&foreign)]
    );
    assert!(store.newest_id().await.unwrap() >= foreign.id.number());

    first.version = 2;
    first.name = "releases".to_owned();
    first.secrets.pop();
    let changed = Arc::new(first.clone());
    let refused = store.update_source(Arc::clone(&changed), 2).await;
    assert!(matches!(refused, Err(Error::Changed)));
    store.update_source(Arc::clone(&changed), 1).await.unwrap();
    let refused = store.update_source(changed, 1).await;
    assert!(matches!(refused, Err(Error::Changed)));
    assert_eq!(whole(&store.sources().await.unwrap()[0]), whole(&first));
    let renamed = Source {
        name: "releases".to_owned(),
        ..second.clone()
    };
    let refused = store.update_source(Arc::new(renamed), 1).await;
    assert!(matches!(refused, Err(Error::Taken { .. })));
    assert_eq!(whole(&store.sources().await.unwrap()[1]), whole(&second));

    store.remove_source(first.id).await.unwrap();
    let missing = store.remove_source(first.id).await;
    assert!(matches!(missing, Err(Error::Missing { .. })));
    let missing = store.update_source(Arc::new(first), 2).await;
    assert!(matches!(missing, Err(Error::Missing { .. })));
    assert_eq!(store.sources().await.unwrap().len(), 2);
    // The name is free again.
    store
        .add_source(Arc::new(source(&maker, "releases")))
        .await
        .unwrap();
}
