"""Real batch systems on one machine, in namespaces: a tool for developers and tests, not for the gateway.

    from perijove.testbed import Testbed
    testbed = Testbed()
    testbed.up()

See `perijove testbed --help` for the same on the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if __name__ != "perijove.testbed":
    raise ImportError("import perijove.testbed, not testbed: install the package with `pip install -e .`")

if TYPE_CHECKING:
    from perijove.testbed.testbed import Testbed

__all__ = ["Testbed"]


def __getattr__(name: str) -> Any:
    """`Testbed`, imported when it is asked for: the processes of the testbed need little of it."""
    if name == "Testbed":
        from perijove.testbed.testbed import Testbed

        return Testbed
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
