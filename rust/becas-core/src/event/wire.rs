//! A walk over an event's bytes that counts unknown fields and names the field that is broken.

use super::{
    fields::{Field, Kind, MESSAGES},
    invalid::{Code, Invalid},
};

/// Deeper than any event; a struct of a tool's output may be nested in itself.
const MAX_DEPTH: u32 = 64;

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH: u8 = 2;
const GROUP: u8 = 3;
const END_GROUP: u8 = 4;
const FIXED32: u8 = 5;

/// What went wrong, and the names of the fields from the inside out.
struct Fault {
    code: Code,
    remedy: &'static str,
    path: Vec<&'static str>,
}

impl Fault {
    fn new(code: Code, remedy: &'static str) -> Self {
        Self { code, remedy, path: Vec::new() }
    }

    fn malformed() -> Self {
        Self::new(Code::Malformed, "send a becas.ft.v1.Event encoded by protobuf")
    }
}

/// Checks framing, depth and wire types of an event and, unless they are `decoded` already, that its texts are UTF-8;
/// counts its unknown fields.
pub(super) fn check(event: &[u8], decoded: bool) -> Result<u64, Invalid> {
    let mut walk = Walk { unknown: 0, texts: !decoded };
    walk.message(event, 0, 0).map_err(|mut fault| {
        fault.path.reverse();
        let field = if fault.path.is_empty() { "event".to_owned() } else { fault.path.join(".") };
        Invalid::new(fault.code, field, fault.remedy)
    })?;
    Ok(walk.unknown)
}

struct Walk {
    unknown: u64,
    /// Whether texts are looked at.
    texts: bool,
}

impl Walk {
    fn message(&mut self, mut bytes: &[u8], index: usize, depth: u32) -> Result<(), Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::new(Code::TooDeep, "nest at most 64 messages in each other"));
        }
        let fields = MESSAGES[index].fields;
        while !bytes.is_empty() {
            let (number, wire) = tag(&mut bytes)?;
            if let Some(field) = fields.iter().find(|field| field.number == number) {
                self.known(&mut bytes, field, wire, depth).map_err(|mut fault| {
                    fault.path.push(field.name);
                    fault
                })?;
            } else {
                self.unknown += 1;
                skip(&mut bytes, number, wire, depth)?;
            }
        }
        Ok(())
    }

    fn known(
        &mut self,
        bytes: &mut &[u8],
        field: &Field,
        wire: u8,
        depth: u32,
    ) -> Result<(), Fault> {
        match (&field.kind, wire) {
            (Kind::Double, FIXED64) => take(bytes, 8).map(|_| ()),
            (Kind::Integer | Kind::Bool | Kind::Enum(_), VARINT) => varint(bytes).map(|_| ()),
            // Numbers of a repeated field may stand packed in one value.
            (Kind::Integer | Kind::Bool | Kind::Enum(_), LENGTH) if field.repeated => {
                let mut packed = delimited(bytes)?;
                while !packed.is_empty() {
                    varint(&mut packed)?;
                }
                Ok(())
            }
            (Kind::Text, LENGTH) => {
                let text = delimited(bytes)?;
                if self.texts && std::str::from_utf8(text).is_err() {
                    return Err(Fault::new(Code::Malformed, "send valid UTF-8"));
                }
                Ok(())
            }
            (Kind::Message(index), LENGTH) => self.message(delimited(bytes)?, *index, depth + 1),
            (
                Kind::Double
                | Kind::Integer
                | Kind::Bool
                | Kind::Text
                | Kind::Enum(_)
                | Kind::Message(_),
                _,
            ) => Err(Fault::new(Code::WrongType, "send the type that the proto gives this field")),
        }
    }
}

/// The field's number and its wire type.
pub(super) fn tag_of(bytes: &mut &[u8]) -> Option<(u32, u8)> {
    tag(bytes).ok()
}

/// The next length-delimited value.
pub(super) fn value_of<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    delimited(bytes).ok()
}

/// Passes over a value; false where the bytes end within it.
pub(super) fn pass(bytes: &mut &[u8], number: u32, wire: u8) -> bool {
    skip(bytes, number, wire, 0).is_ok()
}

fn tag(bytes: &mut &[u8]) -> Result<(u32, u8), Fault> {
    let key = varint(bytes)?;
    let number = u32::try_from(key >> 3).map_err(|_| Fault::malformed())?;
    if number == 0 {
        return Err(Fault::malformed());
    }
    Ok((number, (key & 7) as u8))
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Fault> {
    if let [byte @ 0..0x80, rest @ ..] = *bytes {
        *bytes = rest;
        return Ok(u64::from(*byte));
    }
    let mut value = 0_u64;
    for (position, byte) in bytes.iter().take(10).enumerate() {
        // The tenth byte holds the 64th bit alone.
        if position == 9 && *byte > 1 {
            return Err(Fault::malformed());
        }
        value |= u64::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            *bytes = &bytes[position + 1..];
            return Ok(value);
        }
    }
    Err(Fault::malformed())
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], Fault> {
    let (head, tail) = bytes.split_at_checked(length).ok_or_else(Fault::malformed)?;
    *bytes = tail;
    Ok(head)
}

fn delimited<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Fault> {
    let length = usize::try_from(varint(bytes)?).map_err(|_| Fault::malformed())?;
    take(bytes, length)
}

fn skip(bytes: &mut &[u8], number: u32, wire: u8, depth: u32) -> Result<(), Fault> {
    match wire {
        VARINT => varint(bytes).map(|_| ()),
        FIXED64 => take(bytes, 8).map(|_| ()),
        LENGTH => delimited(bytes).map(|_| ()),
        FIXED32 => take(bytes, 4).map(|_| ()),
        GROUP if depth < MAX_DEPTH => loop {
            let (inner, inner_wire) = tag(bytes)?;
            if inner_wire == END_GROUP {
                return if inner == number { Ok(()) } else { Err(Fault::malformed()) };
            }
            skip(bytes, inner, inner_wire, depth + 1)?;
        },
        GROUP => Err(Fault::new(Code::TooDeep, "nest at most 64 messages in each other")),
        _ => Err(Fault::malformed()),
    }
}
