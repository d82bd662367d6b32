//! The part of Thrift's compact protocol that the head and foot of a Parquet file are written in.

/// A structure while it is written: fields by rising number.
#[derive(Debug, Default)]
pub(crate) struct Struct {
    bytes: Vec<u8>,
    last: i16,
}

const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// A number in groups of seven bits, lowest first.
pub(crate) fn varint(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Numbers near zero in few bits, whatever their sign.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

impl Struct {
    fn field(&mut self, id: i16, kind: u8) {
        // Ids here rise by less than 16, for which a short head is enough.
        self.bytes.push(((id - self.last) as u8) << 4 | kind);
        self.last = id;
    }

    pub(crate) fn i32(mut self, id: i16, value: i32) -> Struct {
        self.field(id, I32);
        varint(zigzag(i64::from(value)), &mut self.bytes);
        self
    }

    pub(crate) fn i64(mut self, id: i16, value: i64) -> Struct {
        self.field(id, I64);
        varint(zigzag(value), &mut self.bytes);
        self
    }

    pub(crate) fn text(mut self, id: i16, value: &str) -> Struct {
        self.field(id, BINARY);
        binary(value, &mut self.bytes);
        self
    }

    pub(crate) fn structure(mut self, id: i16, value: Struct) -> Struct {
        self.field(id, STRUCT);
        self.bytes.extend(value.finish());
        self
    }

    pub(crate) fn structures(mut self, id: i16, values: Vec<Struct>) -> Struct {
        self.field(id, LIST);
        list_head(values.len(), STRUCT, &mut self.bytes);
        values.into_iter().for_each(|value| self.bytes.extend(value.finish()));
        self
    }

    pub(crate) fn i32s(mut self, id: i16, values: &[i32]) -> Struct {
        self.field(id, LIST);
        list_head(values.len(), I32, &mut self.bytes);
        values.iter().for_each(|value| varint(zigzag(i64::from(*value)), &mut self.bytes));
        self
    }

    pub(crate) fn texts(mut self, id: i16, values: &[&str]) -> Struct {
        self.field(id, LIST);
        list_head(values.len(), BINARY, &mut self.bytes);
        values.iter().for_each(|value| binary(value, &mut self.bytes));
        self
    }

    /// Its bytes.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

fn binary(value: &str, bytes: &mut Vec<u8>) {
    varint(value.len() as u64, bytes);
    bytes.extend_from_slice(value.as_bytes());
}

fn list_head(len: usize, kind: u8, bytes: &mut Vec<u8>) {
    if len < 15 {
        bytes.push((len as u8) << 4 | kind);
    } else {
        bytes.push(0xf0 | kind);
        varint(len as u64, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_the_specification_has_them() {
        let mut bytes = Vec::new();
        varint(50399, &mut bytes);
        assert_eq!(bytes, [0xdf, 0x89, 0x03]);
        assert_eq!([0, -1, 1, -2, i64::MIN].map(zigzag), [0, 1, 2, 3, u64::MAX]);
    }

    #[test]
    fn a_structure() {
        let inner = Struct::default().text(1, "ab");
        let bytes = Struct::default().i32(1, -1).i64(3, 300).structure(4, inner).i32s(5, &[1, 2]).finish();
        assert_eq!(bytes, [0x15, 1, 0x26, 0xd8, 4, 0x1c, 0x18, 2, b'a', b'b', 0, 0x19, 0x25, 2, 4, 0]);
    }
}
