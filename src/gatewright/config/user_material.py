"""Users with passwords: read from files, checked, and brought into the form of the snapshot, which has no
hash of a password.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatewright.config.models.passwords import BasicIdentity, PasswordUser
from gatewright.config.password_hashes import Cost, read, stamp
from gatewright.config.positions import Node, Position

if TYPE_CHECKING:
    from gatewright.config.key_material import KeyMaterial


def users_of(
    identity: BasicIdentity, material: KeyMaterial, root: Node, location: tuple[str | int, ...]
) -> list[dict[str, Any]] | None:
    """The users in the form of the snapshot; `None` where their file cannot be read."""
    if identity.users.file is None:
        position = root.find((*location, "users"))
        return documents(identity.users.users or [], material, position, "")
    position = root.find((*location, "users", "file"))
    source = f"file `{identity.users.file}`: "
    users = material.read_entries(identity.users.file, "users", PasswordUser, position)
    return None if users is None else documents(users, material, position, source)


def documents(
    users: list[PasswordUser], material: KeyMaterial, position: Position, source: str
) -> list[dict[str, Any]]:
    if not users:
        material.problems.append(position.warning(f"{source}there are no users, so everybody is refused"))
    seen: set[str] = set()
    costs: dict[Cost, str] = {}
    made = []
    for one in users:
        if one.user in seen:
            material.problems.append(position.problem(f"{source}user `{one.user}` is there twice"))
        seen.add(one.user)
        if one.tier is not None:
            material.tiers.append((one.tier, position))
        try:
            costs.setdefault(read(one.hash), one.user)
        except ValueError as error:
            material.problems.append(position.problem(f"{source}user `{one.user}`: `hash` {error}"))
            continue
        material.password_hashes.append(one.hash)
        made.append({
            "user": one.user,
            "hash": stamp(one.hash),
            "scopes": one.scopes,
            "roles": one.roles,
            "tier": one.tier,
        })
    if len(costs) > 1:
        names = " and ".join(f"`{name}`" for name in list(costs.values())[:2])
        material.problems.append(
            position.warning(
                f"{source}hashes of {names} take a different time to check, which tells that "
                "the names exist; make all by the same settings"
            )
        )
    return made
