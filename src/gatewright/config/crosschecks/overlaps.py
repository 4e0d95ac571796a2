"""Routes among each other: two that nothing chooses between, and ones that another always goes before."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from gatewright.config.crosschecks.view import View
from gatewright.config.matching import PathPattern, classify, host_covers
from gatewright.config.models import Match, Route, ValueTest
from gatewright.errors import Problem


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A route for one of its hosts."""

    number: int
    route: Route
    host: str
    path: PathPattern

    def order(self) -> tuple[object, ...]:
        """Give all that the engine orders routes by; two with the same are told apart by matchers alone."""
        match = self.route.match
        return (
            self.route.precedence,
            self.host,
            self.path.kind,
            self.path.shape(),
            bool(match.methods),
            len(match.headers) + len(match.query),
        )


def check(view: View) -> Iterator[Problem]:
    """Find routes that nothing chooses between, and routes that can never be reached."""
    candidates = [
        _Candidate(number, route, host, classify(route.match.path))
        for number, route in view.routes()
        for host in hosts_of(route.match)
    ]
    clashes = dict(_ambiguous(candidates))
    for number, other in clashes.items():
        yield _ambiguity(view, number, other)
    for number, other in _shadowed(candidates).items():
        if number not in clashes:
            yield _shadow(view, number, other)


def hosts_of(match: Match) -> list[str]:
    """Give the hosts that a route is for; the empty text is any host."""
    hosts = [*([match.host] if match.host else []), *match.hosts]
    return list(dict.fromkeys(hosts)) or [""]


def _ambiguous(candidates: list[_Candidate]) -> Iterator[tuple[int, int]]:
    """Give the numbers of routes, each with an earlier one that could match the same request with equal
    right.
    """
    groups: dict[tuple[object, ...], list[_Candidate]] = defaultdict(list)
    for candidate in candidates:
        group = groups[candidate.order()]
        for other in group:
            if _meet(candidate.route.match, other.route.match):
                yield candidate.number, other.number
                break
        group.append(candidate)


def _meet(one: Match, other: Match) -> bool:
    """Say whether one request can satisfy the methods and matchers of both."""
    if one.methods and not set(one.methods) & set(other.methods):
        return False
    headers = [({k.lower(): v for k, v in match.headers.items()}) for match in (one, other)]
    return not _exclude(headers[0], headers[1]) and not _exclude(one.query, other.query)


def _exclude(one: dict[str, ValueTest], other: dict[str, ValueTest]) -> bool:
    for name, test in one.items():
        against = other.get(name)
        if against is None:
            continue
        if bool(test.absent) != bool(against.absent):
            return True
        if test.exact is not None and against.exact is not None and test.exact != against.exact:
            return True
    return False


def _ambiguity(view: View, number: int, other: int) -> Problem:
    routes = view.gateway.routes
    first = view.at("routes", other)
    return view.at("routes", number).problem(
        f"route `{routes[number].name}` matches the same requests as route `{routes[other].name}` at "
        f"{first}, and nothing decides between them; change path, host, methods or matchers of one, or "
        "give it a `precedence`"
    )


def _shadowed(candidates: list[_Candidate]) -> dict[int, int]:
    """Give the numbers of routes that another goes before for every request, each with that other.

    Only what is certain is found: a path, and prefixes written without parameters above it.
    """
    index: dict[tuple[str, str], list[_Candidate]] = defaultdict(list)
    for candidate in candidates:
        index[candidate.path.kind, candidate.path.shape()].append(candidate)
    hidden: dict[int, set[int]] = defaultdict(set)
    reasons: dict[int, int] = {}
    for candidate in candidates:
        wider = next((other for other in _above(candidate, index) if _covers(other, candidate)), None)
        if wider is not None:
            hidden[candidate.number].add(id(candidate))
            reasons[candidate.number] = wider.number
    hosts: dict[int, int] = defaultdict(int)
    for candidate in candidates:
        hosts[candidate.number] += 1
    return {number: other for number, other in reasons.items() if len(hidden[number]) == hosts[number]}


def _above(candidate: _Candidate, index: dict[tuple[str, str], list[_Candidate]]) -> Iterator[_Candidate]:
    """Give the routes whose paths hold this one's."""
    yield from index.get((candidate.path.kind, candidate.path.shape()), [])
    start = candidate.path.literal_start()
    segments = [segment for segment in start.split("/") if segment]
    if candidate.path.kind == "regex" and not start.endswith("/"):
        # The last segment may go on, so only whole ones are certain.
        segments = segments[:-1]
    for length in range(len(segments), -1, -1):
        prefix = "/" + "/".join(segments[:length])
        if (candidate.path.kind, candidate.path.shape()) != ("prefix", prefix):
            yield from index.get(("prefix", prefix), [])


def _covers(wider: _Candidate, narrower: _Candidate) -> bool:
    """Say whether `wider` goes first for every request that `narrower` matches."""
    if wider.number == narrower.number or not host_covers(wider.host, narrower.host):
        return False
    if not _goes_first(wider, narrower):
        return False
    one, other = wider.route.match, narrower.route.match
    if one.methods and (not other.methods or not set(other.methods) <= set(one.methods)):
        return False
    return one.headers.items() <= other.headers.items() and one.query.items() <= other.query.items()


def _goes_first(wider: _Candidate, narrower: _Candidate) -> bool:
    if wider.route.precedence != narrower.route.precedence:
        return wider.route.precedence > narrower.route.precedence
    # With equal precedence and host only the kinds of path can put the wider one first.
    return wider.host == narrower.host and wider.path.kind == "prefix" and narrower.path.kind == "regex"


def _shadow(view: View, number: int, other: int) -> Problem:
    routes = view.gateway.routes
    by = f"route `{routes[other].name}` at {view.at('routes', other)}"
    position = view.at("routes", number, "match")
    if (
        classify(routes[number].match.path).kind == "regex"
        and routes[number].precedence == routes[other].precedence
    ):
        return position.problem(
            f"route `{routes[number].name}` can never be reached: a prefix goes before a regular expression, "
            f"and {by} matches all that it does; give it a higher `precedence`"
        )
    return position.warning(
        f"route `{routes[number].name}` is never reached: {by} has a higher `precedence` and matches "
        "all that it does"
    )
