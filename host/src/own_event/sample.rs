//! What an own event may look like, for trying a subscription to it: of this subscription where the type is
//! about one, else made up and called `test`.

use serde_json::json;

use super::{
    ALL, By, DELIVERY_FAILED, FailedDelivery, KEY_CREATED, KEY_DELETED, KeyFacts, OwnEvent, PLUGIN_HELD,
    RECOVERY_FINISHED,
};
use crate::delivery::Cause;
use crate::id::OperationId;
use crate::subscription::Subscription;
use crate::time::Timestamp;

/// Whom made-up samples are about.
const NAME: &str = "test";

/// A sample of one of [`ALL`]; nothing of any other type.
pub fn sample(event_type: &str, subscription: &Subscription, now: Timestamp) -> Option<OwnEvent> {
    let event_type = *ALL.iter().find(|own| **own == event_type)?;
    let (id, name) = (subscription.id, &subscription.name);
    let own = match event_type {
        KEY_CREATED | KEY_DELETED => {
            let key = KeyFacts {
                id: id.same_number(),
                name: NAME,
                tenant: Some(subscription.tenant),
                scopes: "read",
            };
            OwnEvent::of_key(event_type, key)
        }
        DELIVERY_FAILED => {
            let delivery = FailedDelivery {
                id: id.same_number(),
                event_id: id.same_number(),
                event_type: "test.event",
                subscription_id: id,
                subscription_name: Some(name),
                cause: Some(Cause::Server),
                reason: "this is a test: nothing has failed",
                attempts: 1,
                status_code: Some(503),
                error: None,
                failed_at: now,
            };
            OwnEvent::delivery_failed(&delivery, 0)
        }
        RECOVERY_FINISHED => {
            let operation: OperationId = id.same_number();
            let data = json!({
                "id": operation, "kind": "recover", "state": "finished", "subscription_id": id,
                "total": 0, "done": 0,
                "skipped": {"expired": 0, "pending": 0, "changed": 0, "subscription_gone": 0, "damaged": 0},
                "error": null, "created_at": now, "ended_at": now,
            });
            OwnEvent::new(event_type, operation.to_string(), &data)
        }
        PLUGIN_HELD => OwnEvent::plugin_held(subscription, NAME, "this is a test: nothing is held"),
        _ => match event_type.strip_prefix("hookway.alert.") {
            Some(alert) => {
                let mut data = json!({
                    "alert": alert.trim_end_matches(".over"), "since": now, "subscription_id": id,
                    "subscription_name": name, "reason": "this is a test: nothing is wrong",
                });
                if alert.ends_with(".over")
                    && let Some(data) = data.as_object_mut()
                {
                    data.insert("over_at".to_owned(), json!(now));
                }
                OwnEvent::new(event_type, id.to_string(), &data)
            }
            None => OwnEvent::of_subscription(event_type, subscription, By::Person),
        },
    };
    Some(own)
}
