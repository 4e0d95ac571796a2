"""What records say to its part of the snapshot."""

from typing import TYPE_CHECKING, Any

from gatewright.config.models.recording import Sample
from gatewright.config.models.routes import Route

if TYPE_CHECKING:
    from gatewright.config.loading import Loaded


def compile_recording(loaded: "Loaded") -> dict[str, Any]:
    """Give the document of what holds for the records of all routes that do not say otherwise."""
    records = loaded.gateway.records
    redact, user_id, headers = records.redact, records.user_id, records.headers
    key = user_id.keys[0] if user_id.keys else None
    return {
        "pci": records.profile == "pci",
        "sample": _sample(records.sample),
        "secret_parameters": redact.query,
        "secret_headers": [name.lower() for name in redact.headers],
        "mask_cards": redact.card_numbers,
        "shorten_addresses": redact.client_ip == "shortened",
        "hash_users": user_id.form == "hashed",
        "user_key": key and {"id": key.id, "secret": key.secret, "rotate": user_id.rotate},
        "request_headers": [name.lower() for name in headers.request],
        "response_headers": [name.lower() for name in headers.response],
    }


def compile_route_recording(loaded: "Loaded", route: Route) -> dict[str, Any]:
    """Give the member of a route's document that says how its records differ; none where they do not."""
    own = route.records
    if own is None:
        return {}
    profile = own.profile or loaded.gateway.records.profile
    sample: str | dict[str, Any] = "common"
    if "sample" in own.model_fields_set:
        sample = "off" if own.sample is None else {"own": _sample(own.sample)}
    return {"recording": {"pci": profile == "pci", "sample": sample}}


def _sample(sample: Sample | None) -> dict[str, Any] | None:
    if sample is None:
        return None
    return {"full_rate": sample.full_rate, "ratio": sample.ratio, "by": sample.by}
