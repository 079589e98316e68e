"""Why a step, and with it a run, fails: the codes, and their words for people. Pure."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable
from typing import Literal

Code = Literal[
    "missing-code",
    "bad-input",
    "command-failed",
    "no-output",
    "empty-output",
    "timed-out",
    "disk-full",
    "out-of-memory",
    "killed",
    "check-failed",
    "internal",
]
#: The system's numbers for a full disk.
FULL = (errno.ENOSPC, errno.EDQUOT)
#: Words in each language that the gateway speaks.
Words = dict[str, str]

#: {what}: the program, file, input or number that is meant.
_WORDS: dict[str, tuple[str, str]] = {
    "missing-code": ("{what} is not installed here.", "这里没有安装 {what}。"),
    "bad-input": ("An input cannot be used: {what}", "输入无法使用：{what}"),
    "command-failed": ("{what} ended with an error.", "{what} 出错退出。"),
    "no-output": ("It ended without an error, but did not make {what}.", "程序没有报错，但没有生成 {what}。"),
    "empty-output": ("It ended without an error, but {what} is empty.", "程序没有报错，但 {what} 是空的。"),
    "timed-out": (
        "It was ended after {what} seconds, the limit of this step.",
        "已达到此步骤的时限（{what} 秒），已终止。",
    ),
    "disk-full": ("There is no room left on the disk, or the quota is used up.", "磁盘空间不足，或存储配额已用完。"),
    "out-of-memory": ("{what} ran out of memory.", "{what} 内存不足。"),
    "killed": ("{what} was ended from outside.", "{what} 被外部终止。"),
    "check-failed": ("What it made is no good: {what}", "生成的结果未通过检查：{what}"),
    "internal": ("The app itself is at fault: {what}", "应用本身有错误：{what}"),
}
_ADVICE: dict[str, tuple[str, str]] = {
    "missing-code": (
        "Choose a centre where this app is ready, or have it installed.",
        "请选择已就绪的超算中心，或请人安装。",
    ),
    "bad-input": ("Change this input and run it again.", "请修改该输入后重新运行。"),
    "command-failed": ("The last lines of the program say what was wrong.", "程序的最后几行输出说明了原因。"),
    "no-output": (
        "The last lines of the program may say why; try other inputs.",
        "请查看程序的最后几行输出，或换一组输入再试。",
    ),
    "empty-output": ("Try other inputs: there was nothing to work on.", "请换一组输入再试：没有可处理的内容。"),
    "timed-out": ("Choose a smaller case or more cores.", "请缩小算例规模或增加核数。"),
    "disk-full": (
        "Delete what you no longer need at the centre, then go on.",
        "请删除该中心上不再需要的文件，然后继续运行。",
    ),
    "out-of-memory": (
        "Choose a smaller case, or a session with more memory.",
        "请缩小算例规模，或申请更大内存的会话。",
    ),
    "killed": ("Go on with the run: what was finished is kept.", "请继续运行：已完成的步骤会保留。"),
    "check-failed": ("Try other inputs.", "请换一组输入再试。"),
    "internal": ("Tell the app's authors, with the log.", "请把日志发给应用的作者。"),
}

_FULL = re.compile(r"No space left on device|Disk quota exceeded|ENOSPC|EDQUOT|设备上没有空间")
_MEMORY = re.compile(r"\bMemoryError\b|bad_alloc|[Cc]annot allocate memory|[Oo]ut of memory|oom-kill")


def words(code: Code, what: str = "") -> Words:
    """What happened."""
    en, zh = _WORDS[code]
    return {"en": en.replace("{what}", what), "zh": zh.replace("{what}", what)}


def said(code: Code, what: Words) -> Words:
    """What happened, where the detail itself has words in both languages."""
    en, zh = _WORDS[code]
    return {"en": en.replace("{what}", what["en"]), "zh": zh.replace("{what}", what["zh"])}


def advice(code: Code) -> Words:
    """What to do about it, where the manifest says nothing better."""
    en, zh = _ADVICE[code]
    return {"en": en, "zh": zh}


def too_large(what: str, held: int, most: int) -> Words:
    """What happened where a step was ended for the memory that it held; bytes."""
    took, may = (
        f"{size / (1 << 30):.1f} GB" if size >= 1 << 30 else f"{size / (1 << 20):.0f} MB" for size in (held, most)
    )
    return {
        "en": f"{what} took {took} of memory and may have {may}: it was ended.",
        "zh": f"{what} 占用了 {took} 内存，而上限为 {may}，已被终止。",
    }


def more_memory(*, declared: bool) -> Words:
    """What to do then: the bound is what the app says of the step (`declared`), or all that the run has."""
    smaller_en = "Choose a smaller case, such as a smaller region or fewer years."
    smaller_zh = "请缩小算例规模，例如更小的区域或更少的年份。"
    if declared:
        en = "If this one ought to fit, tell the app's authors: they say how much memory this step may have."
        zh = "如果您认为本应足够，请告知应用作者：此步骤的内存上限由他们设定。"
    else:
        en = "Or run it in a session with more memory (“Memory” when you open the app). Finished steps are kept."
        zh = "或在内存更大的会话中运行（打开应用时填写“内存”）。已完成的步骤会保留。"
    return {"en": f"{smaller_en} {en}", "zh": f"{smaller_zh}{zh}"}


def cause(lines: Iterable[str], *, killed: bool, out_of_memory: bool) -> Code:
    """Why a command failed, from its last lines, whether it died of SIGKILL, and whether the kernel ended something
    for want of memory meanwhile."""
    text = "\n".join(lines)
    if _FULL.search(text):
        return "disk-full"
    if _MEMORY.search(text) or (killed and out_of_memory):
        return "out-of-memory"
    return "killed" if killed else "command-failed"
