//! Frame heads as they pass by (RFC 9113 section 4.1): enough of them to count what a client makes us do.

/// Bytes of a frame's head.
const HEAD: usize = 9;
/// A RST_STREAM is looked at together with its reason.
const RESET: usize = HEAD + 4;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    flags: u8,
    pub stream: u32,
    pub length: usize,
    /// The reason of a RST_STREAM; 0 for all others.
    pub reason: u32,
}

impl Frame {
    pub fn ends_stream(self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & 1 != 0
    }

    pub fn ends_headers(self) -> bool {
        matches!(self.kind, HEADERS | CONTINUATION) && self.flags & 4 != 0
    }

    pub fn is_acknowledgement(self) -> bool {
        matches!(self.kind, SETTINGS | PING) && self.flags & 1 != 0
    }
}

/// Where one direction of a connection stands.
#[derive(Debug, Default)]
pub struct Frames {
    head: [u8; RESET],
    have: usize,
    /// Bytes that belong to no head: of the preface, or of a payload.
    skip: usize,
    /// The kind of the frame whose payload is being skipped.
    within: u8,
}

impl Frames {
    /// Frames begin behind this many bytes.
    pub fn behind(preface: usize) -> Self {
        Self { skip: preface, ..Self::default() }
    }

    /// A frame has begun and is not complete.
    pub fn is_within(&self) -> bool {
        self.have > 0 || self.skip > 0
    }

    /// What is incomplete is the payload of a DATA frame.
    pub fn is_within_data(&self) -> bool {
        self.have == 0 && self.within == DATA
    }

    /// What is incomplete is the payload of a frame that carries a part of a message's head.
    pub fn is_within_fields(&self) -> bool {
        self.skip > 0 && matches!(self.within, HEADERS | CONTINUATION)
    }

    /// What is incomplete is the head of a frame.
    pub fn is_within_head(&self) -> bool {
        self.have > 0
    }

    /// Shows each head in `bytes` to `see`; ends with the first that it does not want, and says how many bytes were in
    /// order before it was complete.
    pub fn scan(&mut self, bytes: &[u8], mut see: impl FnMut(Frame) -> bool) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let skipped = self.skip.min(bytes.len() - at);
            self.skip -= skipped;
            at += skipped;
            let before = at;
            while let Some(&byte) = bytes.get(at).filter(|_| self.skip == 0 && !self.is_whole()) {
                self.take(byte);
                at += 1;
            }
            if self.is_whole() && !see(self.next()) {
                return before;
            }
        }
        at
    }

    fn take(&mut self, byte: u8) {
        if let Some(place) = self.head.get_mut(self.have) {
            *place = byte;
            self.have += 1;
        }
    }

    fn is_whole(&self) -> bool {
        let [first, second, third, kind, ..] = self.head;
        // One of another length is an error, which is the codec's to find.
        let is_reset = kind == RST_STREAM && [first, second, third] == [0, 0, 4];
        self.have == RESET || (self.have == HEAD && !is_reset)
    }

    fn next(&mut self) -> Frame {
        let [first, second, third, kind, flags, one, two, three, four, reason @ ..] = self.head;
        let length = usize::from(first) << 16 | usize::from(second) << 8 | usize::from(third);
        // The first bit means nothing.
        let stream = u32::from_be_bytes([one & 0x7f, two, three, four]);
        let reason = if self.have == RESET { u32::from_be_bytes(reason) } else { 0 };
        self.skip = length - (self.have - HEAD).min(length);
        self.have = 0;
        self.within = kind;
        Frame { kind, flags, stream, length, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn seen(frames: &mut Frames, bytes: &[u8]) -> Vec<(u8, usize, u32)> {
        let mut seen = Vec::new();
        frames.scan(bytes, |frame| {
            seen.push((frame.kind, frame.length, frame.reason));
            true
        });
        seen
    }

    #[test]
    fn heads_are_found_wherever_the_bytes_are_cut() {
        let stream = [
            b"preface".to_vec(),
            frame(SETTINGS, 0, &[]),
            frame(DATA, 0, &[3; 300]),
            frame(RST_STREAM, 0, &[0, 0, 0, 8]),
            frame(RST_STREAM, 0, &[9; 5]),
            frame(HEADERS, 5, b"abc"),
        ]
        .concat();
        let expected =
            [(SETTINGS, 0, 0), (DATA, 300, 0), (RST_STREAM, 4, 8), (RST_STREAM, 5, 0), (HEADERS, 3, 0)];
        for step in [1, 2, 5, 9, 13, 14, 100, stream.len()] {
            let mut frames = Frames::behind(7);
            let found: Vec<_> = stream.chunks(step).flat_map(|bytes| seen(&mut frames, bytes)).collect();
            assert_eq!(found, expected, "in steps of {step}");
            assert!(!frames.is_within());
        }
    }

    #[test]
    fn what_is_not_wanted_is_cut_off_before_it() {
        let stream = [frame(PING, 0, &[0; 8]), frame(PING, 0, &[0; 8])].concat();
        let mut left = 1;
        let kept = Frames::default().scan(&stream, |_| {
            left -= 1;
            left >= 0
        });
        assert_eq!(kept, 17);
    }

    #[test]
    fn an_incomplete_frame_is_told_apart_from_data() {
        let mut frames = Frames::default();
        seen(&mut frames, &frame(DATA, 0, b"abc")[..10]);
        assert!(frames.is_within() && frames.is_within_data());
        seen(&mut frames, b"bc");
        assert!(!frames.is_within());
        seen(&mut frames, &[0, 0]);
        assert!(frames.is_within() && !frames.is_within_data());
    }
}
