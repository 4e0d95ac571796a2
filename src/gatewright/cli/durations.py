"""Lengths of time on the command line: `90s`, `15m`, `1h`, `7d`."""

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds_of(text: str) -> int:
    """Whole seconds. Raises `ValueError` with what would work."""
    number, unit = text[:-1], text[-1:]
    if unit not in UNITS or not (number.isascii() and number.isdigit()) or int(number) == 0:
        message = f"`{text}` is no length of time; write `90s`, `15m`, `1h` or `7d`"
        raise ValueError(message)
    return int(number) * UNITS[unit]
