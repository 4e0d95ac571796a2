"""Texts of configurations, kept for `explain`."""

from pathlib import Path

import pytest

from gatewright.control import kept_texts
from gatewright.control.kept_texts import KeptTexts, without_secrets

AT = "2026-11-27T14:30:00.000+00:00"


@pytest.fixture
def texts(tmp_path: Path) -> KeptTexts:
    return KeptTexts(tmp_path / "state" / "configurations.sqlite")


def test_every_version_keeps_its_own_text(texts: KeptTexts, tmp_path: Path) -> None:
    texts.keep(1, {"g.yaml": b"one\ntwo\n", "r.yaml": b"routes\n"}, AT)
    texts.keep(2, {"g.yaml": b"one\nchanged\n", "r.yaml": b"routes\n"}, AT)
    first, second, same = (texts.text(1, "g.yaml"), texts.text(2, "g.yaml"), texts.text(1, "r.yaml"))
    assert first is not None and second is not None and same is not None
    assert (first.lines[1], first.is_newest) == ("two", False)
    assert (second.lines[1], second.is_newest) == ("changed", True)
    assert same.is_newest
    assert texts.applied_at(1) == (AT, 2)
    assert (tmp_path / "state" / "configurations.sqlite").stat().st_mode & 0o777 == 0o600


def test_what_is_not_kept_is_not_made_up(texts: KeptTexts) -> None:
    assert texts.text(1, "g.yaml") is None
    assert texts.applied_at(1) == (None, None)
    texts.keep(5, {"g.yaml": b"x"}, AT)
    assert texts.text(4, "g.yaml") is None
    assert texts.text(5, "other.yaml") is None
    assert texts.applied_at(4) == (None, 5)


def test_a_version_from_the_last_good_snapshot_has_the_text_of_the_one_it_was(texts: KeptTexts) -> None:
    texts.keep(3, {"g.yaml": b"x"}, AT)
    texts.keep_again(3, 4, AT)
    kept = texts.text(4, "g.yaml")
    assert kept is not None
    assert kept.lines == ("x",)


def test_the_oldest_go_beyond_the_bounds(texts: KeptTexts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_texts, "MOST_VERSIONS", 3)
    for version in range(1, 6):
        texts.keep(version, {"g.yaml": b"%d" % version}, AT)
    assert [texts.text(version, "g.yaml") is not None for version in range(1, 6)] == [
        False,
        False,
        True,
        True,
        True,
    ]
    monkeypatch.setattr(kept_texts, "MOST_BYTES", 1)
    texts.keep(6, {"g.yaml": b"6"}, AT)
    assert texts.text(5, "g.yaml") is None
    assert texts.text(6, "g.yaml") is not None


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("token: abcdefghijklmnop", "token: ***"),
        ('  client_secret: "a b c"  # comment', "  client_secret: ***  # comment"),
        ("admin: {address: '127.0.0.1:1', token: 'x y'}", "admin: {address: '127.0.0.1:1', token: ***}"),
        ("admin: {token: ${file:keys/admin}}", "admin: {token: ${file:keys/admin}}"),
        ('{"secret": "abc", "name": "x"}', '{"secret": ***, "name": "x"}'),
        ("redis: {url: 'redis://user:pass@host:6379'}", "redis: {url: 'redis://user:***@host:6379'}"),
        ("url: postgresql://:pw@host/db", "url: postgresql://:***@host/db"),
        ('token "abcdefgh"', "token ***"),
        ('Admin(token="abc")', "Admin(token=***)"),
        ("previous_secret: abc", "previous_secret: ***"),
        ("secrets:\n  - abc\n  - ${env:X}\nroutes: []", "secrets:\n  ***\n  - ${env:X}\nroutes: []"),
        ("secret: |\n  abc\n  def\nnext: 1", "secret: ***\n  ***\n  ***\nnext: 1"),
        ("token_cache: 10000", "token_cache: 10000"),
        ("passwords: {threads: 2, timeout: 5s}", "passwords: {threads: 2, timeout: 5s}"),
        ("name: token-users", "name: token-users"),
        ("header: X-Token", "header: X-Token"),
    ],
)
def test_secrets_that_are_written_in_the_file_are_struck_out(written: str, kept: str) -> None:
    assert without_secrets(written) == kept
