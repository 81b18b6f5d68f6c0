//! The table of fields that build.rs writes from the protos.

/// A message: its full name and its fields.
pub(crate) struct Message {
    /// `.becas.ft.v1.Event`
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [Field],
}

/// A field of a message.
pub(crate) struct Field {
    /// On the wire.
    pub(crate) number: u32,
    /// In the proto, for the paths in reasons.
    pub(crate) name: &'static str,
    /// In the bots' JSON.
    pub(crate) json: &'static str,
    pub(crate) repeated: bool,
    pub(crate) kind: Kind,
}

/// What a field holds.
pub(crate) enum Kind {
    Double,
    Integer,
    Bool,
    Text,
    /// Names and numbers of its values.
    Enum(&'static [(&'static str, i32)]),
    /// Index into `MESSAGES`.
    Message(usize),
}

include!(concat!(env!("OUT_DIR"), "/fields.rs"));
