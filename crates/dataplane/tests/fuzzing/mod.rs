//! Seeds, changes to them, and the clock that ends a run.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fastrand::Rng;

/// What is put into seeds: pieces on which parsers have disagreed.
const PIECES: &str = "\r\n|\r|\n|\r\n |\t| |:|: |;|,|\\|/|//|/../|/..;|%2e|%2F|%5c|%00|%25|%252e|%c0%ae|#|?|\0|\u{7f}|é|0|5|+|0x|chunked|, chunked|\
    Content-Length: 5\r\n|Transfer-Encoding: chunked\r\n|Host: a\r\n|Connection: close\r\n|X_User-ID: root\r\n|Expect: 100-continue\r\n|\
    X-Forwarded-For: 10.0.0.1\r\n|HTTP/1.0|HTTP/1.1|0\r\n\r\n|ffffffffffffffff|http://a|[::1]|.|:80|X-Request-ID: 1\r\n";

pub struct Fuzzer {
    seeds: Vec<Vec<u8>>,
    random: Rng,
    until: Instant,
}

impl Fuzzer {
    /// Reads `tests/corpus/<corpus>`, the time and the seed of the generator.
    pub fn new(corpus: &str) -> Self {
        let seconds = number("GATEWRIGHT_FUZZ_SECONDS").unwrap_or(30);
        let seed = number("GATEWRIGHT_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..));
        println!("GATEWRIGHT_FUZZ_SEED={seed}");
        let until = Instant::now() + Duration::from_secs(seconds);
        let seeds = seeds(corpus);
        assert!(!seeds.is_empty(), "no seeds in tests/corpus/{corpus}");
        Self { seeds, random: Rng::with_seed(seed), until }
    }

    /// Gives changed seeds to `check` until the time is over; a panic names its input.
    pub fn run(mut self, mut check: impl FnMut(&[u8], &mut Rng)) {
        let mut runs = 0_u64;
        while !runs.is_multiple_of(256) || Instant::now() < self.until {
            let input = self.next();
            let random = &mut self.random;
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(&input, random))) {
                println!("failing input: {}", input.escape_ascii());
                resume_unwind(panic);
            }
            runs += 1;
        }
        println!("{runs} inputs");
    }

    fn next(&mut self) -> Vec<u8> {
        let mut input = self.seed();
        for _ in 0..self.random.u8(0..6) {
            let (from, to) = (self.random.usize(..=input.len()), self.random.usize(..=input.len()));
            let range = from.min(to)..from.max(to).min(from.min(to) + 24);
            match self.random.u8(0..6) {
                0 => insert(&mut input, from, self.piece().as_bytes()),
                1 => drop(input.drain(range)),
                2 => {
                    let copy = input.get(range).unwrap_or_default().to_vec();
                    insert(&mut input, to, &copy);
                }
                3 => {
                    let byte = self.random.u8(..);
                    input.get_mut(from..).and_then(<[u8]>::first_mut).into_iter().for_each(|old| *old = byte);
                }
                4 => drop(input.splice(range, self.piece().bytes())),
                _ => {
                    let other = self.seed();
                    insert(&mut input, from, other.get(to.min(other.len())..).unwrap_or_default());
                }
            }
        }
        input
    }

    fn seed(&mut self) -> Vec<u8> {
        self.random.choice(&self.seeds).cloned().unwrap_or_default()
    }

    fn piece(&mut self) -> &'static str {
        self.random.choice(PIECES.split('|').collect::<Vec<_>>()).unwrap_or_default()
    }
}

/// Rising ends of pieces; the last is the length.
pub fn cuts(length: usize, random: &mut Rng) -> Vec<usize> {
    if random.u8(..16) == 0 {
        return (0..=length).collect();
    }
    let mut cuts: Vec<_> = (0..random.usize(0..5)).map(|_| random.usize(..=length)).collect();
    cuts.sort_unstable();
    cuts.push(length);
    cuts
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    drop(input.splice(at.min(input.len())..at.min(input.len()), piece.iter().copied()));
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn seeds(corpus: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(corpus);
    let mut files: Vec<_> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.iter().filter_map(|file| std::fs::read_to_string(file).ok()).map(|text| unescape(&text)).collect()
}

fn unescape(text: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'\n', _) => {}
            (b'\\', [b'x', high, low, tail @ ..]) => {
                let digits = [char::from(*high), char::from(*low)].iter().collect::<String>();
                out.push(u8::from_str_radix(&digits, 16).unwrap_or_default());
                rest = tail;
            }
            (b'\\', [letter, tail @ ..]) => {
                out.push(match letter {
                    b'r' => b'\r',
                    b'n' => b'\n',
                    b't' => b'\t',
                    other => *other,
                });
                rest = tail;
            }
            _ => out.push(byte),
        }
    }
    out
}
