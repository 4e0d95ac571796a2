//! Which successes are recorded while there are many, and how many requests each record stands for.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::snapshot::document::{SampleByDocument, SampleDocument};

/// One rule of sampling. All workers count in it; where no rule is configured, nobody does.
#[derive(Debug)]
pub struct Sampler {
    full_rate: u32,
    /// A request is kept whose hash is below it.
    threshold: u64,
    /// One by the ratio, as records tell it.
    weight: Box<str>,
    by: SampleByDocument,
    /// This second and how many successes it has seen; the same of the second before.
    current: AtomicU64,
    previous: AtomicU64,
}

/// What a request is chosen by.
#[derive(Clone, Copy, Debug)]
pub struct Chance<'a> {
    pub unix_ms: u64,
    pub random: u64,
    /// User or partner.
    pub caller: Option<&'a str>,
    pub client: IpAddr,
    pub trace_id: Option<&'a [u8; 32]>,
}

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept<'a> {
    /// It stands for itself.
    Whole,
    /// It stands for so many requests.
    For(&'a str),
    /// Another one stands for it.
    LeftOut,
}

impl Sampler {
    pub fn compile(document: &SampleDocument) -> Self {
        let ratio = document.ratio.clamp(f64::MIN_POSITIVE, 1.0);
        Self {
            full_rate: document.full_rate,
            // What is beyond the range of the number becomes its greatest value: all are kept.
            threshold: (ratio * 18_446_744_073_709_551_616.0) as u64,
            weight: (1.0 / ratio).to_string().into(),
            by: document.by,
            current: AtomicU64::new(0),
            previous: AtomicU64::new(0),
        }
    }

    /// Counts a success, and says whether it is to be recorded.
    pub fn choose(&self, chance: &Chance<'_>) -> Kept<'_> {
        if !self.is_crowded(chance.unix_ms / 1_000) || self.threshold == u64::MAX {
            return Kept::Whole;
        }
        if self.hash(chance) < self.threshold { Kept::For(&self.weight) } else { Kept::LeftOut }
    }

    /// Were there too many in the second before, or are there in this one already? Whoever comes late by a clock that
    /// went back counts in the second that is current.
    fn is_crowded(&self, second: u64) -> bool {
        let second = second & u64::from(u32::MAX);
        let mut seen = self.current.load(Ordering::Relaxed);
        while seen >> 32 < second {
            let next = second << 32;
            match self.current.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    self.previous.store(seen, Ordering::Relaxed);
                    seen = next;
                }
                Err(other) => seen = other,
            }
        }
        // A count of 2^32 within a second is out of reach.
        let now = self.current.fetch_add(1, Ordering::Relaxed);
        let previous = self.previous.load(Ordering::Relaxed);
        let full = u64::from(self.full_rate);
        let count = |packed: u64| packed & u64::from(u32::MAX);
        count(now) >= full || (previous >> 32) + 1 == now >> 32 && count(previous) > full
    }

    /// The same on every node for the same caller or trace, so that nodes keep the same ones.
    fn hash(&self, chance: &Chance<'_>) -> u64 {
        match (self.by, chance) {
            (SampleByDocument::Caller, Chance { caller: Some(caller), .. }) => of_bytes(caller.as_bytes()),
            (SampleByDocument::Caller, Chance { client: IpAddr::V4(client), .. }) => {
                of_bytes(&client.octets())
            }
            (SampleByDocument::Caller, Chance { client: IpAddr::V6(client), .. }) => {
                of_bytes(&client.octets())
            }
            (SampleByDocument::Trace, Chance { trace_id: Some(trace), .. }) => of_bytes(&trace[..]),
            (SampleByDocument::Trace | SampleByDocument::Request, _) => mixed(chance.random),
        }
    }
}

/// FNV-1a, whose high bits alone are too alike.
fn of_bytes(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
    mixed(bytes.iter().fold(0xCBF2_9CE4_8422_2325, step))
}

/// The last steps of SplitMix64: every bit depends on every other. The request's random number chose its instance as
/// well, which must not say whether it is recorded.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn sampler(full_rate: u32, ratio: f64, by: SampleByDocument) -> Sampler {
        Sampler::compile(&SampleDocument { full_rate, ratio, by })
    }

    fn chance<'a>(unix_ms: u64, number: u32) -> Chance<'a> {
        let (random, client) = (u64::from(number), IpAddr::V4(Ipv4Addr::from_bits(number)));
        Chance { unix_ms, random, caller: None, client, trace_id: None }
    }

    fn kept(sampler: &Sampler, unix_ms: u64, count: u32) -> u32 {
        let chosen = (0..count).filter(|number| sampler.choose(&chance(unix_ms, *number)) != Kept::LeftOut);
        chosen.count() as u32
    }

    #[test]
    fn all_are_kept_up_to_the_rate_and_a_share_of_what_is_above() {
        let sampler = sampler(100, 0.1, SampleByDocument::Request);
        assert_eq!(kept(&sampler, 5_000, 100), 100);
        let above = kept(&sampler, 5_999, 10_000);
        assert!((900..1_100).contains(&above), "{above}");
        // The second after a crowded one begins as that ended.
        let next = kept(&sampler, 6_000, 50);
        assert!(next < 25, "{next}");
        assert_eq!(kept(&sampler, 7_000, 100), 100);
    }

    #[test]
    fn a_record_tells_one_by_the_ratio() {
        for (ratio, weight) in [(0.1, "10"), (0.25, "4"), (0.3, "3.3333333333333335")] {
            let sampler = sampler(0, ratio, SampleByDocument::Request);
            let told = (0..1_000).find_map(|number| match sampler.choose(&chance(1_000, number)) {
                Kept::For(weight) => Some(weight),
                Kept::Whole | Kept::LeftOut => None,
            });
            assert_eq!(told, Some(weight));
        }
    }

    #[test]
    fn weights_add_up_to_the_requests_there_were() {
        let sampler = sampler(1_000, 0.05, SampleByDocument::Request);
        let weights = (0..200_000).map(|number| match sampler.choose(&chance(9_000, number)) {
            Kept::Whole => 1.0,
            Kept::For(weight) => weight.parse().expect("a number"),
            Kept::LeftOut => 0.0,
        });
        let sum: f64 = weights.sum();
        assert!((190_000.0..210_000.0).contains(&sum), "{sum}");
    }

    #[test]
    fn all_of_a_caller_or_trace_are_kept_or_none() {
        let (by_caller, by_trace) =
            (sampler(0, 0.5, SampleByDocument::Caller), sampler(0, 0.5, SampleByDocument::Trace));
        let mut both = [0, 0];
        for number in 0..200 {
            let (name, trace) = (format!("user-{number}"), format!("{number:032x}"));
            let trace: &[u8; 32] = trace.as_bytes().try_into().expect("32 digits");
            let caller = Some(name.as_str());
            for sampler in [&by_caller, &by_trace] {
                let choose = |random| {
                    let chance = Chance { random, caller, trace_id: Some(trace), ..chance(1_000, 1) };
                    sampler.choose(&chance)
                };
                let first = choose(0);
                assert!((1..50).all(|random| choose(random) == first));
                both[usize::from(first == Kept::LeftOut)] += 1;
            }
        }
        assert!(both.iter().all(|count| (140..260).contains(count)), "{both:?}");
    }

    #[test]
    fn a_ratio_of_one_keeps_all_and_a_clock_that_goes_back_does_no_harm() {
        let all = sampler(0, 1.0, SampleByDocument::Request);
        assert_eq!(kept(&all, 1_000, 1_000), 1_000);
        let sampler = sampler(10, 0.5, SampleByDocument::Request);
        assert_eq!(kept(&sampler, 9_000, 10), 10);
        assert!(kept(&sampler, 3_000, 100) < 80);
    }
}
