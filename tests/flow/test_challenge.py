"""Reputation: who is refused, and who has to show first that it is worth some work to him."""

import base64
import hashlib
import hmac
import itertools
import re
import time
from pathlib import Path

import pytest

from gateway import Node, Origin, Refused, Response, get, listener, one_route
from gatewright.errors import EngineError

BELIEVED = listener("trusted_proxies: [127.0.0.1]")
SECRET = "a secret that all nodes of the gateway know"
BROWSER = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
RULE = "reputation: {challenge_below: 50, refuse_below: 20}"


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    file = tmp_path / "scores.txt"
    file.write_text("203.0.113.0/24,40\n203.0.113.9,10\n198.51.100.0/24,50\n2001:db8::/32,30\n")
    return file


def text(origin: Origin, scores: Path, challenge: str = "", route: str = RULE) -> str:
    more = f", {challenge}" if challenge else ""
    return one_route(
        origin,
        route,
        f"reputation: {{file: {scores}, max_entries: 10}}",
        f"challenge: {{secret: {SECRET}, difficulty: 8, lifetime: 10m{more}}}",
        BELIEVED,
    )


def ask(node: Node, client: str, *headers: tuple[str, str]) -> Response:
    return get(node.address, "/", ("X-Forwarded-For", client), *headers)


def solve(page: str) -> str:
    """What the script of the page does."""
    told = dict(re.findall(r'data-(\w+)="(\w+)"', page))
    bits = int(told["difficulty"])
    for number in itertools.count():
        digest = hashlib.sha256(f"{told['seed']}.{number}".encode()).digest()
        if int.from_bytes(digest) >> (256 - bits) == 0:
            return f"p.{told['time']}.{number}"
    raise AssertionError


def test_a_score_refuses_challenges_or_lets_pass(origin: Origin, scores: Path) -> None:
    with Node(text(origin, scores)) as node:
        challenged = Refused(
            403, "challenge_required", "authorize", ("routes", 0), {"reason": "challenge", "score": 40}
        )
        challenged.check(node, ask(node, "203.0.113.7"))
        challenged.check(node, ask(node, "203.0.113.7", ("Accept", "*/*")))
        refused = Refused(
            403, "address_not_allowed", "authorize", ("routes", 0), {"reason": "reputation", "score": 10}
        )
        refused.check(node, ask(node, "203.0.113.9", BROWSER, ("Cookie", "gatewright_proof=p.1.1")))
        assert [ask(node, one).status for one in ("198.51.100.1", "192.0.2.1")] == [200, 200]
        assert origin.connections == 1
        assert node.metric("gateway_addresses_refused_total", reason="challenge") == 2
        assert node.metric("gateway_addresses_refused_total", reason="reputation") == 1


def test_a_browser_works_and_passes_from_its_address_alone(origin: Origin, scores: Path) -> None:
    with Node(text(origin, scores)) as node:
        page = ask(node, "203.0.113.7", BROWSER)
        assert (page.status, page.get("content-type")) == (403, "text/html; charset=utf-8")
        assert page.get("cache-control") == "no-store"
        policy = page.get("content-security-policy") or ""
        script = re.search(r"<script>(.*)</script>", page.body.decode(), re.DOTALL)
        assert script is not None
        assert "default-src 'none'" in policy
        assert sha256_base64(script[1]) in policy
        assert "script-src 'sha256-" in policy
        node.records(1)
        proof = ("Cookie", f"theme=dark; gatewright_proof={solve(page.body.decode())}")
        assert ask(node, "203.0.113.7", proof).status == 200
        [screened] = [one for one in node.record()["decisions"] if one["verdict"] == "screened"]
        assert screened["inputs"] == {"score": 40, "challenge": "met"}
        assert ask(node, "203.0.113.8", proof).status == 403


def sha256_base64(content: str) -> str:
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def test_a_page_of_ones_own_is_where_browsers_are_sent(origin: Origin, scores: Path) -> None:
    with Node(text(origin, scores, "redirect: 'https://captcha.test/?from=a&b'")) as node:
        page = ask(node, "203.0.113.7", BROWSER)
        assert page.status == 403
        assert b'content="0; url=https://captcha.test/?from=a&amp;b"' in page.body
        until = int(time.time()) + 300
        code = hmac.new(SECRET.encode(), f"captcha 203.0.113.7 {until}".encode(), hashlib.sha256).hexdigest()
        proof = ("Cookie", f"gatewright_proof=c.{until}.{code}")
        assert ask(node, "203.0.113.7", proof).status == 200
        assert ask(node, "203.0.113.8", proof).status == 403


def test_the_whole_gateway_may_challenge(origin: Origin, scores: Path) -> None:
    screening = text(origin, scores, route="") + f"screening: {{{RULE}}}\n"
    with Node(screening) as node:
        assert ask(node, "203.0.113.7").json()["error"] == "challenge_required"
        assert ask(node, "2001:db8::1").json()["error"] == "challenge_required"
        assert ask(node, "192.0.2.1").status == 200


def test_scores_are_read_again_and_wrong_ones_change_nothing(origin: Origin, scores: Path) -> None:
    with Node(text(origin, scores)) as node:
        scores.write_text("203.0.113.0/24,90\n")
        node.engine.reload_addresses("reputation", "")
        assert ask(node, "203.0.113.7").status == 200
        scores.write_text("203.0.113.0/24,9\n203.0.113.0/24,101\n")
        with pytest.raises(EngineError, match=r"scores\.txt:2: `101` is no score"):
            node.engine.reload_addresses("reputation", "")
        assert ask(node, "203.0.113.7").status == 200
