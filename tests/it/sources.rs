//! Inbound sources: every preset signed as its service signs, handshakes, bytes, limits, receptions.

mod attributes;
mod bytes;
mod certificate;
mod crash;
mod handshakes;
mod limits;
mod presets;
mod sender;
mod services;
mod verbs;
