//! The host's side of the contract in `wit/`, generated: nothing here is written by hand.
//!
//! `Borrowing` lets the host hand an event over by reference, so that its data is copied once, into
//! the guest.

#![expect(
    clippy::wildcard_imports,
    reason = "generated code; the contract is documented in wit/"
)]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "transformer",
    ownership: Borrowing { duplicate_if_necessary: true },
});
