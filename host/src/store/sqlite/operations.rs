//! What background operations ask of the store: walks through history, steps, and how far each is.

use futures_util::future::BoxFuture;

use super::writer::Kind;
use super::{ROW_WEIGHT, SqliteStore, candidates, operation_rows};
use crate::delivery::Pending;
use crate::id::{OperationId, TenantId};
use crate::operation::{self, Operation, Renewed, Step, Stepped};
use crate::store::{
    EventWalk, FailedDelivery, FailedWalk, OldEvent, OperationQuery, Operations, Result, Walked,
};
use crate::time::Timestamp;

impl Operations for SqliteStore {
    fn failed_deliveries(&self, walk: FailedWalk) -> BoxFuture<'_, Result<Walked<FailedDelivery>>> {
        self.read(move |conn| candidates::failed(conn, &walk))
    }

    fn old_events(&self, walk: EventWalk) -> BoxFuture<'_, Result<Walked<OldEvent>>> {
        self.read(move |conn| candidates::events(conn, &walk))
    }

    fn renew(
        &self,
        tenant: TenantId,
        new: Vec<Renewed>,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<Option<Pending>>>> {
        self.write(Kind::Ingest, ROW_WEIGHT * new.len(), move |work| {
            operation_rows::renew_all(work, tenant, &new, now)
        })
    }

    fn add_operation(&self, operation: Operation) -> BoxFuture<'_, Result<bool>> {
        self.configure(move |work| {
            operation_rows::add(work, &operation, operation::RUNNING_MAX, operation::KEPT_MAX)
        })
    }

    fn operation(&self, id: OperationId) -> BoxFuture<'_, Result<Option<Operation>>> {
        self.read(move |conn| operation_rows::operation(conn, id))
    }

    fn operations(&self, query: OperationQuery) -> BoxFuture<'_, Result<Vec<Operation>>> {
        self.read(move |conn| operation_rows::operations(conn, &query))
    }

    fn step(&self, step: Step) -> BoxFuture<'_, Result<Stepped>> {
        self.write(Kind::Ingest, ROW_WEIGHT * (1 + step.put.len()), move |work| {
            operation_rows::step(work, &step)
        })
    }

    fn end_operation(
        &self,
        id: OperationId,
        state: operation::State,
        error: Option<String>,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Option<Operation>>> {
        self.configure(move |work| operation_rows::end(work, id, state, error.as_deref(), now))
    }
}
