"""Certificates that a configuration names: what is read, what is refused, and where that is said."""

import datetime
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from gateway import Authority, Pair
from gatewright.config import ConfigError, compile, load

PKCS8 = PrivateFormat.PKCS8


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates")


def configuration(directory: Path, *pairs: Pair, options: str = "") -> Path:
    told = ", ".join(pair.yaml for pair in pairs)
    file = directory / "gateway.yaml"
    file.write_text(
        f"listeners: [{{name: public, address: '127.0.0.1:1', tls: {{certificates: [{told}]{options}}}}}]\n"
        "routes: [{name: a, match: /a, service: self}]\n"
    )
    return file


def refused(file: Path) -> str:
    with pytest.raises(ConfigError) as error:
        load([file], {})
    problems = [problem for problem in error.value.problems if problem.severity == "error"]
    assert len(problems) == 1
    assert str(problems[0]).startswith(f"{file}:1:")
    return problems[0].message


def test_names_come_from_the_certificate_and_both_files_are_watched(
    tmp_path: Path, authority: Authority
) -> None:
    pair = authority.issue("a", "A.example.com", "*.b.example.com", "192.0.2.1")
    loaded = load([configuration(tmp_path, pair)], {})
    tls = json.loads(compile(loaded, 1))["listeners"][0]["tls"]
    assert tls["certificates"][0]["names"] == ["a.example.com", "*.b.example.com"]
    assert (tls["min_version"], tls["handshake_timeout_ms"], tls["max_handshakes"]) == ("1.2", 10_000, 1000)
    assert {pair.file, pair.key_file} <= set(loaded.files)
    assert loaded.warnings == ()


def test_a_key_of_another_certificate_is_refused(tmp_path: Path, authority: Authority) -> None:
    one, other = authority.issue("one", "one.test"), authority.issue("other", "other.test")
    mixed = Pair(one.file, other.key_file, one.certificate)
    assert "does not belong to the certificate" in refused(configuration(tmp_path, mixed))


def test_a_chain_in_the_wrong_order_is_refused_with_the_cure(tmp_path: Path, authority: Authority) -> None:
    pair = authority.issue("a", "a.test")
    pair.file.write_bytes(authority.file.read_bytes() + pair.file.read_bytes())
    assert "certificate 2 of the file; that one has to be the first" in refused(configuration(tmp_path, pair))


def test_a_key_with_a_passphrase_is_refused_and_not_shown(tmp_path: Path, authority: Authority) -> None:
    pair = authority.issue("a", "a.test")
    key = ec.generate_private_key(ec.SECP256R1())
    locked = key.private_bytes(Encoding.PEM, PKCS8, BestAvailableEncryption(b"passphrase"))
    pair.key_file.write_bytes(locked)
    message = refused(configuration(tmp_path, pair))
    assert "passphrase" in message
    assert locked.decode().splitlines()[1] not in message


@pytest.mark.parametrize(
    ("key", "said"),
    [(b"nothing", "no private key in PEM"), (None, "a key of 1024 bits is too weak")],
    ids=["no-pem", "weak"],
)
def test_a_key_that_is_none_or_weak_is_refused(
    tmp_path: Path, authority: Authority, key: bytes | None, said: str
) -> None:
    pair = authority.issue("a", "a.test")
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 -- it is to be refused.
    pair.key_file.write_bytes(key or weak.private_bytes(Encoding.PEM, PKCS8, NoEncryption()))
    assert said in refused(configuration(tmp_path, pair))


def test_an_expired_certificate_is_served_with_a_warning(tmp_path: Path, authority: Authority) -> None:
    pair = authority.issue("a", "a.test", lifetime=datetime.timedelta(days=-1))
    warnings = load([configuration(tmp_path, pair)], {}).warnings
    assert len(warnings) == 1
    assert "the certificate expired on " in warnings[0].message


def test_a_certificate_for_no_name_is_a_warning(tmp_path: Path, authority: Authority) -> None:
    warnings = load([configuration(tmp_path, authority.issue("a"))], {}).warnings
    assert [warning.message for warning in warnings] == [
        f"file `{authority.directory}/a.pem`: the certificate is for no DNS name, so no client that checks "
        "will accept it"
    ]


@pytest.mark.parametrize("version", ["1.3", '"1.3"'])
def test_the_version_may_be_written_as_a_number(tmp_path: Path, authority: Authority, version: str) -> None:
    file = configuration(tmp_path, authority.issue("a", "a.test"), options=f", min_version: {version}")
    assert json.loads(compile(load([file], {}), 1))["listeners"][0]["tls"]["min_version"] == "1.3"


def revoking(authority: Authority, lists: Path) -> str:
    asked = f'ca_file: "{authority.file}", crl_file: "{lists}"'
    return f", client_certificates: {{{asked}}}"


def test_revocation_lists_are_watched_and_all_of_a_file_are_read(
    tmp_path: Path, authority: Authority
) -> None:
    pair, other = authority.issue("a", "a.test"), Authority(tmp_path / "other", "Other CA")
    lists = authority.revoke("lists", pair)
    lists.write_bytes(lists.read_bytes() + other.revoke("others").read_bytes())
    loaded = load([configuration(tmp_path, pair, options=revoking(authority, lists))], {})
    tls = json.loads(compile(loaded, 1))["listeners"][0]["tls"]
    assert len(tls["client_certificates"]["revocations"]) == 2
    assert lists in loaded.files
    assert loaded.warnings == ()


def test_an_authority_without_a_list_and_a_list_past_its_time_are_warned_of(
    tmp_path: Path, authority: Authority
) -> None:
    pair, other = authority.issue("a", "a.test"), Authority(tmp_path / "other", "Other CA")
    lists = other.revoke("lists", days=-1)
    loaded = load([configuration(tmp_path, pair, options=revoking(authority, lists))], {})
    missing, late = (problem.message for problem in loaded.warnings)
    assert "no list of the authority `CN=Test CA`, so whoever it has signed for is refused" in missing
    assert "the list of `CN=Other CA` was to be replaced by" in late


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no list", "no revocation list in PEM; expected `-----BEGIN X509 CRL-----`"),
        (
            "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
            "a revocation list in it cannot be read",
        ),
    ],
)
def test_a_file_without_a_revocation_list_is_refused(
    tmp_path: Path, authority: Authority, content: str, message: str
) -> None:
    lists = tmp_path / "lists.pem"
    lists.write_text(content)
    pair = authority.issue("a", "a.test")
    assert message in refused(configuration(tmp_path, pair, options=revoking(authority, lists)))
