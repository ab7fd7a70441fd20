//! Bodies in Kubernetes' protobuf, as the typed clients of Go send them: an envelope with `apiVersion` and `kind`
//! around the message (Kubernetes API concepts, "Alternate representations of resources"). Only read, and read
//! into the JSON it stands for; answers are JSON, which every client takes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::model::fields::{Field, Shape, Type};

/// What every body begins with.
const MAGIC: &[u8; 4] = b"k8s\0";

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProtobufError {
    #[error("provided data does not appear to be a protobuf message, expected prefix \"k8s\\0\"")]
    NoEnvelope,
    #[error("the protobuf message ends within a field")]
    Cut,
    #[error("the protobuf message has a number of more than 64 bits")]
    LongNumber,
    #[error("field {field} of {owner} has wire type {wire}, which does not fit")]
    WireType { owner: String, field: u32, wire: u8 },
    #[error("field {field} of {owner} is no UTF-8")]
    Text { owner: String, field: u32 },
    #[error("field {field} of {owner} holds no time")]
    Time { owner: String, field: u32 },
    #[error("field {field} of {owner} holds no JSON")]
    Json { owner: String, field: u32 },
    #[error("objects of kind {kind:?} are not read from protobuf; send JSON")]
    UnknownKind { kind: String },
}

/// The object in a body, with its `apiVersion` and `kind`.
pub(super) fn decode(body: &[u8]) -> Result<Value, ProtobufError> {
    let envelope = body.strip_prefix(MAGIC).ok_or(ProtobufError::NoEnvelope)?;
    let (mut type_meta, mut raw): (&[u8], &[u8]) = (&[], &[]);
    // runtime.Unknown of apimachinery.
    for part in Reader(envelope) {
        match part? {
            (1, Wire::Bytes(bytes)) => type_meta = bytes,
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let (mut api_version, mut kind) = (String::new(), String::new());
    for part in Reader(type_meta) {
        let (number, wire) = part?;
        match number {
            1 => api_version = text(wire, "TypeMeta", number)?,
            2 => kind = text(wire, "TypeMeta", number)?,
            _ => {}
        }
    }
    let Some(fields) = Type::named(&kind) else {
        return Err(ProtobufError::UnknownKind { kind });
    };
    let mut object = message(&kind, fields, raw)?;
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    Ok(Value::Object(object))
}

/// One message. Fields that are not known are left out, as Go does.
fn message(owner: &str, fields: &Type, bytes: &[u8]) -> Result<Map<String, Value>, ProtobufError> {
    let mut object = Map::new();
    for part in Reader(bytes) {
        let (number, wire) = part?;
        let Some((name, field)) = fields.numbered(number) else {
            continue;
        };
        let Some(name) = name else {
            if let Value::Object(inner) = single(owner, field, wire)? {
                object.extend(inner);
            }
            continue;
        };
        match field.shape {
            Shape::One => {
                let value = single(owner, field, wire)?;
                // What is no pointer in Go is always sent, and left out of JSON when it is zero.
                if field.is_pointer || !is_zero(&value) {
                    object.insert(name.to_owned(), value);
                }
            }
            Shape::List => {
                let list = object.entry(name).or_insert_with(|| json!([]));
                if let Value::Array(list) = list {
                    elements(owner, field, wire, list)?;
                }
            }
            Shape::Map => {
                let map = object.entry(name).or_insert_with(|| json!({}));
                if let Value::Object(map) = map {
                    let (key, value) = entry(owner, field, wire)?;
                    map.insert(key, value);
                }
            }
        }
    }
    Ok(object)
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// One element, or numbers that come in one piece.
fn elements(
    owner: &str,
    field: &Field,
    wire: Wire<'_>,
    list: &mut Vec<Value>,
) -> Result<(), ProtobufError> {
    let is_number = matches!(field.type_name.as_str(), "int32" | "int64" | "bool");
    match wire {
        Wire::Bytes(mut packed) if is_number => {
            while !packed.is_empty() {
                let number = varint(&mut packed)?;
                list.push(single(owner, field, Wire::Number(number))?);
            }
        }
        wire => list.push(single(owner, field, wire)?),
    }
    Ok(())
}

fn entry(owner: &str, field: &Field, wire: Wire<'_>) -> Result<(String, Value), ProtobufError> {
    let Wire::Bytes(bytes) = wire else {
        return Err(wrong(owner, field, &wire));
    };
    let mut key = String::new();
    let mut value = None;
    for part in Reader(bytes) {
        match part? {
            (1, wire) => key = text(wire, owner, field.number)?,
            (2, wire) => value = Some(single(owner, field, wire)?),
            _ => {}
        }
    }
    // A value that is zero may be left out.
    let value = match value {
        Some(value) => value,
        None => single(owner, field, Wire::Bytes(&[]))?,
    };
    Ok((key, value))
}

fn wrong(owner: &str, field: &Field, wire: &Wire<'_>) -> ProtobufError {
    ProtobufError::WireType {
        owner: owner.to_owned(),
        field: field.number,
        wire: wire.code(),
    }
}

fn text(wire: Wire<'_>, owner: &str, number: u32) -> Result<String, ProtobufError> {
    let no_text = || ProtobufError::Text {
        owner: owner.to_owned(),
        field: number,
    };
    match wire {
        Wire::Bytes(bytes) => String::from_utf8(bytes.to_vec()).map_err(|_| no_text()),
        Wire::Number(_) | Wire::Fixed => Err(no_text()),
    }
}

fn single(owner: &str, field: &Field, wire: Wire<'_>) -> Result<Value, ProtobufError> {
    let number = field.number;
    match (field.type_name.as_str(), wire) {
        ("bool", Wire::Number(number)) => Ok(json!(number != 0)),
        ("int32" | "int64", Wire::Number(number)) => Ok(json!(number.cast_signed())),
        ("string", wire) => text(wire, owner, number).map(Value::String),
        ("bytes", Wire::Bytes(bytes)) => Ok(json!(STANDARD.encode(bytes))),
        ("Time", Wire::Bytes(bytes)) => time(owner, number, bytes, false),
        ("MicroTime", Wire::Bytes(bytes)) => time(owner, number, bytes, true),
        ("Quantity", Wire::Bytes(bytes)) => quantity(bytes),
        ("IntOrString", Wire::Bytes(bytes)) => int_or_string(bytes),
        ("FieldsV1", Wire::Bytes(bytes)) => fields_v1(owner, number, bytes),
        (name, wire @ Wire::Bytes(bytes)) => match Type::named(name) {
            Some(fields) => message(name, fields, bytes).map(Value::Object),
            None => Err(wrong(owner, field, &wire)),
        },
        (_, wire @ (Wire::Number(_) | Wire::Fixed)) => Err(wrong(owner, field, &wire)),
    }
}

/// Seconds and nanoseconds; nothing at all is no time.
fn time(owner: &str, field: u32, bytes: &[u8], micro: bool) -> Result<Value, ProtobufError> {
    let (mut seconds, mut nanos) = (None, 0);
    for part in Reader(bytes) {
        match part? {
            (1, Wire::Number(number)) => seconds = Some(number.cast_signed()),
            (2, Wire::Number(number)) => nanos = number.cast_signed(),
            _ => {}
        }
    }
    let Some(seconds) = seconds else {
        return Ok(Value::Null);
    };
    let at = i32::try_from(nanos)
        .ok()
        .and_then(|nanos| Timestamp::new(seconds, nanos).ok())
        .ok_or_else(|| ProtobufError::Time {
            owner: owner.to_owned(),
            field,
        })?;
    Ok(json!(if micro {
        format!("{at:.6}")
    } else {
        format!("{at:.0}")
    }))
}

fn quantity(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let mut value = "0".to_owned();
    for part in Reader(bytes) {
        if let (1, wire) = part? {
            value = text(wire, "Quantity", 1)?;
        }
    }
    Ok(json!(value))
}

fn int_or_string(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let (mut is_text, mut number, mut string) = (false, 0, String::new());
    for part in Reader(bytes) {
        match part? {
            (1, Wire::Number(kind)) => is_text = kind != 0,
            (2, Wire::Number(value)) => number = value.cast_signed(),
            (3, wire) => string = text(wire, "IntOrString", 3)?,
            _ => {}
        }
    }
    Ok(if is_text {
        json!(string)
    } else {
        json!(number)
    })
}

/// JSON within protobuf.
fn fields_v1(owner: &str, field: u32, bytes: &[u8]) -> Result<Value, ProtobufError> {
    for part in Reader(bytes) {
        if let (1, Wire::Bytes(raw)) = part? {
            return serde_json::from_slice(raw).map_err(|_| ProtobufError::Json {
                owner: owner.to_owned(),
                field,
            });
        }
    }
    Ok(json!({}))
}

/// A value as it stands in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Four or eight bytes; no field that is known has them.
    Fixed,
}

impl Wire<'_> {
    const fn code(&self) -> u8 {
        match self {
            Self::Number(_) => 0,
            Self::Fixed => 1,
            Self::Bytes(_) => 2,
        }
    }
}

/// The fields of a message, each with its number (Protocol Buffers, "Encoding").
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn part(&mut self) -> Result<(u32, Wire<'a>), ProtobufError> {
        let key = varint(&mut self.0)?;
        let number = u32::try_from(key >> 3).map_err(|_| ProtobufError::LongNumber)?;
        let wire = match key & 7 {
            0 => Wire::Number(varint(&mut self.0)?),
            1 => self.take(8).map(|_| Wire::Fixed)?,
            2 => {
                let length = varint(&mut self.0)?;
                let length = usize::try_from(length).map_err(|_| ProtobufError::Cut)?;
                Wire::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Wire::Fixed)?,
            // Groups, which nobody has sent for many years, and what is not assigned.
            other => {
                return Err(ProtobufError::WireType {
                    owner: "a message".to_owned(),
                    field: number,
                    wire: u8::try_from(other).unwrap_or(u8::MAX),
                });
            }
        };
        Ok((number, wire))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtobufError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(ProtobufError::Cut)?;
        self.0 = rest;
        Ok(taken)
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<(u32, Wire<'a>), ProtobufError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let part = self.part();
        if part.is_err() {
            self.0 = &[];
        }
        Some(part)
    }
}

fn varint(bytes: &mut &[u8]) -> Result<u64, ProtobufError> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(ProtobufError::Cut)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(ProtobufError::LongNumber)
}

#[cfg(test)]
mod tests;
