"""The report of a run whose process gives none: killed from outside, broken, stopped too early, or never started."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

#: Characters of the output of a process that died without a word, and lines of it that are shown.
LAST_WORDS, LINES = 2000, 20
_KILLED = {
    "en": "The run was interrupted: its process was ended from outside (signal {signal}), perhaps for want of memory.",
    "zh": "运行被中断：其进程被外部终止（信号 {signal}），可能是内存不足。",
}
_BROKEN = {
    "en": "The run's process ended without a word (exit code {code}).",
    "zh": "运行进程意外结束（退出码 {code}）。",
}
_ADVICE = {
    "en": "Go on with it: finished steps are kept. If it ends so again, ask for more memory or choose a smaller case.",
    "zh": "请继续运行：已完成的步骤会保留。如果再次这样结束，请申请更多内存或缩小算例规模。",
}


def died(report: Mapping[str, Any], folder: Path, code: int) -> dict[str, Any]:
    """The report of the run in `folder` whose process ended with `code`; `report` is the last that it gave."""
    number = -code if code < 0 else code - 128 if code > 128 else 0
    outside = number in (signal.SIGKILL, signal.SIGTERM)
    words = _KILLED if outside else _BROKEN
    lines: list[str] = []
    with suppress(OSError):
        lines = (folder / "process.log").read_text(errors="replace")[-LAST_WORDS:].splitlines()[-LINES:]
    message = {language: text.format(signal=number, code=code) for language, text in words.items()}
    return _over(report, "failed", _failure("killed" if outside else "internal", message, lines))


def stopped(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report of a run that its person stopped before its process could say so itself."""
    return _over(report, "cancelled", None)


def never(why: str) -> dict[str, Any]:
    """The report of a run whose process could not be started; `why` in words."""
    return _over({}, "failed", _failure("internal", {"en": why, "zh": f"运行无法启动：{why}"}, []))


def _failure(code: str, message: Mapping[str, str], lines: list[str]) -> dict[str, Any]:
    nothing = {"step": None, "part": None, "command": None, "input": None}
    return {**nothing, "code": code, "lines": lines, "message": message, "advice": _ADVICE}


def _over(report: Mapping[str, Any], state: str, failure: Mapping[str, Any] | None) -> dict[str, Any]:
    over = {"version": 1, "state": state, "ended": time.time(), "left": None, "failure": failure}
    return {**report, **over, "steps": [_stopped(step) for step in report.get("steps") or ()]}


def _stopped(step: Mapping[str, Any]) -> dict[str, Any]:
    """A step of which nothing runs any more."""
    running = step.get("state") == "running"
    return {
        **step,
        **({"state": "cancelled", "words": ""} if running else {}),
        "parts": {**step["parts"], "running": 0},
    }
