//! The core of becas-ft, in the order of the data: decode ► draft ► score ► redact ► dedupe ► admit ► export.
//!
//! No PyO3, no network; the clock and randomness are arguments.

pub mod category;
pub mod config;
pub mod correct;
pub mod dedupe;
pub mod draft;
pub mod engine;
pub mod error;
pub mod event;
pub mod example;
pub mod export;
pub mod json;
pub mod pipeline;
pub mod pseudonym;
pub mod redact;
pub mod score;
pub mod store;

mod timestamp;

/// How messages become bytes and back.
pub use prost::Message;

/// The protobuf messages of `becas.ft.v1`, generated at build time.
#[expect(clippy::pedantic, clippy::large_enum_variant, reason = "generated; documented in proto/")]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/becas.ft.v1.rs"));
}
