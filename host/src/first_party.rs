//! The plugins that are in the binary, by name and component. Which they are is decided when the
//! binary is built (`build.rs`); a build without a wasm target has none.

include!(concat!(env!("OUT_DIR"), "/first_party.rs"));
