//! What an export takes from the rest of the core.

use std::borrow::Cow;

use super::message::message;
use crate::{category::Category, draft, pseudonym::Key, redact::Redactor, score::SCORER_VERSION};

/// The instruction of a category: the function that training, shadow tests and production call too.
pub type System = fn(Category) -> &'static str;

/// What a member wrote, of an input; `None` where an example is about nothing written (a trust score that
/// changed): what was made from a fixed form looks alike and is no copy.
pub type Message = fn(&str) -> Option<Cow<'_, str>>;

/// What an export takes from the rest of the core.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// Makes pseudonyms of the ids in the request.
    pub key: &'a Key,
    /// The instruction of a category.
    pub system: System,
    /// The part of an input by which near-copies are told.
    pub message: Message,
    /// Version of the redaction rules, for the manifest.
    pub redactor_version: &'a str,
    /// Version of the scoring rules, for the manifest.
    pub scorer_version: &'a str,
}

impl<'a> Context<'a> {
    /// The product's own.
    pub fn new(key: &'a Key) -> Self {
        Self {
            key,
            system: draft::system,
            message,
            redactor_version: Redactor::VERSION,
            scorer_version: SCORER_VERSION,
        }
    }
}
