"""A database of countries in MaxMind's format, as small as the format allows."""

import ipaddress
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RECORD_BITS = 24
DATA_GAP = 16
MARKER = b"\xab\xcd\xefMaxMind.com"


class Node:
    """A node of the search tree: what comes for a 0 and for a 1."""

    def __init__(self) -> None:
        self.sides: list[Node | bytes | None] = [None, None]


def write_countries(path: Path, countries: Mapping[str, str]) -> None:
    """Write a database that knows these networks, replacing the file in one step."""
    root = Node()
    for text, code in countries.items():
        insert(root, text, encode({"country": {"iso_code": code}}))
    temporary = path.with_suffix(".new")
    temporary.write_bytes(database(root))
    temporary.replace(path)


def insert(root: Node, text: str, data: bytes) -> None:
    network = ipaddress.ip_network(text)
    # IPv4 is below ::/96.
    bits = f"{int(network.network_address):0128b}"
    length = network.prefixlen + (96 if network.version == 4 else 0)
    node = root
    for bit in map(int, bits[: length - 1]):
        below = node.sides[bit]
        if not isinstance(below, Node):
            below = node.sides[bit] = Node()
        node = below
    node.sides[int(bits[length - 1])] = data


def database(root: Node) -> bytes:
    nodes = [root]
    for node in nodes:
        nodes.extend(side for side in node.sides if isinstance(side, Node))
    numbers = {id(node): number for number, node in enumerate(nodes)}
    data, tree = b"", b""
    for node in nodes:
        for side in node.sides:
            if isinstance(side, Node):
                value = numbers[id(side)]
            elif side is None:
                value = len(nodes)
            else:
                value = len(nodes) + DATA_GAP + len(data)
                data += side
            tree += value.to_bytes(RECORD_BITS // 8)
    return tree + bytes(DATA_GAP) + data + MARKER + metadata(len(nodes))


def metadata(count: int) -> bytes:
    return encode({
        "node_count": (6, count),
        "record_size": (5, RECORD_BITS),
        "ip_version": (5, 6),
        "database_type": "Test-Country",
        "languages": ["en"],
        "binary_format_major_version": (5, 2),
        "binary_format_minor_version": (5, 0),
        "build_epoch": (9, 1_700_000_000),
        "description": {"en": "a test"},
    })


def encode(value: Any) -> bytes:
    """Texts, maps, lists, and numbers with the number of their type."""
    if isinstance(value, str):
        return control(2, len(value)) + value.encode()
    if isinstance(value, dict):
        return control(7, len(value)) + b"".join(encode(key) + encode(one) for key, one in value.items())
    if isinstance(value, list):
        return control(11, len(value)) + b"".join(encode(one) for one in value)
    kind, number = value
    digits = struct.pack(">Q", number).lstrip(b"\0")
    return control(kind, len(digits)) + digits


def control(kind: int, size: int) -> bytes:
    assert size < 29
    return bytes([size, kind - 7]) if kind > 7 else bytes([kind << 5 | size])
