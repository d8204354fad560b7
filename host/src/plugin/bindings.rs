//! The host's side of the contract in `wit/`, generated: nothing here is written by hand.
//!
//! `Borrowing` lets the host hand an event over by reference, so that its data is copied once, into
//! the guest.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "transformer",
    ownership: Borrowing { duplicate_if_necessary: true },
});
