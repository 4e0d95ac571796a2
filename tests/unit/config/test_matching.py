"""Paths and hosts order and cover each other as the engine has it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.config.matching import PathPattern, classify, host_covers, host_rank

BEST_FIRST = [
    "/a/b/c",
    "/a/b/{x}",
    "/a/{x}/c",
    "/{x}/b/{y}",
    "/a/b/*",
    "/a/{x}/*",
    "/{x}/b/*",
    "/a/*",
    "/{x}/*",
    "/*",
    "regex:/a/.*",
]


def test_paths_rank_as_the_engine_orders_them() -> None:
    ranks = [classify(path).rank() for path in BEST_FIRST]
    assert ranks == sorted(ranks, reverse=True)
    assert len(set(ranks)) == len(ranks)


def test_hosts_rank_exact_then_longer_wildcard_then_any() -> None:
    ranks = [host_rank(host) for host in ("a.example.com", "*.b.example.com", "*.example.com", "")]
    assert ranks == sorted(ranks, reverse=True)


@pytest.mark.parametrize(
    ("wider", "narrower", "covered"),
    [
        ("", "a.example.com", True),
        ("", "", True),
        ("a.example.com", "", False),
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "*.a.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "badexample.com", False),
        ("a.example.com", "*.example.com", False),
    ],
)
def test_host_covers_exactly_what_it_matches(wider: str, narrower: str, covered: bool) -> None:
    assert host_covers(wider, narrower) is covered


@pytest.mark.parametrize("path", [path for path in BEST_FIRST if not path.startswith("regex:")])
def test_written_path_is_what_was_read(path: str) -> None:
    assert classify(path).written() == path


@pytest.mark.parametrize(
    ("expression", "start"),
    [
        ("/a/b", "/a/b"),
        ("/a/[0-9]+", "/a/"),
        ("/ab?c", "/a"),
        ("/ab*", "/a"),
        ("/a|/b", ""),
        ("^/a(b)", "/a"),
        ("/a{2}", "/"),
    ],
)
def test_plain_beginning_of_an_expression_is_certain(expression: str, start: str) -> None:
    assert PathPattern("regex", expression).literal_start() == start


@given(st.from_regex(r"/[ab]?[ab?*+|.()]{0,6}", fullmatch=True), st.text("/ab", max_size=6))
def test_whatever_an_expression_matches_has_its_plain_beginning(expression: str, path: str) -> None:
    try:
        matches = re.fullmatch(expression, path)
    except re.error:
        return
    if matches:
        assert path.startswith(PathPattern("regex", expression).literal_start())
