//! Tenants: owners of everything else. They are few, so all are kept in memory.

use std::sync::Arc;

use super::{Control, Error, Result, check};
use crate::id::TenantId;
use crate::json::Faults;
use crate::store::{self, Tenant};

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

    /// Makes a tenant.
    pub async fn create_tenant(&self, name: String) -> Result<Tenant> {
        let mut faults = Faults::default();
        check::slug(&name, "/name", &mut faults);
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
        let now = self.parts.clock.now();
        let tenant = Tenant {
            id: self.parts.ids.next(now),
            name,
            created_at: now,
        };
        self.parts.store.add_tenant(tenant.clone()).await?;
        tenants.push(tenant.clone());
        self.tenants.store(Arc::new(tenants));
        Ok(tenant)
    }
}
