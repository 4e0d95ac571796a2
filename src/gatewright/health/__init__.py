"""Health of a node: what it checks of itself, and what users have it check.

A check of one's own is a function with the decorator `check`, named in `health.checks`:

```python
from gatewright.health import check

@check(interval="15s", timeout="2s", critical=True)
def database():
    connect().execute("SELECT 1")
```

It is well when it returns nothing, `True`, or a text that says more; not well when it returns `False` or
raises. `async def` works too. Each runs in a thread of its own: it may block, and delays nobody.
"""

from gatewright.health.custom import check

__all__ = ["check"]
