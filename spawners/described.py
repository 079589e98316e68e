"""What the description of a centre and that of an app are made of.

Apart from both, because a run of an app need not wait for the model of a centre.
"""

from __future__ import annotations

from perijove.spawners.fields import Words
from pydantic import BaseModel, ConfigDict, Field


class Frozen(BaseModel):
    """A part of a description: immutable, and an unknown key is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Text(Frozen):
    """Words for people, in English and in Simplified Chinese."""

    en: Words = Field(min_length=1, max_length=2000)
    """In English."""
    zh: Words = Field(min_length=1, max_length=2000)
    """In Simplified Chinese."""

    def in_language(self, language: str) -> str:
        """The words in `language` ("zh", "zh-CN", ...); English for any other."""
        return self.zh if language.lower().startswith("zh") else self.en
