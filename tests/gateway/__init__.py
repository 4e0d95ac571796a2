"""What tests on real sockets share: a gateway, a scripted service, a client for exact bytes, credentials."""

from gateway.client import Client, Exchange, Response, Wrong, encode, get, raw, request
from gateway.credentials import ApiKey, Issuer
from gateway.node import Node, Record, steps
from gateway.origin import CLOSE, RESET, Connection, Origin, Received, plain

__all__ = [
    "CLOSE",
    "RESET",
    "ApiKey",
    "Client",
    "Connection",
    "Exchange",
    "Issuer",
    "Node",
    "Origin",
    "Received",
    "Record",
    "Response",
    "Wrong",
    "encode",
    "get",
    "plain",
    "raw",
    "request",
    "steps",
]
