//! Whole exports over sources made by hand.

mod balancing;
mod changes;
pub(super) mod fixture;
mod formats;
mod properties;
mod quarantine;
mod requests;
mod splitting;
mod with_store;
