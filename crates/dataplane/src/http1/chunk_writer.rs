//! Writes the chunked coding. The caller sends the data itself between two calls, so no body byte is copied here.

use crate::http1::trailers::Trailers;

/// Follows the data of every chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// Writes the line before `length` bytes of data. A chunk of no data would end the body, so for 0 nothing is written.
pub fn write_chunk_size(out: &mut Vec<u8>, length: usize) {
    if length == 0 {
        return;
    }
    let mut shift = (usize::BITS - length.leading_zeros() - 1) / 4 * 4;
    loop {
        out.push(hexadecimal((length >> shift) as u8 & 15));
        if shift == 0 {
            break;
        }
        shift -= 4;
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes data as one chunk, copied.
pub fn write_chunk(out: &mut Vec<u8>, data: &[u8]) {
    write_chunk_size(out, data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(CHUNK_END);
}

/// Ends a body. Trailers come from a `Decoder`, which has proved them.
pub fn write_last_chunk(out: &mut Vec<u8>, trailers: &Trailers) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.iter() {
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

fn hexadecimal(digit: u8) -> u8 {
    if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_written_as_the_standard_library_would() {
        for length in [1, 9, 15, 16, 255, 256, 4096, 65_537, usize::MAX] {
            let mut out = Vec::new();
            write_chunk_size(&mut out, length);
            assert_eq!(String::from_utf8_lossy(&out), format!("{length:x}\r\n"));
        }
    }

    #[test]
    fn no_data_does_not_end_the_body() {
        let mut out = Vec::new();
        write_chunk_size(&mut out, 0);
        assert!(out.is_empty());
        write_last_chunk(&mut out, &Trailers::default());
        assert_eq!(out, b"0\r\n\r\n");
    }
}
