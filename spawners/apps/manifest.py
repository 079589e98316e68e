"""An app, described once: the form, REST, the command line, docs, prices and the engine read this model, nothing else.

An app is a folder with `app.toml`, a pipeline, a notebook and a picture. `load` reads one and reports every fault with
file, key and line. The models are frozen; nothing here imports the pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perijove.spawners.apps.parts import (
    Code,
    Data,
    Domain,
    Input,
    InputName,
    Inside,
    Keywords,
    Label,
    Name,
    Output,
    Preset,
    Resources,
    Sentence,
    StepText,
    Way,
)
from perijove.spawners.described import Frozen, Text
from perijove.spawners.fields import Slug
from pydantic import Field, PrivateAttr

#: The manifest's file in an app's folder.
FILE = "app.toml"


class App(Frozen):
    """One app: what it is, what it asks for, what it needs and what comes out."""

    name: Slug
    """Its id in links and in the store, and the name of its folder. Choose it once: its runs hang on it."""
    version: str = Field(pattern=r"^[0-9]+(\.[0-9A-Za-z]+){0,4}$")
    """Its version; raise it when results change."""
    domain: Domain
    """The science it belongs to."""
    title: Text
    """What people call it."""
    question: Text
    """The question that it answers, as a novice would ask it."""
    about: Text
    """What it does, in plain words."""
    limits: Text
    """What the result is not: the standing limits that every reading of it carries."""
    licence: Label = Field(min_length=1)
    """The app's own licence (SPDX)."""
    cite: Sentence = ""
    """How it is cited: a text or a DOI."""
    authors: tuple[Label, ...] = Field(default=(), max_length=50)
    """Who made it."""
    picture: Inside = Field(min_length=1)
    """Its picture, SVG or PNG."""
    picture_alt: Text
    """The picture in words."""
    keywords: Keywords = Keywords(en=(), zh=())
    """Words by which it is found."""
    notebook: Inside = "app.ipynb"
    """The view-only notebook; it has no outputs stored."""
    pipeline: Inside = "pipeline.py"
    """The module with `steps(case)`."""
    codes: Mapping[Name, Code] = Field(max_length=50)
    """The codes it uses."""
    ways: tuple[Way, ...] = Field(min_length=1, max_length=20)
    """The ways to compute the result, the best one first."""
    data: Mapping[Name, Data] = Field(default_factory=dict, max_length=50)
    """Data sets."""
    inputs: Mapping[InputName, Input] = Field(max_length=60)
    """What a person fills in, in the order of the form."""
    presets: tuple[Preset, ...] = Field(default=(), max_length=30)
    """Cases to begin with."""
    needs: Resources = Resources()
    """What a run takes."""
    steps: Mapping[Name, StepText] = Field(min_length=1, max_length=60)
    """The steps of the pipeline, in the order in which they are shown."""
    outputs: Mapping[Name, Output] = Field(min_length=1, max_length=100)
    """The results."""

    _folder: Path = PrivateAttr(default=Path())
    _digest: str = PrivateAttr(default="")

    @property
    def folder(self) -> Path:
        """Where the app was read from."""
        return self._folder

    @property
    def digest(self) -> str:
        """The sha256 over its files (see `perijove.spawners.apps.folder`), in hex, as they were when it was read."""
        return self._digest

    def schema(self, language: str = "en") -> dict[str, Any]:  # type: ignore[override]  # pydantic's own is of the past
        """The JSON Schema (2020-12) of the inputs, with titles and help in `language`."""
        from perijove.spawners.apps.schema import schema

        return schema(self, language)

    def way(self, name: str) -> Way | None:
        """The way called `name`, or None."""
        return next((way for way in self.ways if way.name == name), None)

    def preset(self, name: str) -> Preset | None:
        """The preset called `name`, or None."""
        return next((preset for preset in self.presets if preset.name == name), None)


def load(folder: Path | str) -> App:
    """The app in `folder`.

    Raises:
        BadApp: with every fault, each with file, key and line.
    """
    from perijove.spawners.apps.reading import read

    return read(Path(folder))
