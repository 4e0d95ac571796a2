//! What protocol buffers look like on the wire.

/// A message under construction.
#[derive(Debug, Default)]
pub(super) struct Message(pub(super) Vec<u8>);

const VARINT: u32 = 0;
const EIGHT_BYTES: u32 = 1;
const LENGTH: u32 = 2;

impl Message {
    pub(super) fn whole(&mut self, field: u32, value: u64) {
        self.key(field, VARINT);
        varint(&mut self.0, value);
    }

    /// `sint32` and `sint64`.
    pub(super) fn signed(&mut self, field: u32, value: i64) {
        self.whole(field, zigzag(value));
    }

    pub(super) fn real(&mut self, field: u32, value: f64) {
        self.key(field, EIGHT_BYTES);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// `fixed64` and `sfixed64`.
    pub(super) fn fixed(&mut self, field: u32, value: u64) {
        self.key(field, EIGHT_BYTES);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, field: u32, value: &[u8]) {
        self.key(field, LENGTH);
        varint(&mut self.0, value.len() as u64);
        self.0.extend_from_slice(value);
    }

    pub(super) fn text(&mut self, field: u32, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    /// A message inside, or a packed list: `write` appends what is in it.
    pub(super) fn nested(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        self.key(field, LENGTH);
        let start = self.0.len();
        self.0.push(0);
        write(self);
        let length = self.0.len() - start - 1;
        match self.0.get_mut(start) {
            // Most messages are short, and then nothing has to move.
            Some(place) if length < 0x80 => *place = length as u8,
            _ => {
                let mut text = Vec::with_capacity(10);
                varint(&mut text, length as u64);
                self.0.splice(start..=start, text);
            }
        }
    }

    pub(super) fn packed(&mut self, value: u64) {
        varint(&mut self.0, value);
    }

    pub(super) fn packed_fixed(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn key(&mut self, field: u32, kind: u32) {
        varint(&mut self.0, u64::from(field << 3 | kind));
    }
}

pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_format_documents_them() {
        let mut message = Message::default();
        message.whole(1, 150);
        message.text(2, "testing");
        message.nested(3, |inner| inner.whole(1, 150));
        message.signed(4, -2);
        assert_eq!(
            message.0,
            [
                0x08, 0x96, 0x01, 0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67, 0x1a, 0x03, 0x08,
                0x96, 0x01, 0x20, 0x03
            ]
        );
        assert_eq!([0, -1, 1, -2, i64::MAX].map(zigzag), [0, 1, 2, 3, u64::MAX - 1]);
    }
}
