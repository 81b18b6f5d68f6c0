//! Bytes to events that can be used: framing, decoding, validation.

mod decode;
mod fields;
mod invalid;
mod validate;
mod wire;

pub use self::{
    decode::{Frame, decode, frames},
    invalid::{Code, Invalid},
    validate::{category, category_of, kind, validate},
};
pub(crate) use self::{
    fields::{Field, Kind, MESSAGES},
    validate::time_of,
};
