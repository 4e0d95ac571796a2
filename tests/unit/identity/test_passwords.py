"""Hashes of passwords: what they may cost, and that nobody without an account is told from one with it."""

import io
import sys

import pytest

from gatewright.cli import run
from gatewright.config.password_hashes import Cost, read, stamp
from gatewright.identity.passwords import (
    PasswordChecker,
    PasswordSettings,
    decoy,
    hash_of,
    is_of,
    most_common,
)

QUICK = Cost(memory_kib=7 * 1024, rounds=1, lanes=1, hash_bytes=32)
OTHER = Cost(memory_kib=8 * 1024, rounds=2, lanes=1, hash_bytes=16)
ANN = hash_of("open sesame", QUICK)
Answer = dict[str, object]


def test_a_hash_says_what_it_costs_and_fits_its_password_alone() -> None:
    assert read(ANN) == QUICK
    assert is_of(b"open sesame", ANN)
    assert not is_of(b"open sesam", ANN)
    assert hash_of("open sesame", QUICK) != ANN
    assert stamp(ANN) != stamp(hash_of("open sesame", QUICK))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("secret", "is no hash of a password"),
        ("$2b$12$abcdefghijklmnopqrstuv", "is no hash of a password"),
        (ANN.replace("argon2id", "argon2i"), "is no hash of a password"),
        (ANN.replace("v=19", "v=16"), "is no hash of a password"),
        (ANN.replace("m=7168", "m=7167"), "takes too much or too little"),
        (ANN.replace("m=7168", "m=1048577"), "takes too much or too little"),
        (ANN.replace("t=1", "t=0"), "takes too much or too little"),
        (ANN.replace("t=1", "t=21"), "takes too much or too little"),
        (ANN.replace("p=1", "p=17"), "takes too much or too little"),
        (ANN + "\n", "is no hash of a password"),
    ],
)
def test_what_is_no_hash_or_costs_too_much_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(text)


def test_a_decoy_costs_what_most_hashes_cost_and_fits_nothing() -> None:
    assert most_common([ANN, hash_of("a", OTHER), hash_of("b", OTHER)]) == OTHER
    assert read(decoy(OTHER)) == OTHER
    assert not is_of(b"", decoy(QUICK))


def question(hashed: str | None, password: str) -> Answer:
    return {"hash": None if hashed is None else stamp(hashed), "password": password}


async def test_passwords_are_checked_against_the_hash_that_is_named_and_nobodys_never_fits() -> None:
    checker = PasswordChecker()
    checker.use(PasswordSettings((ANN,)))
    assert await checker.check(question(ANN, "open sesame")) == {"ok": True, "password": True}
    assert await checker.check(question(ANN, "open")) == {"ok": True, "password": False}
    assert await checker.check(question(None, "open sesame")) == {"ok": True, "password": False}
    # Of a configuration that this checker does not know: nobody can tell.
    assert await checker.check(question(hash_of("x", QUICK), "x")) == {"ok": False}
    assert checker.checks == 4
    checker.close()


async def test_a_request_that_began_under_the_configuration_before_is_judged_by_it() -> None:
    checker, bob = PasswordChecker(), hash_of("other", QUICK)
    checker.use(PasswordSettings((ANN,)))
    checker.use(PasswordSettings((bob,)))
    assert await checker.check(question(ANN, "open sesame")) == {"ok": True, "password": True}
    checker.use(PasswordSettings())
    assert await checker.check(question(ANN, "open sesame")) == {"ok": False}
    checker.close()


async def test_what_nobody_waits_for_any_more_is_not_checked() -> None:
    times = iter([0.0, 3.0])
    checker = PasswordChecker(lambda: next(times))
    checker.use(PasswordSettings((ANN,), timeout=3.0))
    assert await checker.check(question(ANN, "open sesame")) == {"ok": False}
    assert checker.checks == 0
    checker.close()


def test_the_command_reads_a_password_and_prints_its_hash(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("open sesame\nrest\n"))
    assert run(["password", "--memory", "7", "--rounds", "1"]) == 0
    printed = capsys.readouterr().out.strip()
    assert is_of(b"open sesame", printed)
    assert read(printed) == QUICK


def test_the_command_asks_twice_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    given = iter(["one", "two", "same", "same"])
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda _: next(given))
    assert run(["password", "--memory", "7", "--rounds", "1"]) == 1
    assert "the two differ" in capsys.readouterr().err
    assert run(["password", "--memory", "7", "--rounds", "1"]) == 0
    assert is_of(b"same", capsys.readouterr().out.strip())


@pytest.mark.parametrize("text", ["", "\n", "a\tb\n", "x" * 1025])
def test_what_cannot_be_a_password_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    assert run(["password"]) == 1
    assert "1 to 1024 bytes" in capsys.readouterr().err


def test_a_cost_out_of_bounds_is_refused_before_anything_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["password", "--memory", "2000"]) == 1
    assert "takes too much or too little" in capsys.readouterr().err
