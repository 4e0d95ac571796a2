"""Keys of identities: read from files, checked, and brought into the form of the snapshot."""

import base64
import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gatewright.config.addresses import read_network
from gatewright.config.models import (
    ApiKeyEntry,
    ApiKeyIdentity,
    BasicIdentity,
    Gateway,
    Jwks,
    JwtIdentity,
    PublicKey,
    SignatureIdentity,
    Signer,
)
from gatewright.config.positions import Node, Position
from gatewright.config.signer_material import signers_of
from gatewright.config.user_material import users_of
from gatewright.config.validation import explain
from gatewright.errors import Problem

MAX_FILE_BYTES = 16 * 1024 * 1024
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi")


Entry = TypeVar("Entry", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class KeyUrl:
    """A key set that is fetched from an address while the configuration is live."""

    identity: str
    settings: Jwks
    position: Position

    @property
    def url(self) -> str:
        """Give the address."""
        return self.settings.url or ""


@dataclass(slots=True)
class KeyMaterial:
    """Keys by the name of their identity, in the form of the snapshot, and the files that they came from."""

    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    urls: list[KeyUrl] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    tiers: list[tuple[str, Position]] = field(default_factory=list)
    """Tiers that keys and users name, and where."""
    password_hashes: list[str] = field(default_factory=list, repr=False)
    """Of users, in no snapshot: who checks passwords has them."""

    def read(self, path: Path, position: Position) -> bytes | None:
        """Give what a file holds; `None`, and a problem, where it cannot be read."""
        self.files.append(path)
        try:
            with path.open("rb") as opened:
                content = opened.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            self.problems.append(position.problem(f"file `{path}` cannot be read: {error.strerror}"))
            return None
        if len(content) > MAX_FILE_BYTES:
            self.problems.append(position.problem(f"file `{path}` is larger than 16 MiB"))
            return None
        return content

    def read_list(self, path: Path, name: str, position: Position) -> list[Any] | None:
        """Give the list of this name of a JSON file; `None`, and a problem, where there is none."""
        content = self.read(path, position)
        if content is None:
            return None
        expected = f'expected `{{"{name}": [...]}}`'
        try:
            document = json.loads(content)
        except ValueError as error:
            where = f"line {error.lineno}: " if isinstance(error, json.JSONDecodeError) else ""
            self.problems.append(position.problem(f"file `{path}` is not JSON: {where}{expected}"))
            return None
        found = document.get(name) if isinstance(document, dict) else None
        if not isinstance(found, list):
            self.problems.append(position.problem(f"file `{path}` has no list of {name}; {expected}"))
            return None
        return found

    def read_entries(
        self, file: str, name: str, model: type[Entry], position: Position
    ) -> list[Entry] | None:
        """Give what the list of this name holds; `None`, and a problem, where there is none. What is wrong
        with an entry is a problem, too, and the entry left out.
        """
        raw = self.read_list(Path(file), name, position)
        if raw is None:
            return None
        word, entries = name.removesuffix("s"), []
        for number, item in enumerate(raw, start=1):
            try:
                entries.append(model.model_validate(item))
            except ValidationError as error:
                for detail in error.errors(include_url=False, include_input=False):
                    where = "".join(f" `{segment}`:" for segment in detail["loc"][:1])
                    message = f"file `{file}`: {word} {number}:{where} {explain(detail, model.__name__)}"
                    self.problems.append(position.problem(message))
        return entries


def gather_keys(gateway: Gateway, root: Node) -> KeyMaterial:
    """Read the keys of every identity. Problems are collected, at the line of the configuration that names
    the file.
    """
    material = KeyMaterial()
    for number, identity in enumerate(gateway.identities):
        location = ("identities", number)
        if isinstance(identity, JwtIdentity):
            keys = _jwt_keys(identity, material, root, location)
        elif isinstance(identity, ApiKeyIdentity):
            keys = _api_keys(identity, material, root, location)
        elif isinstance(identity, BasicIdentity):
            users = users_of(identity, material, root, location)
            material.documents[identity.name] = {"users": users or []}
            continue
        elif isinstance(identity, SignatureIdentity):
            material.documents[identity.name] = {"keys": signers_of(identity, material, root, location)}
            continue
        else:
            # Its certificates come with connections, and their authorities with listeners.
            continue
        if keys is not None:
            material.documents[identity.name] = {"keys": keys}
    return material


def _jwt_keys(
    identity: JwtIdentity, material: KeyMaterial, root: Node, location: tuple[str | int, ...]
) -> list[Any] | None:
    if identity.secret is not None:
        encoded = base64.urlsafe_b64encode(identity.secret.encode()).decode().rstrip("=")
        return [{"kty": "oct", "alg": "HS256", "k": encoded}]
    if identity.public_key is not None:
        return _pem_keys(identity.public_key, material, root.find((*location, "public_key", "file")))
    jwks = identity.jwks
    if jwks is None:
        return None
    if jwks.is_fetched:
        option = "url" if jwks.url is not None else "discovery"
        material.urls.append(KeyUrl(identity.name, jwks, root.find((*location, "jwks", option))))
        return None
    if jwks.file is not None:
        position = root.find((*location, "jwks", "file"))
        keys, source = material.read_list(Path(jwks.file), "keys", position), f"file `{jwks.file}`: "
    else:
        keys, source, position = jwks.keys or [], "", root.find((*location, "jwks", "keys"))
    if keys is not None:
        material.problems += [position.problem(source + message) for message in _key_set_faults(keys)]
    return keys


def _key_set_faults(keys: list[Any]) -> Iterator[str]:
    if not keys:
        yield "the key set is empty, so every token would be refused; add a key"
    for number, key in enumerate(keys, start=1):
        if not isinstance(key, dict) or key.get("kty") not in {"RSA", "EC", "OKP", "oct"}:
            yield f"key {number} is no JSON Web Key: `kty` must be `RSA`, `EC`, `OKP` or `oct`"
        elif any(member in key for member in _PRIVATE):
            yield f"key {number} is a private key; a gateway needs only the public one"


def _pem_keys(public: PublicKey, material: KeyMaterial, position: Position) -> list[Any] | None:
    content = material.read(Path(public.file), position)
    if content is None:
        return None
    # Loads a large library, which no other form of key needs.
    from gatewright.config.pem import jwk_of_pem  # noqa: PLC0415

    try:
        key = jwk_of_pem(content, public.algorithm)
    except ValueError as error:
        material.problems.append(position.problem(f"file `{public.file}`: {error}"))
        return None
    return [key | ({"kid": public.key_id} if public.key_id else {})]


def _api_keys(
    identity: ApiKeyIdentity, material: KeyMaterial, root: Node, location: tuple[str | int, ...]
) -> list[Any] | None:
    if identity.keys.store:
        return None
    if identity.keys.file is None:
        position = root.find((*location, "keys", "keys"))
        return _entries(identity.keys.keys or [], material, position, "")
    position = root.find((*location, "keys", "file"))
    source = f"file `{identity.keys.file}`: "
    entries = material.read_entries(identity.keys.file, "keys", ApiKeyEntry, position)
    return None if entries is None else _entries(entries, material, position, source)


def _entries(entries: list[ApiKeyEntry], material: KeyMaterial, position: Position, source: str) -> list[Any]:
    if not entries:
        material.problems.append(position.warning(f"{source}there are no keys, so every API key is refused"))
    seen: set[str] = set()
    documents = []
    for entry in entries:
        for unique in (entry.id, entry.hash):
            if unique in seen:
                material.problems.append(
                    position.problem(f"{source}key `{entry.id}` is there twice, by id or hash")
                )
            seen.add(unique)
        if entry.tier is not None:
            material.tiers.append((entry.tier, position))
        documents.append(_entry(entry, material, position, source))
    return documents


def _entry(entry: ApiKeyEntry, material: KeyMaterial, position: Position, source: str) -> dict[str, Any]:
    return {
        "id": entry.id,
        "hash": entry.hash,
        "partner": entry.partner,
        "scopes": entry.scopes,
        "tier": entry.tier,
        "expires_at_ms": end_of(entry, material, position, source),
        "networks": list(_networks(entry, material, position, source)),
    }


def end_of(entry: ApiKeyEntry | Signer, material: KeyMaterial, position: Position, source: str) -> int | None:
    """When a key ends, in milliseconds since the epoch; `None` for never."""
    if entry.expires_at is None:
        return None
    try:
        given = datetime.datetime.fromisoformat(entry.expires_at)
    except ValueError:
        cure = "write it like `2027-01-31T00:00:00Z`"
        material.problems.append(
            position.problem(f"{source}key `{entry.id}`: `expires_at` is no moment; {cure}")
        )
        return None
    aware = given if given.tzinfo else given.replace(tzinfo=datetime.UTC)
    return max(0, int(aware.timestamp() * 1000))


def _networks(entry: ApiKeyEntry, material: KeyMaterial, position: Position, source: str) -> Iterator[str]:
    for text in entry.networks:
        try:
            yield str(read_network(text))
        except ValueError as error:
            material.problems.append(position.problem(f"{source}key `{entry.id}`: {error}"))
