"""What every section of a configuration shares: unknown keys are refused, and nothing changes once it is
read.
"""

import re
import sys
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
)

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_METHOD = re.compile(r"[A-Z][A-Z0-9-]*")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*")


class _Placed(type(BaseModel)):
    """Remembers where a section was constructed, so that errors in Python configurations name a line.

    Only construction by the user passes here; models that pydantic makes from files do not.
    """

    def __call__(cls, *arguments: Any, **fields: Any) -> Any:
        section = super().__call__(*arguments, **fields)
        frame = sys._getframe(1)
        section._constructed = (frame.f_code.co_filename, frame.f_lineno)
        return section


class Section(BaseModel, metaclass=_Placed):
    """A part of a configuration."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=False, hide_input_in_errors=True
    )

    _constructed: tuple[str, int] | None = PrivateAttr(default=None)


def _one_or_many(value: object) -> object:
    """Let `methods: GET` stand for `methods: [GET]`, as KDL writes a list of one."""
    return value if value is None or isinstance(value, list | tuple) else [value]


def _switched(value: object) -> object:
    if value is False or value == "off":
        return None
    return {} if value is True or value == "on" else value


def _header_name(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        message = f"`{name}` is not a header name; use letters, digits and `-`"
        raise ValueError(message)
    return name


def _header_value(value: str) -> str:
    if not _VALUE.fullmatch(value):
        message = "a header value cannot hold control characters or line ends"
        raise ValueError(message)
    return value


def _method(name: str) -> str:
    if not _METHOD.fullmatch(name):
        message = f"`{name}` is not a method; methods are written in upper case, such as `GET`"
        raise ValueError(message)
    return name


def file_alone(value: object) -> object:
    """Let the path of a file stand for the section that names it."""
    return {"file": value} if isinstance(value, str) else value


def exactly_one(section: Section, *names: str) -> None:
    """Refuse a section that has none or several of these. Raises `ValueError`."""
    given = [name for name in names if getattr(section, name) is not None]
    if len(given) != 1:
        choices = ", ".join(f"`{name}`" for name in names)
        message = f"give exactly one of {choices}" + (f", not {len(given)}" if given else "")
        raise ValueError(message)


OneOrMany = BeforeValidator(_one_or_many)
"""A single value may stand for a list of one."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""What a listener, service, identity, tier or route is called: 1 to 100 letters, digits, `.`, `_` or `-`."""

Text = Annotated[str, Field(min_length=1)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
HeaderValue = Annotated[str, AfterValidator(_header_value)]
Method = Annotated[str, AfterValidator(_method)]
Texts = Annotated[list[Text], OneOrMany]
HeaderNames = Annotated[list[HeaderName], OneOrMany]
Methods = Annotated[list[Method], OneOrMany]
Headers = dict[HeaderName, HeaderValue]
