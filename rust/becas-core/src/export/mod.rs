//! Datasets from the store, in the order of the work: select ► match ► cluster ► balance ► split ► write.

mod selection;

mod matched;
mod quarantine;
mod seeded;
mod source;

mod message;
mod near;
mod shingle;
mod sketch;
mod union;

mod balance;
mod fill;
mod people;

mod split;

mod line;
mod manifest;
mod parquet;
mod parts;

mod context;
mod numbers;
mod plan;

#[cfg(test)]
mod tests;

pub use context::{Context, Message, System};
pub use message::message;
pub use parts::{Parts, PartsOf};
pub use plan::{Plan, plan};
pub use selection::Selection;
pub use source::Source;
