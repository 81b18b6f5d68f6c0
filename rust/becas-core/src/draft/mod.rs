//! Events to drafts: what a model would be asked, what it should answer, and what speaks for the answer.
//!
//! Root file: each category has a file of its own, with its task, its input and its output.

mod correction;
mod custom;
mod intent;
mod language;
mod moderation;
mod network;
mod neutral;
mod people;
mod plain;
mod policy;
mod profile;
mod prompt;
mod rag;
mod scam;
mod schema;
mod sentiment;
mod signals;
mod task;
mod tool;
mod trust;
mod value;
mod violation;
mod workflow;

mod collect;

pub use self::{
    collect::Draft,
    prompt::{Prompt, prompt, system},
    schema::{output_schema, validate_output},
    signals::{Contextual, Reasoning, Signals},
    value::{Line, Raw, RawLine, Value},
};
pub(crate) use self::{
    collect::{Decision, Question},
    neutral::{neutralise, visible},
    people::{RawIds, ids_of},
    prompt::{message_prompt, output},
    schema::{label_from_text, label_text},
};
