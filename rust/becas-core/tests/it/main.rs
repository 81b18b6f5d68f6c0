//! The core as its callers see it, one module a promise.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bots_json;
mod corrections;
mod events;
mod fuzz;
mod golden;
mod hostile;
mod labels;
mod overload;
mod people;
mod redaction;
mod requests;
mod scores;
mod statistics;
mod validation;
