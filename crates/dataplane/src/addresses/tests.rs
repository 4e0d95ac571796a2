use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use ipnet::IpNet;
use proptest::prelude::*;

use super::networks::{Span, span};
use super::{AddressList, Blocklist, Countries, Country, Registry, Scores, Source};

/// A file of a test's own, which goes with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = std::env::temp_dir().join(format!("gatewright-{}-{name}", std::process::id()));
        fs::write(&path, content).unwrap();
        Self(path)
    }

    fn source(&self, most: usize) -> Source {
        Source { path: self.0.clone(), most }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Few addresses, so that networks meet: of IPv4 the last ten bits, of IPv6 the first and last bits.
fn networks() -> impl Strategy<Value = IpNet> {
    let v4 = (0..1024_u32, 20..=32_u8)
        .prop_map(|(bits, length)| IpNet::new(Ipv4Addr::from_bits(bits).into(), length).unwrap());
    let v6 = (any::<[u8; 2]>(), 0..=128_u8).prop_map(|(ends, length)| {
        let bits = u128::from(ends[0]) << 120 | u128::from(ends[1] & 7) | 1 << 64;
        IpNet::new(IpAddr::V6(bits.into()), length).unwrap()
    });
    prop_oneof![v4, v6].prop_map(|network| network.trunc())
}

fn addresses() -> impl Strategy<Value = IpAddr> {
    networks().prop_map(|network| network.addr())
}

proptest! {
    #[test]
    fn a_list_has_exactly_the_addresses_of_its_networks(
        networks in prop::collection::vec(networks(), 0..40), asked in prop::collection::vec(addresses(), 1..40)
    ) {
        let texts: Vec<String> = networks.iter().map(IpNet::to_string).collect();
        let list = AddressList::compile(texts.iter().map(String::as_str)).unwrap();
        let ends = networks.iter().flat_map(|network| [network.network(), network.broadcast()]);
        for address in ends.chain(asked) {
            let expected = networks.iter().any(|network| network.contains(&address));
            prop_assert_eq!(list.contains(address), expected, "{}", address);
        }
        prop_assert!(list.size().entries <= networks.len());
    }

    #[test]
    fn the_score_of_an_address_is_that_of_its_smallest_network(
        scored in prop::collection::vec((networks(), 0..=100_u8), 0..40),
        asked in prop::collection::vec(addresses(), 1..40)
    ) {
        let lines: String = scored.iter().map(|(network, score)| format!("{network},{score}\n")).collect();
        let file = Scratch::new(&format!("scores-{}", fastrand::u64(..)), lines);
        let scores = Scores::read(&file.0, 100).unwrap();
        let ends = scored.iter().flat_map(|(network, _)| [network.network(), network.broadcast()]);
        for address in ends.chain(asked) {
            let inside = scored.iter().filter(|(network, _)| network.contains(&address));
            // Of equals the last.
            let expected = inside.max_by_key(|(network, _)| network.prefix_len()).map_or(100, |(_, score)| *score);
            prop_assert_eq!(scores.score(address), expected, "{}", address);
        }
    }

    #[test]
    fn no_text_panics_the_parser(text in ".{0,40}") {
        let _ = span(&text);
    }
}

#[test]
fn an_address_of_ipv4_in_ipv6_is_that_of_ipv4() {
    let list = AddressList::compile(["::ffff:10.0.0.0/104", "192.0.2.1"]).unwrap();
    for inside in ["10.1.2.3", "::ffff:10.1.2.3", "::ffff:c000:201", "192.0.2.1"] {
        assert!(list.contains(ip(inside)), "{inside}");
    }
    assert!(!list.contains(ip("::10.1.2.3")) && !list.contains(ip("::1")));
    let everything = AddressList::compile(["::/0"]).unwrap();
    assert!(everything.contains(ip("::1")) && !everything.contains(ip("10.1.2.3")), "of IPv6 alone");
}

#[test]
fn what_is_no_network_is_refused() {
    let wrong = [
        "",
        "a",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0.0.0/-1",
        "10.0.0",
        "010.0.0.1",
        "10.0.0.1/8",
        "::/129",
        "::1/64",
        "::ffff:10.0.0.0/95",
        "::ffff:10.0.0.0/8",
        "10.0.0.0/8/8",
        "10.0.0.0 /8",
        "1.2.3.4:80",
        "[::1]",
        "fe80::1%eth0",
    ];
    for text in wrong {
        assert!(span(text).is_err(), "{text}");
    }
    assert_eq!(span("10.0.0.0/8"), Ok(Span::V4(0x0a00_0000, 0x0aff_ffff)));
    assert_eq!(span("0.0.0.0/0"), Ok(Span::V4(0, u32::MAX)));
    assert_eq!(span("::/0"), Ok(Span::V6(0, u128::MAX)));
}

#[test]
fn a_file_has_comments_empty_lines_and_either_kind_of_line_end() {
    let text = "# a list\r\n\r\n10.0.0.0/8 ; why\n  2001:db8::/32\t# more\n192.0.2.1";
    let file = Scratch::new("comments", text);
    let list = AddressList::read(&file.0, 10).unwrap();
    assert_eq!(list.size().entries, 3);
    assert!(
        list.contains(ip("10.9.9.9")) && list.contains(ip("2001:db8::1")) && list.contains(ip("192.0.2.1"))
    );
}

#[test]
fn a_wrong_line_is_named_by_its_number_and_nothing_is_taken() {
    let long = format!("10.0.0.1\n#{}\n", "x".repeat(2_000));
    let cases: [(&[u8], &str); 4] = [
        (b"10.0.0.1\n\nexample.com\n10.0.0.2\n", ":3: `example.com` is no network"),
        (b"10.0.0.1\n10.0.0.2\n10.0.0.3\n", ":3: more than 2 networks; raise `max_entries`"),
        (b"10.0.0.1\n\xff\n", ":2: the line is not UTF-8"),
        (long.as_bytes(), ":2: the line is too long"),
    ];
    for (number, (text, expected)) in cases.into_iter().enumerate() {
        let file = Scratch::new(&format!("wrong-{number}"), text);
        let error = AddressList::read(&file.0, 2).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    let error = AddressList::read(&PathBuf::from("/nowhere/list.txt"), 2).unwrap_err();
    assert!(error.starts_with("/nowhere/list.txt: cannot be read"), "{error}");
}

#[test]
fn wrong_scores_are_refused() {
    for (number, line) in
        ["10.0.0.0/8", "10.0.0.0/8,101", "10.0.0.0/8,-1", "10.0.0.0/8,1,2", "x,1"].iter().enumerate()
    {
        let file = Scratch::new(&format!("score-{number}"), line);
        assert!(Scores::read(&file.0, 10).unwrap_err().contains(":1: "), "{line}");
    }
}

#[test]
fn a_wrong_file_leaves_what_was_read_before() {
    let file = Scratch::new("reloaded", "10.0.0.0/8\n");
    let registry = Registry::default();
    let kept = registry.list("blocked", file.source(10)).unwrap();
    fs::write(&file.0, "192.0.2.0/24\nnothing\n").unwrap();
    assert!(kept.reload().is_err());
    assert!(kept.now().contains(ip("10.0.0.1")) && !kept.now().contains(ip("192.0.2.1")));
    fs::write(&file.0, "192.0.2.0/24\n").unwrap();
    assert_eq!(kept.reload().unwrap().bytes, 8);
    assert!(!kept.now().contains(ip("10.0.0.1")) && kept.now().contains(ip("192.0.2.1")));
}

#[test]
fn a_file_is_read_once_for_all_snapshots_that_name_it() {
    let file = Scratch::new("kept", "10.0.0.0/8\n");
    let registry = Registry::default();
    let kept = registry.list("blocked", file.source(10)).unwrap();
    fs::write(&file.0, "nothing\n").unwrap();
    let again = registry.list("blocked", file.source(10)).unwrap();
    assert!(std::sync::Arc::ptr_eq(&kept, &again));
    assert!(registry.list("blocked", file.source(11)).is_err(), "another bound is another list");
    drop((kept, again));
    assert!(registry.list("blocked", file.source(10)).is_err(), "what nobody holds is read anew");
}

#[test]
fn what_is_no_database_of_countries_is_refused() {
    let file = Scratch::new("countries", [b"\xab\xcd\xefMaxMind.com".as_slice(), &[0; 64]].concat());
    assert!(Countries::read(&file.0, 1000).is_err());
    assert!(Countries::read(&file.0, 10).err().unwrap().contains("raise `max_size`"));
    assert_eq!(Country::parse("de"), None);
    assert_eq!(Country::parse("DEU"), None);
    assert_eq!(Country::parse("DE").unwrap().text(), "DE");
}

#[test]
fn a_block_holds_for_its_network_until_its_time() {
    let blocks = Blocklist::default();
    assert_eq!(blocks.find(ip("10.0.0.1"), 0), None);
    let json = r#"[{"network": "10.0.0.0/8", "until_ms": 100}, {"network": "192.0.2.1/32", "until_ms": null},
        {"network": "2001:db8::/32", "until_ms": 100}, {"network": "10.1.0.0/16", "until_ms": 200}]"#;
    assert_eq!(blocks.set(json.as_bytes()), Ok(4));
    let find = |address: &str, now| blocks.find(ip(address), now).map(|network| network.to_string());
    assert_eq!(find("10.2.0.1", 99).as_deref(), Some("10.0.0.0/8"));
    assert_eq!(find("::ffff:10.2.0.1", 99).as_deref(), Some("10.0.0.0/8"));
    assert_eq!(find("10.2.0.1", 100), None);
    assert_eq!(find("10.1.0.1", 100).as_deref(), Some("10.1.0.0/16"));
    assert_eq!(find("192.0.2.1", u64::MAX - 1).as_deref(), Some("192.0.2.1/32"));
    assert_eq!(find("192.0.2.2", 0), None);
    assert_eq!(find("2001:db8::1", 99).as_deref(), Some("2001:db8::/32"));
    assert!(blocks.set(b"[{\"network\": \"x\", \"until_ms\": 1}]").is_err());
    assert_eq!(find("10.1.0.1", 100).as_deref(), Some("10.1.0.0/16"), "what was there stays");
    assert_eq!(blocks.set(b"[]"), Ok(0));
    assert_eq!(find("10.1.0.1", 100), None);
}

/// More than an index is made for, each of two addresses, so that ranges stay apart; one of them over many slots.
fn many(count: usize) -> (String, Vec<u32>) {
    let mut random = fastrand::Rng::with_seed(1);
    let firsts: Vec<u32> = (0..count).map(|_| random.u32(..) & !7).collect();
    let lines: String = firsts.iter().map(|first| format!("{}/31\n", Ipv4Addr::from_bits(*first))).collect();
    (lines + "96.0.0.0/5\n0.0.0.0\n255.255.255.255\n", firsts)
}

#[test]
fn a_list_with_an_index_has_exactly_its_addresses() {
    let (lines, firsts) = many(200_000);
    let file = Scratch::new("indexed", lines);
    let list = AddressList::read(&file.0, 1_000_000).unwrap();
    let size = list.size();
    assert_eq!(size.bytes, size.entries * 8 + (65_536 + 1) * 4);
    let known: std::collections::HashSet<u32> = firsts.into_iter().collect();
    let expected =
        |bits: u32| known.contains(&(bits & !1)) || bits >> 27 == 96 >> 3 || bits == 0 || bits == u32::MAX;
    let near =
        known.iter().flat_map(|first| (0..8).map(move |more| first.wrapping_add(more).wrapping_sub(3)));
    let slots = (0..=u16::MAX).flat_map(|slot| [u32::from(slot) << 16, u32::from(slot) << 16 | 0xffff]);
    for bits in near.chain(slots) {
        assert_eq!(
            list.contains(Ipv4Addr::from_bits(bits).into()),
            expected(bits),
            "{}",
            Ipv4Addr::from_bits(bits)
        );
    }
}

/// Of this thread, so that a busy machine does not count.
fn nanoseconds() -> u64 {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    told.split(' ').next().unwrap().parse().unwrap()
}

#[test]
#[ignore = "prints times and proves nothing; run it in an optimised build"]
fn how_long_a_look_up_among_five_million_networks_takes() {
    const ASKED: usize = 4_000_000;
    let (lines, _) = many(5_000_000);
    let file = Scratch::new("five-million", lines);
    let began = nanoseconds();
    let list = AddressList::read(&file.0, 6_000_000).unwrap();
    let (read, size) = (nanoseconds() - began, list.size());
    let mut random = fastrand::Rng::with_seed(2);
    let asked: Vec<IpAddr> = (0..ASKED).map(|_| Ipv4Addr::from_bits(random.u32(..)).into()).collect();
    let began = nanoseconds();
    let found = asked.iter().filter(|address| list.contains(**address)).count();
    let each = (nanoseconds() - began) as f64 / ASKED as f64;
    let bytes = size.bytes as f64 / size.entries as f64;
    let read = read as f64 / 1e9;
    println!(
        "{} ranges, {bytes:.2} bytes each, read in {read:.2} s; a look-up {each:.0} ns ({found} found)",
        size.entries
    );
}
