"""What commands on things of the broker's have in common: how one is named, and how answers are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import click
from perijove.hub.cli import api
from perijove.hub.cli.words import _
from perijove.spawners.visible import visible

JSON = click.option("--json", "json_", is_flag=True, help="The answer as JSON, for programs.")


class Name(click.ParamType[str]):
    """The name or id of one thing: `kind` in help, the `pattern` of the whole, and the `fault` in words else."""

    def __init__(self, kind: str, pattern: str, fault: str) -> None:
        self.name, self._pattern, self._fault = kind, pattern, fault

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name, or the fault."""
        if not re.fullmatch(self._pattern, str(value)):
            self.fail(_(self._fault).format(value=visible(value, 40)), param, ctx)
        return str(value)


def entries(answer: Any, name: str) -> list[Mapping[str, Any]]:
    """The rows of an answer. Raises ApiFailed where there are none."""
    if isinstance(answer, dict):
        answer = answer.get(name)
    if not isinstance(answer, list) or not all(isinstance(entry, dict) for entry in answer):
        raise api.ApiFailed(_("the gateway's answer cannot be read: is it of another version?"))
    return answer


def mapping(answer: Any) -> Mapping[str, Any]:
    """An answer that is one thing. Raises ApiFailed where it is not."""
    if not isinstance(answer, dict):
        raise api.ApiFailed(_("the gateway's answer cannot be read: is it of another version?"))
    return answer
