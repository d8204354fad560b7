//! Tenants: owners of everything else. They are few, so all are kept in memory.

use std::sync::Arc;

use super::set::Set;
use super::{Control, Error, Result, check};
use crate::event::check_text;
use crate::event_type::Strictness;
use crate::id::TenantId;
use crate::json::Faults;
use crate::profile::Choice;
use crate::store::{self, Tenant, TenantSettings};

/// Longest name that a tenant has in deliveries, in bytes.
pub const EXTERNAL_ID_BYTES_MAX: usize = 256;

/// What is wished of a tenant.
#[derive(Clone, Debug, Default)]
pub struct TenantWish {
    /// What it is called in deliveries.
    pub external_id: Set<String>,
    /// The profile of subscriptions that name none.
    pub default_profile: Set<Choice>,
    /// Whether payloads of its events must keep to their schemas.
    pub validate_events: Set<Strictness>,
}

impl TenantWish {
    fn lay(self, onto: &mut TenantSettings) {
        self.external_id.onto_optional(&mut onto.external_id);
        self.default_profile.onto_optional(&mut onto.default_profile);
        self.validate_events.onto_optional(&mut onto.validate_events);
    }
}

/// Most tenants: all are in memory, and looked through one by one.
pub const TENANTS_MAX: usize = 10_000;

impl Control {
    /// The tenant of requests that name none.
    pub fn default_tenant(&self) -> TenantId {
        store::DEFAULT_TENANT
    }

    /// The tenant of this id or name.
    pub fn tenant(&self, id_or_name: &str) -> Option<TenantId> {
        let id = id_or_name.parse::<TenantId>().ok();
        let tenants = self.tenants.load();
        tenants
            .iter()
            .find(|tenant| Some(tenant.id) == id || tenant.name == id_or_name)
            .map(|tenant| tenant.id)
    }

    /// The name of a tenant, as plugins see it.
    pub fn tenant_name(&self, id: TenantId) -> Option<String> {
        self.tenants
            .load()
            .iter()
            .find(|tenant| tenant.id == id)
            .map(|tenant| tenant.name.clone())
    }

    /// All tenants.
    pub fn tenants(&self) -> Arc<Vec<Tenant>> {
        self.tenants.load_full()
    }

    /// What a tenant has said about itself.
    pub fn tenant_settings(&self, id: TenantId) -> TenantSettings {
        let tenants = self.tenants.load();
        let known = tenants.iter().find(|tenant| tenant.id == id);
        known.map(|tenant| tenant.settings.clone()).unwrap_or_default()
    }

    /// The profile of a tenant's subscriptions that name none.
    pub(super) fn default_profile(&self, id: TenantId) -> Choice {
        self.tenant_settings(id).default_profile.unwrap_or_default()
    }

    /// What a tenant is called in deliveries.
    pub(super) fn shown_tenant(&self, id: TenantId) -> Arc<str> {
        let tenants = self.tenants.load();
        let known = tenants.iter().find(|tenant| tenant.id == id);
        known.map_or_else(|| id.to_string().into(), |tenant| tenant.shown().into())
    }

    /// Makes a tenant.
    pub async fn create_tenant(&self, name: String, wish: TenantWish) -> Result<Tenant> {
        let mut faults = Faults::default();
        check::slug(&name, "/name", &mut faults);
        let mut settings = TenantSettings::default();
        wish.lay(&mut settings);
        let now = self.parts.clock.now();
        let id = self.parts.ids.next(now);
        // It has no profiles of its own yet, only the router's.
        self.check_settings(id, &settings, &mut faults);
        faults.or(())?;
        let _one_at_a_time = self.changing.lock().await;
        let mut tenants = self.tenants.load().to_vec();
        if tenants.len() >= TENANTS_MAX {
            return Err(Error::conflict(format!(
                "there are {TENANTS_MAX} tenants, the most that are allowed"
            )));
        }
        if tenants.iter().any(|tenant| tenant.name == name) {
            return Err(Error::taken("/name", "is taken by another tenant"));
        }
        let tenant = Tenant {
            id,
            name,
            created_at: now,
            settings,
        };
        self.parts.store.add_tenant(tenant.clone()).await?;
        tenants.push(tenant.clone());
        self.tenants.store(Arc::new(tenants));
        self.hold_events(&tenant);
        Ok(tenant)
    }

    /// Changes what a tenant says about itself.
    pub async fn update_tenant(&self, id: TenantId, wish: TenantWish) -> Result<Tenant> {
        let _one_at_a_time = self.changing.lock().await;
        let mut tenants = self.tenants.load().to_vec();
        let known = tenants.iter_mut().find(|tenant| tenant.id == id);
        let tenant = known.ok_or(Error::Missing("tenant"))?;
        let before = tenant.settings.external_id.clone();
        wish.lay(&mut tenant.settings);
        let mut faults = Faults::default();
        self.check_settings(id, &tenant.settings, &mut faults);
        faults.or(())?;
        let renamed = before != tenant.settings.external_id;
        if renamed && before.is_some() {
            // Whatever was sent with it is sent again with it.
            let detail = "is set once: deliveries that have it look the same in every attempt";
            return Err(Error::taken("/external_id", detail));
        }
        let tenant = tenant.clone();
        if renamed && self.has_deliveries(id).await? {
            let detail = "cannot be set any more: the tenant has deliveries that name it otherwise, and they \
                          look the same in every attempt; make another tenant";
            return Err(Error::taken("/external_id", detail));
        }
        self.parts.store.update_tenant(tenant.clone()).await?;
        self.tenants.store(Arc::new(tenants));
        self.hold_events(&tenant);
        let owner: Arc<str> = tenant.shown().into();
        let again = self.subscriptions(id).into_iter().map(|route| {
            let (subscription, edition) = (Arc::clone(route.subscription()), Arc::clone(route.edition()));
            route.with(subscription, edition, Arc::clone(&owner))
        });
        self.parts.registry.put_all(again.map(Arc::new));
        Ok(tenant)
    }

    fn hold_events(&self, tenant: &Tenant) {
        let (types, payloads) = (self.parts.registry.event_types(), tenant.settings.validate_events);
        types.hold_tenant_to(tenant.id, payloads);
    }

    /// Whether a subscription of this tenant ever had a delivery.
    async fn has_deliveries(&self, id: TenantId) -> Result<bool> {
        for route in self.subscriptions(id) {
            let counters = self.parts.store.counters(Some(route.subscription().id)).await?;
            if counters.created > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn check_settings(&self, id: TenantId, settings: &TenantSettings, faults: &mut Faults) {
        if let Some(text) = &settings.external_id
            && let Err(fault) = check_text(text, EXTERNAL_ID_BYTES_MAX)
        {
            faults.add("/external_id", fault.to_string());
        }
        if let Some(choice) = &settings.default_profile {
            self.edition(id, choice, "/default_profile", faults);
        }
    }
}
