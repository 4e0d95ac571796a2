//! Reads the headers of frames as they pass: where frames and messages end, and what exceeds a limit. Payloads are neither
//! unmasked nor understood.

use std::time::Instant;

use crate::record::Closed;
use crate::websocket::rate::Rates;

const CLOSE: u8 = 8;

/// One direction of a connection.
#[derive(Debug)]
pub struct Frames {
    /// Payload of the frame that is passing, as far as it has not come.
    left: u64,
    /// Bytes of the message whose frames are passing.
    message: u64,
    max_message: u64,
    rates: Rates,
    messages: u64,
    has_closed: bool,
}

struct Header {
    opcode: u8,
    size: usize,
    length: u64,
}

impl Frames {
    /// `rates` are those of messages, pings and pongs.
    pub fn new(max_message: u64, rates: Rates) -> Self {
        Self { left: 0, message: 0, max_message, rates, messages: 0, has_closed: false }
    }

    /// Nothing is too much any more.
    pub fn unlimited(&mut self) {
        self.max_message = u64::MAX;
        self.rates = Rates::default();
    }

    /// A whole frame has passed, and nothing of the next.
    pub fn is_between_frames(&self) -> bool {
        self.left == 0
    }

    /// Messages that have begun so far.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// A close frame has passed, or is passing.
    pub fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// How many bytes at the front of `data` may pass, and why no more of them do. A header passes as a whole.
    pub fn pass(&mut self, data: &[u8], now: Instant) -> (usize, Option<Closed>) {
        let mut passed = 0;
        loop {
            passed += self.finish(data.get(passed..).unwrap_or_default());
            let rest = data.get(passed..).unwrap_or_default();
            let Some(header) = Header::read(rest) else { return (passed, None) };
            if let Err(closed) = self.begin(&header, now) {
                return (passed, Some(closed));
            }
            passed += header.size;
        }
    }

    /// How many bytes at the front of `data` belong to the frame that is passing.
    pub fn finish(&mut self, data: &[u8]) -> usize {
        let step = self.left.min(data.len() as u64);
        self.left -= step;
        step as usize
    }

    fn begin(&mut self, header: &Header, now: Instant) -> Result<(), Closed> {
        if header.length > i64::MAX as u64 {
            return Err(Closed::Malformed);
        }
        let (is_control, continues) = (header.opcode >= CLOSE, header.opcode == 0);
        let before = if continues { self.message } else { 0 };
        let size = before.saturating_add(header.length);
        if size > self.max_message {
            return Err(Closed::MessageTooLarge);
        }
        let is_counted = !continues && header.opcode != CLOSE;
        if is_counted && !self.rates.admit(now) {
            return Err(Closed::TooManyMessages);
        }
        if !is_control {
            self.message = size;
            self.messages += u64::from(!continues);
        }
        self.has_closed |= header.opcode == CLOSE;
        self.left = header.length;
        Ok(())
    }
}

impl Header {
    /// `None` while it is incomplete.
    fn read(bytes: &[u8]) -> Option<Self> {
        let [first, second, rest @ ..] = bytes else { return None };
        let (length, extended) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 2),
            127 => (u64::from_be_bytes(*rest.first_chunk()?), 8),
            short => (u64::from(short), 0),
        };
        let size = 2 + extended + if second & 0x80 == 0 { 0 } else { 4 };
        (bytes.len() >= size).then_some(Self { opcode: first & 0x0f, size, length })
    }
}

/// A close frame of ours. Those to a service are masked, as those of any client (RFC 6455 section 5.3).
pub fn close_frame(code: u16, reason: &str, mask: Option<[u8; 4]>) -> Vec<u8> {
    let payload: Vec<u8> = code.to_be_bytes().into_iter().chain(reason.bytes().take(123)).collect();
    let length = payload.len() as u8;
    let mut frame = vec![0x80 | CLOSE, length | if mask.is_some() { 0x80 } else { 0 }];
    frame.extend(mask.into_iter().flatten());
    let mask = mask.unwrap_or_default().into_iter().cycle();
    frame.extend(payload.into_iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn frame(first: u8, length: u64) -> Vec<u8> {
        let mut bytes = vec![first];
        match length {
            0..=125 => bytes.push(0x80 | length as u8),
            126..=0xffff => {
                bytes.push(0x80 | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(0x80 | 127);
                bytes.extend(length.to_be_bytes());
            }
        }
        bytes.extend([1, 2, 3, 4]);
        bytes
    }

    fn whole(first: u8, length: usize) -> Vec<u8> {
        let mut bytes = frame(first, length as u64);
        bytes.extend(std::iter::repeat_n(0xff, length));
        bytes
    }

    #[test]
    fn however_the_bytes_are_cut_the_same_frames_pass() {
        let stream: Vec<u8> =
            [whole(0x01, 5), whole(0x89, 3), whole(0x80, 200), whole(0x82, 70_000), whole(0x88, 2)].concat();
        for step in [1, 2, 3, 7, 100, 65_536, stream.len()] {
            let mut frames = Frames::new(u64::MAX, Rates::default());
            let (mut passed, mut end) = (0, 0);
            while end < stream.len() {
                end = (end + step).min(stream.len());
                passed += frames.pass(&stream[passed..end], Instant::now()).0;
                // At most an incomplete header waits.
                assert!(end - passed < 14);
            }
            assert_eq!(passed, stream.len());
            assert!(frames.is_between_frames() && frames.has_closed());
            assert_eq!(frames.messages(), 2);
        }
    }

    #[test]
    fn a_message_counts_with_all_its_frames_and_stops_before_the_one_too_much() {
        let mut frames = Frames::new(10, Rates::default());
        let stream = [whole(0x01, 6), whole(0x8a, 10), whole(0x00, 4), frame(0x80, 1)].concat();
        let (passed, closed) = frames.pass(&stream, Instant::now());
        assert_eq!((passed, closed), (stream.len() - 6, Some(Closed::MessageTooLarge)));
        assert!(frames.is_between_frames());
        let mut frames = Frames::new(10, Rates::default());
        assert_eq!(frames.pass(&[whole(0x82, 10), whole(0x82, 10)].concat(), Instant::now()).1, None);
        assert_eq!(frames.pass(&frame(0x89, 11), Instant::now()), (0, Some(Closed::MessageTooLarge)));
    }

    #[test]
    fn a_length_that_no_peer_may_send_is_malformed() {
        let mut frames = Frames::new(u64::MAX, Rates::default());
        assert_eq!(frames.pass(&frame(0x82, 1 << 63), Instant::now()), (0, Some(Closed::Malformed)));
    }

    #[test]
    fn messages_and_pings_of_a_second_are_counted_and_frames_within_a_message_are_not() {
        let mut frames = Frames::new(100, Rates::new(Some(3), None));
        let now = Instant::now();
        let three = [whole(0x01, 1), whole(0x00, 1), whole(0x80, 1), whole(0x89, 0), whole(0x81, 1)].concat();
        assert_eq!(frames.pass(&three, now), (three.len(), None));
        assert_eq!(frames.pass(&whole(0x81, 1), now), (0, Some(Closed::TooManyMessages)));
        assert_eq!(frames.pass(&whole(0x81, 1), now + Duration::from_secs(1)).1, None);
    }

    #[test]
    fn a_masked_close_frame_says_the_same() {
        assert_eq!(close_frame(1001, "bye", None), b"\x88\x05\x03\xe9bye");
        assert_eq!(close_frame(1001, "b", Some([1, 2, 3, 4])), [0x88, 0x83, 1, 2, 3, 4, 2, 0xeb, b'b' ^ 3]);
    }
}
