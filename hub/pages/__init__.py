"""The pages a person sees: sign in, start, wait, centres, keys. A router inside the broker's app, and nothing more.

The pages know no store and no centre. They ask the broker's own HTTP API in the same process, with the person's own
token, so that a page can show and do exactly what that person may do through the API, and no page has rules of its own.
Everything is rendered here, on the server, in the person's language; the JavaScript only fetches fresh fragments.
"""

from __future__ import annotations

from perijove.hub.pages.install import install

__all__ = ["install"]
