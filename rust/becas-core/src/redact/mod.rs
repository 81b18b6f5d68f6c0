//! The one choke point: only what went through here can become an example.

mod bot_token;
mod card;
mod context;
mod email;
mod fold;
mod iban;
mod ids;
mod ip;
mod kept;
mod keys;
mod kind;
mod links;
mod mac;
mod markup;
mod named;
mod nanp;
mod phone;
mod redactor;
mod scan;
mod separator;
mod snowflake;
mod ssn;
mod text;
mod tokens;
mod triggers;
mod url;
mod url_part;
mod view;
mod wallet;

pub use self::{
    ids::Ids,
    kind::PersonalData,
    redactor::{Redactor, Span, in_code_points},
    text::Redacted,
};
pub(crate) use self::{ids::is_role, named::numbers};
