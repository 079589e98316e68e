"""Reading a form with bounds: no page of ours has a form of more than a few fields."""

from __future__ import annotations

from urllib.parse import parse_qsl

from fastapi import Request

#: Bytes; a name of a megabyte is refused before it is decoded.
MOST = 64 * 1024


class FormTooLarge(Exception):
    """The form is larger than any of ours."""


async def read_form(request: Request) -> dict[str, str]:
    """The fields of an urlencoded form; the last one wins where a field comes twice.

    Raises:
        FormTooLarge: more than `MOST` bytes or 100 fields.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST:
            raise FormTooLarge
    try:
        fields = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=100)
    except ValueError as error:
        raise FormTooLarge from error
    return dict(fields)
