"""The ends of hours and minutes, at which what a test counts would begin anew."""

import time

HOUR, MINUTE = 3_600, 60


def before_the_end_of(period: int, seconds: float) -> None:
    """Return when at least so many seconds are left of the present hour, or whatever the period is, by UTC.

    Windows of limits, partitions and roll-ups begin with those periods, and so do days.
    """
    left = period - time.time() % period
    if left < seconds:
        time.sleep(left)
