"""The demo's nine embedded centres and their background load: what `perijove demo` runs beside the gateway.

`prepare` writes the descriptions, `Load` keeps the queues busy, `clean_up` ends every process of theirs.
"""

from perijove.hub.demo.centres import clean_up, prepare, write_centres
from perijove.hub.demo.load import Load

__all__ = ["Load", "clean_up", "prepare", "write_centres"]
