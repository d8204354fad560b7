//! The one engine, and the one function that says how components are compiled.
//!
//! What changes the machine code is set in [`compile_config`] only, which the compiling process and
//! the router share; what only concerns running is added in [`host`]. A test compares the two engines'
//! compatibility hashes.

use std::hash::{Hash as _, Hasher};

use sha2::{Digest as _, Sha256};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use super::limits::PluginLimits;

/// Address space behind every linear memory. With all 4 GiB that a 32-bit guest can name reserved, no
/// access needs a bounds check.
const MEMORY_RESERVATION_BYTES: u64 = 4 << 30;
/// Unmapped space behind the reservation, for the constant offset of an access.
const MEMORY_GUARD_BYTES: u64 = 32 << 20;

/// Everything that changes the compiled code.
fn compile_config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .concurrency_support(false)
        .cranelift_opt_level(OptLevel::Speed)
        .memory_reservation(MEMORY_RESERVATION_BYTES)
        .memory_guard_size(MEMORY_GUARD_BYTES)
        .memory_may_move(false)
        .memory_init_cow(true)
        .shared_memory(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_tail_call(false)
        .wasm_relaxed_simd(false)
        .wasm_stack_switching(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .wasm_extended_const(true);
    config
}

/// The engine of the compiling process: never runs anything, reserves nothing.
pub(super) fn compiler() -> wasmtime::Result<Engine> {
    Engine::new(&compile_config())
}

/// The engine of the router. Where the address space for a pool is not to be had (a container with
/// `ulimit -v`, a small board), instances are allocated one by one: slower, equally safe.
pub(super) fn host(limits: &PluginLimits, threads: usize) -> wasmtime::Result<Engine> {
    let mut config = compile_config();
    config.max_wasm_stack(limits.stack_bytes);
    let mut pooled = config.clone();
    pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits, threads)));
    match Engine::new(&pooled) {
        Ok(engine) => Ok(engine),
        Err(error) => {
            tracing::warn!(
                error = format!("{error:#}"),
                "no address space for a pool of plugin instances; allocating them one by one"
            );
            Engine::new(&config)
        }
    }
}

fn pool(limits: &PluginLimits, threads: usize) -> PoolingAllocationConfig {
    let slots = limits.pool_slots(threads);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(limits.core_instances))
        .total_memories(slots.saturating_mul(limits.memories))
        .total_tables(slots.saturating_mul(limits.tables))
        .max_core_instances_per_component(limits.core_instances)
        .max_memories_per_component(limits.memories)
        .max_tables_per_component(limits.tables)
        .max_memories_per_module(limits.memories)
        .max_tables_per_module(limits.tables)
        .max_memory_size(limits.memory_bytes)
        .table_elements(limits.table_elements)
        .max_unused_warm_slots(slots)
        .linear_memory_keep_resident(limits.pool_memory_resident_bytes)
        .table_keep_resident(limits.pool_table_resident_bytes)
        .decommit_batch_size(limits.pool_decommit_batch)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// A digest of everything that an artefact depends on besides its component: wasmtime's version, the
/// configuration above, the processor's features.
pub(super) fn compatibility(engine: &Engine) -> [u8; 32] {
    let mut hasher = Sha256Hasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().into()
}

/// `std::hash` into SHA-256: the standard hasher promises nothing from one build to the next.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest: [u8; 32] = self.0.clone().finalize().into();
        u64::from_le_bytes(digest[..8].try_into().expect("eight bytes of thirty-two"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiling_process_and_the_router_agree() {
        let limits = PluginLimits::default();
        let host = host(&limits, 4).unwrap();
        let compiler = compiler().unwrap();
        assert_eq!(compatibility(&host), compatibility(&compiler));
        let mut other = compile_config();
        other.epoch_interruption(false);
        assert_ne!(compatibility(&host), compatibility(&Engine::new(&other).unwrap()));
    }

    #[test]
    fn a_pool_is_what_a_usual_machine_gets() {
        let limits = PluginLimits::default();
        assert!(host(&limits, 4).unwrap().pooling_allocator_metrics().is_some());
    }
}
