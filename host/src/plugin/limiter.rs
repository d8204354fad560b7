//! What one instance may allocate: wasmtime asks before every growth.
//!
//! wasmtime's own limits are per memory; this one sums, and it remembers that it said no, so that the
//! trap that mostly follows can be told from other traps.

use wasmtime::ResourceLimiter;

use super::limits::PluginLimits;

/// Something that was refused, with the limit that it met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// Linear memory.
    #[error("wanted more memory than its limit ({} KiB, `plugins.memory_bytes`)", .0 / 1_024)]
    Memory(usize),
    /// Elements of a table.
    #[error("wanted a larger table than its limit ({0} elements, `plugins.table_elements`)")]
    Table(usize),
}

/// The budget of one store.
#[derive(Debug)]
pub(super) struct Limiter {
    memory_bytes: usize,
    memory_bytes_most: usize,
    table_elements_most: usize,
    memories: usize,
    tables: usize,
    instances: usize,
    refused: Option<Refused>,
}

impl Limiter {
    pub(super) fn new(limits: &PluginLimits) -> Self {
        Self {
            memory_bytes: 0,
            memory_bytes_most: limits.memory_bytes,
            table_elements_most: limits.table_elements,
            memories: limits.memories as usize,
            tables: limits.tables as usize,
            instances: limits.core_instances as usize,
            refused: None,
        }
    }

    /// Linear memory in use, summed over all memories, in bytes.
    pub(super) const fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// What was refused since the last time this was asked, if anything was.
    pub(super) fn take_refused(&mut self) -> Option<Refused> {
        self.refused.take()
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        // A growth beyond the maximum fails all the same, after this function said yes.
        let fits = total <= self.memory_bytes_most && maximum.is_none_or(|maximum| desired <= maximum);
        if fits {
            self.memory_bytes = total;
        } else {
            self.refused = Some(Refused::Memory(self.memory_bytes_most));
        }
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let fits = desired <= self.table_elements_most && maximum.is_none_or(|maximum| desired <= maximum);
        if !fits {
            self.refused = Some(Refused::Table(self.table_elements_most));
        }
        Ok(fits)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memories(&self) -> usize {
        self.memories
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::limits::PAGE_BYTES;

    #[test]
    fn memories_are_summed_and_a_refusal_is_remembered() {
        let limits = PluginLimits {
            memory_bytes: 4 * PAGE_BYTES,
            kept_instance_bytes: PAGE_BYTES,
            ..PluginLimits::default()
        };
        let mut limiter = Limiter::new(&limits);
        assert!(limiter.memory_growing(0, 2 * PAGE_BYTES, None).unwrap());
        assert!(limiter.memory_growing(0, 2 * PAGE_BYTES, None).unwrap());
        assert_eq!(limiter.take_refused(), None);
        assert!(!limiter.memory_growing(0, PAGE_BYTES, None).unwrap());
        assert_eq!(limiter.memory_bytes(), 4 * PAGE_BYTES);
        assert_eq!(
            limiter.take_refused(),
            Some(Refused::Memory(limiter.memory_bytes_most))
        );
        assert_eq!(limiter.take_refused(), None);
        assert!(!limiter.table_growing(0, 10_001, None).unwrap());
    }
}
