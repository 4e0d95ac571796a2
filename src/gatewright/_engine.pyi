"""The data plane in Rust, as Python sees it: documents go down, batches come up.

Every document is UTF-8 JSON in `bytes`. Calls that wait release the interpreter; none takes it while a request is
served. The shape of what goes down is `crates/dataplane/src/snapshot/document.rs`.
"""

from collections.abc import Sequence
from os import PathLike
from typing import final

__all__ = ["Engine", "check_expressions", "contains_any", "decide", "parse"]

# How often a latency was 0, the sum of all in microseconds, and the buckets of `gatewright.insight.histogram` that counted
# something, rising, with their counts.
_Histogram = tuple[int, int, tuple[tuple[int, int], ...]]

# Minute, route, service, instance, status, tenant; requests, programs, request bytes, response bytes; the latencies total, overhead
# and, of requests that reached a service, upstream. `minute` is the Unix time at which the minute began in which the requests began;
# names are empty and the status 0 where there is none; programs are requests whose `User-Agent` says that a program sent them, or
# that have none.
_Count = tuple[int, str, str, str, int, str, int, int, int, int, _Histogram, _Histogram, _Histogram]

@final
class Engine:
    """One data plane: workers, their listeners, counters and the record queue.

    `options` is `{"workers": int, "identity_timeout_ms": int}`. Nothing listens before the first `apply` after `start`.
    """

    def __new__(cls, options: bytes) -> Engine: ...
    def start(self) -> None:
        """Start the worker threads and the control thread. Raises `EngineError` when called twice."""

    def apply(self, snapshot: bytes) -> int:
        """Compile a snapshot, open and close listeners, swap it in; give its version.

        Raises `SnapshotError` (says which rule) or `ListenError` (address in use); the old one then stays live.
        """

    def adopt(self, path: str | PathLike[str]) -> int:
        """Take the sockets of the node whose `takeover.sock` this is, for the first `apply`, and its path of `self_check`; give
        how many sockets.

        They replace new ones where a listener has the same configured address. Raises `EngineError`.
        """

    def listening(self) -> bytes:
        """A list of `{"name", "address", "file", "self_check", "descriptors"}`, one a listener, the address as configured.

        `file` is device and inode of the socket where the address is a path, otherwise null. The descriptors are the engine's own, and valid until the next `apply`, `drain` or `stop`.
        `self_check` is what only this node knows of the path that it asks itself by: a secret.
        """

    def self_check(self) -> str:
        """Give the path by which this node asks itself: a GET on any listener gets 204 once every worker has had a turn, and
        leaves no trace. A secret. Raises `EngineError` where there are no random numbers.
        """

    def set_instances(self, service: str, instances: bytes) -> None:
        """Replace the instances of a service: a list of `{"name", "address", "weight"}`. Raises `SnapshotError`."""

    def set_keys(self, identity: str, keys: bytes) -> None:
        """Replace the keys of an identity whose snapshot has `keys: null`. May come before the snapshot does.

        A JWT identity takes a JWKS, an API-key identity `{"keys": [...]}`, one that browsers log in with
        `{"provider": {"authorization_endpoint": str, "end_session_endpoint": str | null}}`, where an empty address is one that is not
        known. Raises `SnapshotError`.
        """

    def drain_instance(self, service: str, instance: str, wanted: bool) -> int | None:
        """Start or end the draining of all instances of a name: no new requests. Survives `apply` and
        `set_instances`. Give how many that changed; `None` where there is no such service or instance.
        """

    def set_breaker(self, name: str | None, change: bytes) -> int:
        """Change one breaker or all from outside its rules; give how many that changed.

        Names are `users` for a service (or all its instances), `users/ROUTE`, `users@INSTANCE`, `users:TENANT`; unknown ones give 0.
        `change` is `{"action": "open" | "close", "by": str, "why": str | null}`, which holds until
        `{"action": "reset"}`; or, from another node, `{"action": "shared_open", "for_ms": int}` or
        `{"action": "shared_closed"}`, which leave what is held as it is. Raises `EngineError` for other documents.
        """

    def reset_limits(self, tier: str | None, caller: str | None) -> int:
        """Forget counters and bans: of one tier, one caller (as `state` and `bans` name it, or a part of that name such
        as `user:ID`), or all; give how many.
        """

    def set_limit(self, tier: str, limit: int | None, lasts_ms: int) -> None:
        """Set the limit of a tier for so long, in place of the configuration's; `None` ends that. Holds over `apply`, and
        is lost with the process. Raises `EngineError` for a tier that is not there, and for a limit that its algorithm
        cannot reckon with.
        """

    def bans(self) -> bytes:
        """At most 1,000 callers that are banned, the longest bans first: a list of `{"tier", "caller", "until_ms",
        "remaining_ms", "bans"}`.
        """

    def lift_bans(self, tier: str | None, caller: str | None) -> int:
        """End bans: of one tier, one caller (as `bans` names it), or all; give how many. Counters stay."""

    def limit_store(self) -> bytes:
        """How the node stands with the Redis of shared limits: `{"workers", "connected_workers", "open_workers", "openings",
        "nodes", "error", "bypass": {"counts", "remaining_ms"} | null}`; `null` where no tier is shared.
        """

    def bypass_limits(self, for_ms: int, counts: bool) -> None:
        """Ask Redis about no limit for so long; 0 ends that. With `counts` each node counts its part meanwhile, otherwise
        nobody counts.
        """

    def take_quotas(self, maximum: int) -> bytes | None:
        """What was added to counts of a calendar since the last call, about `maximum` lines at most; `None` where nothing
        was. A list of `{"tier", "caller", "period", "ends_ms", "used"}`, in which only the data plane reads `caller`. It
        is given once: whoever takes it stores it.
        """

    def restore_quotas(self, quotas: bytes) -> int:
        """Add what was stored, in the form of `take_quotas`, to the counts of the live snapshot; give how many lines
        counted. Raises `EngineError` for other documents.
        """

    def take_bans(self, maximum: int) -> bytes | None:
        """Bans that began or were lifted since the last call, `maximum` at most; `None` where none did. A list of
        `{"tier", "caller", "until_ms", "bans", "ends_ms"}`, with 0 in `until_ms` for a lift; only the data plane reads
        `caller`. Each is given once: whoever takes it stores and tells it.
        """

    def restore_bans(self, bans: bytes) -> int:
        """Let bans hold, and end them, as stored or told by another node, in the form of `take_bans`; give how many changed
        anything. A line that is none is left out. Raises `EngineError` for what is no list.
        """

    def reload_addresses(self, kind: str, name: str) -> bytes:
        """Read a file of the live snapshot again, and give `{"entries": int, "bytes": int}`: `addresses` of a list by its
        name, `geography` or `reputation` with an empty one. Waits until it is read. Raises `EngineError`, which names the
        line, where the file is wrong; what was read before stays.
        """

    def set_blocks(self, blocks: bytes) -> int:
        """Replace the networks from which every request is refused: a list of `{"network": str, "until_ms": int | null}`;
        give how many. Holds for the next request, and until the next call. Raises `EngineError` for other documents.
        """

    def next_records(self, maximum_bytes: int, wait_seconds: float) -> bytes | None:
        """One batch of records as JSON lines, at most about `maximum_bytes`; `None` when none came in time. The first record
        waits up to 10 ms for others, unless the queue is a quarter full.
        """

    def count_requests(self, most: int) -> None:
        """From now on count requests by what `take_counts` tells apart; 0 ends that.

        Each worker has room for so many kinds between two takings, and for as many again that tell less apart: beyond it the
        instance, then the tenant, then all names are `other` and the status is its class, and at last all count in the first
        minute. `gateway_requests_coarsened_total` counts such requests.
        """

    def take_counts(self) -> list[_Count]:
        """What was counted since the last call, over all workers; each request once, with or without a record. In no order."""

    def next_questions(self, wait_seconds: float) -> bytes | None:
        """A list of `{"id": int, "kind": "refresh_keys", "identity": str}` and `{"id": int, "kind": "look_up_key",
        "prefix": str, "hash": str, "digest": str}` and `{"id": int, "kind": "introspect", "identity": str, "token": str}`;
        `None` when none came in time.

        About logins there are `{"kind": "exchange_code", "identity", "code", "verifier", "nonce", "redirect_uri", "issuer": str |
        null}`, `{"kind": "refresh_session", "identity", "session", "subject", "refresh_token"}`, `{"kind": "end_session", "identity",
        "session", "until_ms": int, "refresh_token": str | null}` and `{"kind": "check_logout", "identity", "token", "lifetime_ms": int}`.

        Of an API key the question has the 12 characters that name it, the HMAC-SHA-256 under `key_store.secret` of all
        but its last 8, and the SHA-256 of the whole, both hexadecimal. `{"id": int, "kind": "check_password", "hash": str |
        None, "password": str}` asks whether this is the password of the hash whose SHA-256 `hash` is; `None` means nobody's.
        """

    def answer(self, question: int, result: bytes) -> None:
        """Let the requests that wait for this question go on. Unknown ids are ignored.

        `result` is `{"ok": bool}`; of an API key `{"ok": true, "key": ENTRY, "ttl_ms": int | null}`, with an entry as
        `set_keys` takes it that may be believed for so long, or
        `{"ok": true, "refused": "unknown" | "revoked" | "expired", "id": str | null}`; of a password
        `{"ok": true, "password": bool}`; of a token
        `{"ok": true, "active": true, "claims": str}`, the issuer's JSON as it came, or `{"ok": true, "active": false}`;
        of a login `{"ok": true, "granted": {"named": {"user", "subject",
        "scopes", "roles", "claims", "provider_session"} | null, "access_ms": int | null, "refresh_token": str | null, "id_token": str |
        null}}` or `{"ok": true, "failed": "refused" | "token" | "user"}`; or `{"ok": false}` where nobody can tell. Raises
        `EngineError` for anything else, and who waits is told that there is no answer.
        """

    def forget_keys(self, ids: bytes) -> int:
        """Forget what was answered about API keys: a JSON list of their ids, or `null` for all; give how many were
        known. The next use of each asks again.
        """

    def revoke(self, entries: bytes, replace: bool) -> int:
        """Revoke tokens from the next request on: a list of `{"kind": "token" | "subject" | "identity", "identity": str |
        null, "value": str | null, "issued_before_ms": int, "until_ms": int}`, which is all there is with `replace`.

        A token is told by its `jti`, a subject by the user of its tokens; both of one identity, or of all. Give how many
        there was no room for: instead of each, all tokens of its identity that were issued before it are revoked.
        Raises `EngineError`.
        """

    def restore(self, entries: bytes) -> int:
        """Take entries of `revoke` away, told by kind, identity and value; give how many there were."""

    def key_uses(self) -> bytes:
        """Uses of API keys that were looked up, since the last call: a list of `{"id", "requests", "last_ms",
        "networks": [ADDRESS], "more": bool}`, the networks by their first address (/24 of IPv4, /48 of IPv6).
        """

    def metrics(self) -> str:
        """Everything counted, as Prometheus text (exposition format 0.0.4)."""

    def exposition(self, format: str, families: bytes) -> bytes:
        """Everything counted, and below it `families`, which others count: a JSON list of `{"name", "kind": "counter" |
        "gauge", "help", "samples": [[{LABEL: VALUE}, NUMBER AS TEXT]]}`.

        `format` is `text`, `openmetrics`, `openmetrics_created` (with the time at which each count began), `protobuf`
        (`io.prometheus.client.MetricFamily`, delimited), `otlp` or `otlp_exponential`
        (`opentelemetry.proto.metrics.v1.Metric`, delimited in the same way). Raises `EngineError`.
        """

    def state(self) -> bytes:
        """What is live: version, listeners, services with instances and breakers, tiers, queue depths."""

    def drain(self, deadline_seconds: float) -> bool:
        """Stop accepting, let requests finish, close idle connections; give whether all ended in time."""

    def stop(self) -> None:
        """End every thread. Records not yet taken can still be taken."""

def decide(snapshot: bytes, keys: bytes, requests: bytes) -> bytes:
    """What this snapshot would do with these requests: from `intake` to `balance`, with fresh counters, sending nothing.

    `keys` is `{identity: key document}` for identities whose snapshot has `keys: null`; `requests` a list of
    `{"method", "target", "host", "headers": [[name, value]], "peer", "listener", "now_ms", "content_length"}`, with the
    state of the node to assume, 0 each where absent: `{"cpu_percent", "memory_percent", "in_flight"}`.
    Gives a list of `{"action", "status", "error", "route", "service", "instance", "forward_path", "user_id",
    "partner_id", "tenant_id", "scopes", "decisions": [{"stage", "verdict", "rule", "at", "inputs"}]}`.
    Raises `SnapshotError`.
    """

def check_expressions(expressions: bytes) -> bytes:
    """What is wrong with expressions of rules, in CEL: a list with `null` or `{"message", "line", "column"}` for each.

    `expressions` is a list of `{"expression", "route", "parameters": [NAME]}`, the parameters those that the route's path
    names. Line and column count from 1 within the expression, and are null where they are not known. Raises `EngineError`
    for other documents.
    """

def contains_any(text: bytes, parts: Sequence[bytes]) -> bool:
    """Whether any of these parts is in the text; for large batches, where `in` takes seven times as long."""

def parse(text: bytes, format: str) -> bytes:
    """Configuration text (`"yaml"` or `"kdl"`) to data with positions; see `crates/document`.

    Gives `{"document": NODE, "errors": [{"line", "column", "message"}]}` where NODE is
    `{"line": int, "column": int, "value": SCALAR}`, `{..., "list": [NODE]}` or
    `{..., "map": [{"key": str, "line": int, "column": int, "value": NODE}]}`. Lines and columns count from 1,
    columns in characters. With errors, `document` is `null`.
    """
