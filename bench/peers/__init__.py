"""The gateways that are compared: one file each, all of the same shape."""

from peers.base import Peer
from peers.caddy import Caddy
from peers.envoy import Envoy
from peers.gatewright import Gatewright
from peers.haproxy import HAProxy
from peers.nginx import Nginx

# Nginx comes first: all ratios are to its figures of the same round.
PEERS: list[Peer] = [Nginx(), HAProxy(), Envoy(), Envoy(token_cache=False), Caddy(), Gatewright()]

__all__ = ["PEERS", "Gatewright", "Nginx", "Peer"]
