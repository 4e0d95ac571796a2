"""A sample of `make conformance-differential`: no difference to a peer without its reason."""

from pathlib import Path

import pytest

from conformance.differential.comparison import Comparison, compare
from conformance.differential.corpus import cases
from conformance.differential.service import Seen

GENERATED = 150


@pytest.fixture(scope="module")
async def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    place: Path = tmp_path_factory.mktemp("differential")
    return await compare(cases(GENERATED), ["nginx", "haproxy"], place)


@pytest.mark.needs("nginx", "haproxy")
async def test_gatewright_accepts_or_changes_nothing_more_than_nginx_and_haproxy_unexplained(
    comparison: Comparison,
) -> None:
    assert "\n".join(map(str, comparison.unexplained)) == ""
    assert "gatewright" not in comparison.strays, "a service saw a request that no client sent"
    # All went through: a gateway that answers nothing would differ in nothing that counts.
    assert sum(counts["same"] for counts in comparison.verdicts.values()) > len(cases(GENERATED))


def test_difference_that_nobody_explained_is_found() -> None:
    case, ours = cases(0)[0], [Seen("GET", "/case", "a")]
    for theirs in ([], [Seen("GET", "/case", "b")], [Seen("GET", "/case", "a", body=b"x")]):
        comparison = Comparison()
        comparison.add(case, "nginx", ours, theirs)
        assert [one.theirs for one in comparison.unexplained] == [theirs]


def test_only_the_named_spellings_are_alike() -> None:
    def is_explained(ours: str, theirs: str) -> bool:
        comparison = Comparison()
        comparison.add(cases(0)[0], "nginx", [Seen("GET", ours, "a")], [Seen("GET", theirs, "a")])
        return not comparison.unexplained

    assert is_explained("/%7Bid%7D", "/{id}")
    assert is_explained("/a?", "/a")
    assert not is_explained("/%252e", "/%2e%2e")
    assert not is_explained("/a?b=%2f", "/a?b=%2F")
    assert not is_explained("/A", "/a")
