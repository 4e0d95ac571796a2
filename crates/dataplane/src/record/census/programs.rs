//! Which clients say of themselves that they are programs. Nobody has to, so that this is a lower bound.

use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder};

/// What a `User-Agent` has in it, whatever its case.
const WORDS: &str = r"bot\b|crawl|spider|scrap|curl/|wget/|python|java/|go-http|headless|okhttp|axios|libwww";
/// Bytes that are looked at; records tell no more either.
const LOOKED_AT: usize = 512;
/// Agents that are remembered, each in a place of its own; another one that falls there takes it.
const REMEMBERED: usize = 1_024;
/// Bytes that are taken into a digest at once.
const PART: usize = 16;

/// Is always there: a test makes it.
static PROGRAMS: LazyLock<Option<Regex>> =
    LazyLock::new(|| RegexBuilder::new(WORDS).unicode(false).case_insensitive(true).build().ok());

/// What is known of agents that have come before. Belongs to one worker.
#[derive(Debug)]
pub(super) struct Programs {
    /// The digest of an agent, its last bit replaced by what is known of it.
    known: Box<[u64]>,
}

impl Default for Programs {
    fn default() -> Self {
        Self { known: vec![0; REMEMBERED].into() }
    }
}

impl Programs {
    /// Who does not say what it is is one.
    #[inline]
    pub(super) fn has(&mut self, agent: Option<&[u8]>) -> bool {
        let Some(agent) = agent.filter(|agent| !agent.is_empty()) else { return true };
        let digest = digest(agent);
        // By the upper bits: the lowest is not kept.
        let Some(known) = self.known.get_mut((digest >> 54) as usize) else { return false };
        if (*known ^ digest) >> 1 != 0 {
            *known = (digest & !1) | u64::from(is_program(agent));
        }
        *known & 1 == 1
    }
}

/// Differs where agents differ, but for one time in very many. Whoever makes two that do not has gained nothing that a lie
/// would not give him, so that it needs no secret.
#[inline]
fn digest(agent: &[u8]) -> u64 {
    const ODD: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03];
    let add = |digest: u64, part: &[u8; PART]| {
        let part = u128::from_le_bytes(*part);
        let product = u128::from(part as u64 ^ digest) * u128::from((part >> 64) as u64 ^ ODD[1]);
        product as u64 ^ (product >> 64) as u64
    };
    let (parts, rest) = agent.as_chunks::<PART>();
    let digest = parts.iter().fold((agent.len() as u64).wrapping_mul(ODD[0]), add);
    let Some(last) = agent.last_chunk::<PART>() else {
        let mut last = [0; PART];
        last.iter_mut().zip(rest).for_each(|(byte, rest)| *byte = *rest);
        return add(digest, &last);
    };
    // Some of its bytes a second time, which does no harm.
    add(digest, last)
}

#[cold]
fn is_program(agent: &[u8]) -> bool {
    let agent = agent.get(..LOOKED_AT).unwrap_or(agent);
    PROGRAMS.as_ref().is_some_and(|programs| programs.is_match(agent))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROWSER: &[u8] = b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

    #[test]
    fn programs_are_known_by_a_word_of_their_agent_whatever_its_case() {
        let mut programs = Programs::default();
        let names = "curl/8.5 Wget/1.2 python-requests/2.3 Go-http-client/2.0 okhttp/4 axios/1 Java/17 libwww-perl \
            Googlebot HeadlessChrome my-SPIDER scrapy crawler";
        for _ in 0..2 {
            for name in names.split_whitespace() {
                assert!(programs.has(Some(name.as_bytes())), "{name}");
            }
            for name in [BROWSER, b"bottle", b"curl", b"\xff\xfe"] {
                assert!(!programs.has(Some(name)), "{name:?}");
            }
        }
        assert!(programs.has(Some(b"x bot; y")) && programs.has(Some(b"\xffbot")));
    }

    #[test]
    fn who_says_nothing_is_a_program() {
        let mut programs = Programs::default();
        assert!(programs.has(None) && programs.has(Some(b"")));
    }

    #[test]
    fn what_is_remembered_is_true_for_more_agents_than_have_room() {
        let mut programs = Programs::default();
        for _ in 0..2 {
            for number in 0..5 * REMEMBERED {
                assert!(programs.has(Some(format!("bot {number}").as_bytes())));
                assert!(!programs.has(Some(format!("browser {number}").as_bytes())));
            }
        }
        assert_eq!(programs.known.len(), REMEMBERED);
    }

    #[test]
    fn agents_that_differ_in_one_bit_or_in_their_length_have_different_digests() {
        let mut seen = std::collections::BTreeSet::new();
        let mut agents = 0;
        for length in 1..100 {
            let same = vec![b'x'; length];
            let changed = (0..8 * length).map(|bit| {
                let mut agent = same.clone();
                agent[bit / 8] ^= 1 << (bit % 8);
                agent
            });
            for agent in changed.chain([same.clone()]) {
                seen.insert(digest(&agent) >> 1);
                agents += 1;
            }
        }
        assert_eq!(seen.len(), agents);
    }

    #[test]
    fn an_agent_that_was_seen_is_not_searched_again() {
        let mut programs = Programs::default();
        assert!(!programs.has(Some(BROWSER)));
        // What is known is what is told, be it wrong.
        programs.known.iter_mut().for_each(|known| *known |= 1);
        assert!(programs.has(Some(BROWSER)));
    }

    #[test]
    fn only_the_beginning_of_a_long_agent_is_looked_at() {
        let agent = |blanks| [" ".repeat(blanks).as_bytes(), b"python"].concat();
        let mut programs = Programs::default();
        assert!(programs.has(Some(&agent(LOOKED_AT - 6))));
        assert!(!programs.has(Some(&agent(LOOKED_AT - 5))));
    }
}
