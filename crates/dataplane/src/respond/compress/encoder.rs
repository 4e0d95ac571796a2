//! The three compressors behind one face, and those of a worker that wait to be used again.

use std::io::{self, Write};

use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use flate2::{Compress, Compression as Level, FlushCompress, Status};
use zstd::stream::raw::{CParameter, Encoder as Zstd, InBuffer, Operation, OutBuffer};

use super::Algorithm;

/// Room that a compressor gets at a time.
const ROOM: usize = 16 * 1024;
/// 128 KiB of what went before are looked back at: enough for text, and a bound on memory.
const WINDOW_BITS: u32 = 17;
/// Compressors of each kind that a worker keeps.
const KEPT: usize = 8;

enum Kind {
    Gzip(Box<Compress>),
    Zstd(Zstd<'static>),
    /// It cannot begin again, so it is made anew for every answer.
    Brotli(Box<CompressorWriter<Vec<u8>>>),
}

/// Compresses one answer.
pub struct Encoder {
    kind: Kind,
    level: u32,
}

impl Encoder {
    pub fn new(algorithm: Algorithm, level: u32) -> io::Result<Self> {
        let kind = match algorithm {
            Algorithm::Gzip => Kind::Gzip(Box::new(Compress::new_gzip(Level::new(level), 15))),
            Algorithm::Zstd => {
                let mut zstd = Zstd::new(level as i32)?;
                zstd.set_parameter(CParameter::WindowLog(WINDOW_BITS))?;
                // Tables for more than the window would only take memory: 10 MiB at level 9.
                zstd.set_parameter(CParameter::HashLog(WINDOW_BITS))?;
                zstd.set_parameter(CParameter::ChainLog(WINDOW_BITS))?;
                Kind::Zstd(zstd)
            }
            Algorithm::Brotli => {
                let parameters = BrotliEncoderParams {
                    quality: level as i32,
                    lgwin: WINDOW_BITS as i32,
                    ..BrotliEncoderParams::default()
                };
                Kind::Brotli(Box::new(CompressorWriter::with_params(Vec::new(), ROOM, &parameters)))
            }
        };
        Ok(Self { kind, level })
    }

    /// Takes all of `data`; what is ready comes behind `out`.
    pub fn write(&mut self, data: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match &mut self.kind {
            Kind::Gzip(gzip) => deflate(gzip, data, FlushCompress::None, out),
            Kind::Zstd(zstd) => {
                let mut input = InBuffer::around(data);
                while input.pos() < data.len() {
                    with_room(out, |room| zstd.run(&mut input, room))?;
                }
                Ok(())
            }
            Kind::Brotli(brotli) => {
                brotli.write_all(data)?;
                out.append(brotli.get_mut());
                Ok(())
            }
        }
    }

    /// Everything written so far can be read by the client with what comes behind `out`.
    pub fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match &mut self.kind {
            Kind::Gzip(gzip) => deflate(gzip, &[], FlushCompress::Sync, out),
            Kind::Zstd(zstd) => {
                while with_room(out, |room| zstd.flush(room))? > 0 {}
                Ok(())
            }
            Kind::Brotli(brotli) => {
                brotli.flush()?;
                out.append(brotli.get_mut());
                Ok(())
            }
        }
    }

    /// The end. Gives the compressor where it can begin again.
    pub fn finish(mut self, out: &mut Vec<u8>) -> io::Result<Option<Self>> {
        match &mut self.kind {
            Kind::Gzip(gzip) => deflate(gzip, &[], FlushCompress::Finish, out)?,
            Kind::Zstd(zstd) => while with_room(out, |room| zstd.finish(room, true))? > 0 {},
            Kind::Brotli(_) => {}
        }
        match self.kind {
            Kind::Brotli(brotli) => {
                out.append(&mut brotli.into_inner());
                Ok(None)
            }
            Kind::Gzip(_) | Kind::Zstd(_) => Ok(Some(self)),
        }
    }

    fn restart(&mut self) -> io::Result<()> {
        match &mut self.kind {
            Kind::Gzip(gzip) => gzip.reset(),
            Kind::Zstd(zstd) => zstd.reinit()?,
            Kind::Brotli(_) => return Err(io::ErrorKind::Unsupported.into()),
        }
        Ok(())
    }

    fn is(&self, algorithm: Algorithm, level: u32) -> bool {
        let kind = match self.kind {
            Kind::Gzip(_) => Algorithm::Gzip,
            Kind::Zstd(_) => Algorithm::Zstd,
            Kind::Brotli(_) => Algorithm::Brotli,
        };
        (kind, self.level) == (algorithm, level)
    }
}

fn deflate(gzip: &mut Compress, data: &[u8], flush: FlushCompress, out: &mut Vec<u8>) -> io::Result<()> {
    let start = gzip.total_in();
    loop {
        let taken = (gzip.total_in() - start) as usize;
        out.reserve(ROOM);
        let status = gzip.compress_vec(data.get(taken..).unwrap_or_default(), out, flush)?;
        let is_taken = (gzip.total_in() - start) as usize == data.len();
        // Room that was left over says that nothing more is ready.
        let is_dry = out.len() < out.capacity();
        match status {
            Status::StreamEnd => return Ok(()),
            Status::BufError if is_dry => return Ok(()),
            Status::Ok | Status::BufError
                if is_taken && is_dry && !matches!(flush, FlushCompress::Finish) =>
            {
                return Ok(());
            }
            Status::Ok | Status::BufError => {}
        }
    }
}

fn with_room<R>(
    out: &mut Vec<u8>,
    step: impl FnOnce(&mut OutBuffer<'_, Vec<u8>>) -> io::Result<R>,
) -> io::Result<R> {
    out.reserve(ROOM);
    let end = out.len();
    step(&mut OutBuffer::around_pos(out, end))
}

/// Compressors that wait to be used again.
#[derive(Default)]
pub struct Encoders {
    waiting: Vec<Encoder>,
}

impl Encoders {
    pub fn take(&mut self, algorithm: Algorithm, level: u32) -> io::Result<Encoder> {
        let found = self.waiting.iter().position(|encoder| encoder.is(algorithm, level));
        let reused = found.map(|place| self.waiting.swap_remove(place));
        let reused = reused.and_then(|mut encoder| encoder.restart().is_ok().then_some(encoder));
        reused.map_or_else(|| Encoder::new(algorithm, level), Ok)
    }

    pub fn give_back(&mut self, encoder: Encoder) {
        if self.waiting.len() < KEPT {
            self.waiting.push(encoder);
        }
    }
}
