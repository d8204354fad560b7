//! Hookway as the webhook system of four products, by their built-in profiles alone, on a clock that the
//! test moves: when attempts are made, which identifiers stay and which differ, who gets what.
//!
//! That the products' own published code accepts what is sent shows `tests/outside/products.py`.

mod bodies;
mod identifiers;
mod overrides;
mod schedules;
mod selection;

use serde_json::{Value, json};

use crate::support::{Receiver, TestRouter};

/// The alert of the WorkFlows document.
fn alert(kind: &str) -> Value {
    json!({"type": kind, "time": "2026-05-19T16:30:00.000Z", "data": {
        "id": "alert_xyz789", "title": "Inventario crítico: Materia Prima A", "severity": "critical",
        "status": "active", "projectId": "proj_def456", "area": "Inventario",
        "createdAt": "2026-05-19T16:30:00.000Z",
    }})
}

/// A subscription under a profile, to everything.
fn subscription(receiver: &Receiver, profile: &str) -> Value {
    json!({"name": "proof", "url": receiver.url(), "events": ["*"], "profile": profile, "secret": SECRET})
}

/// A secret that every scheme of the built-in profiles can take.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Gives the tenant of the test the product's own id for it.
async fn organization(router: &TestRouter, id: &str) {
    let body = json!({"external_id": id});
    router
        .call("PATCH", "/api/v1/tenants/default", &body)
        .await
        .expect(200);
}
