"""What tests on real sockets share: a gateway, a scripted service, a client for exact bytes, credentials."""

from gateway.authority import Authority, Pair
from gateway.client import Client, Exchange, Response, TlsClient, UnixClient, Wrong, encode, get, raw, request
from gateway.configuration import listener, one_route, routes
from gateway.credentials import ApiKey, Issuer
from gateway.http2 import GoneAway, Http2, Reset
from gateway.http2_origin import Http2Origin
from gateway.introspection import IntrospectingNode, TokenIssuer
from gateway.key_store import KeyedNode, until, with_store
from gateway.lagging import Lagging
from gateway.node import Node, Record, steps
from gateway.origin import CLOSE, RESET, Connection, Origin, Received, plain
from gateway.passwords import PasswordNode, basic, quick_hash
from gateway.postgres import Postgres
from gateway.redis import RedisServer
from gateway.refusals import Refused
from gateway.revocation import RevokingNode
from gateway.running import RunningGateway

__all__ = [
    "CLOSE",
    "RESET",
    "ApiKey",
    "Authority",
    "Client",
    "Connection",
    "Exchange",
    "GoneAway",
    "Http2",
    "Http2Origin",
    "IntrospectingNode",
    "Issuer",
    "KeyedNode",
    "Lagging",
    "Node",
    "Origin",
    "Pair",
    "PasswordNode",
    "Postgres",
    "Received",
    "Record",
    "RedisServer",
    "Refused",
    "Reset",
    "Response",
    "RevokingNode",
    "RunningGateway",
    "TlsClient",
    "TokenIssuer",
    "UnixClient",
    "Wrong",
    "basic",
    "encode",
    "get",
    "listener",
    "one_route",
    "plain",
    "quick_hash",
    "raw",
    "request",
    "routes",
    "steps",
    "until",
    "with_store",
]
