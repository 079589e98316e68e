"""What people give, read and checked: FASTQ (plain or gzip, one or two files), FASTA, regions.

Pure but for reading the files it is told to. Whatever is wrong is said as `Unfit`, in words for the person, with the
input it is about: a wrong file is found here, and not by an aligner's last line an hour later.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO, cast

from perijove.apps import Unfit

GZIP = b"\x1f\x8b"
#: What a sequence may be called (SAM specification 1.6, section 1.2.1); programs disagree about anything else.
_NAME = re.compile(r"[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]*")
_LETTERS = re.compile(rb"[ACGTUNRYSWKMBDHV]*", re.IGNORECASE)
_OTHERS = str.maketrans("URYSWKMBDHV", "TNNNNNNNNNN")
#: Bases; the index of a BAM (BAI) ends there, SAM specification 1.6, section 5.2.
LONGEST = 2**29 - 1

Record = tuple[bytes, bytes, bytes]


@dataclass(frozen=True)
class Reads:
    """What the reads are: how many (pairs count twice), bases, the longest, and whether they come in pairs."""

    reads: int
    bases: int
    longest: int
    paired: bool


def packed(path: Path) -> bool:
    """Whether the file is gzip by its first bytes, whatever its name says."""
    with path.open("rb") as file:
        return file.read(2) == GZIP


def opened(path: Path, name: str) -> BinaryIO:
    """The file's text.

    Raises:
        Unfit: it is empty, is something else (a BAM, an archive), or is called gzip and is none.
    """
    try:
        with path.open("rb") as file:
            head = file.read(262)
    except OSError as error:
        raise Unfit(
            f"{path.name} cannot be read: {error.strerror}.", f"无法读取 {path.name}：{error.strerror}。", name
        ) from None
    if not head:
        raise Unfit(f"{path.name} is empty.", f"{path.name} 是空文件。", name)
    if head[:2] == GZIP:
        return cast(BinaryIO, gzip.open(path, "rb"))
    if path.suffix.lower() in {".gz", ".bgz"}:
        raise Unfit(
            f"{path.name} is called gzip but is not: unpack it or copy it again in binary mode.",
            f"{path.name} 的名称表示 gzip，但内容不是：请解压，或以二进制方式重新复制。",
            name,
        )
    kinds = {
        b"CRAM": "CRAM",
        b"PK\x03\x04": "ZIP",
        b"BZh": "bzip2",
        b"\xfd7zX": "xz",
        b"SRA": "SRA",
        b"\x89HDF": "HDF5/FAST5",
    }
    for start, kind in kinds.items():
        if head.startswith(start):
            raise Unfit(
                f"{path.name} is {kind}, not text or gzip: convert it first.",
                f"{path.name} 是 {kind} 格式，不是文本或 gzip：请先转换。",
                name,
            )
    return path.open("rb")


def records(path: Path, name: str) -> Iterator[Record]:
    """The reads of a FASTQ file: name (first word, without the mate's /1 or /2), bases, qualities (Phred + 33).

    Raises:
        Unfit: it is no whole FASTQ file; says the record.
    """
    count = 0
    try:
        with opened(path, name) as file:
            while head := file.readline():
                bases, plus, qualities = file.readline(), file.readline(), file.readline()
                if count == 0:
                    _first(path, head, name)
                if not head.strip() and not bases:
                    break
                count += 1
                if not qualities:
                    raise Unfit(
                        f"{path.name} ends in the middle of read {count}: it was cut off on its way. Copy it again.",
                        f"{path.name} 在第 {count} 条读段中间结束：文件在传输中被截断，请重新复制。",
                        name,
                    )
                bases, qualities = bases.rstrip(), qualities.rstrip(b"\r\n")
                if not head.startswith(b"@") or not plus.startswith(b"+") or len(bases) != len(qualities):
                    raise Unfit(
                        f"{path.name} is no sound FASTQ: read {count} does not have four lines that fit each other.",
                        f"{path.name} 不是正确的 FASTQ：第 {count} 条读段的四行不一致。",
                        name,
                    )
                if not _LETTERS.fullmatch(bases):
                    raise Unfit(
                        f"{path.name}: read {count} has letters that are no bases.",
                        f"{path.name}：第 {count} 条读段含有不是碱基的字母。",
                        name,
                    )
                yield _plain_name(head), bases, qualities
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise Unfit(
            f"{path.name} is a damaged gzip file (it breaks off after {count} reads): copy it again.",
            f"{path.name} 是损坏的 gzip 文件（在 {count} 条读段后中断）：请重新复制。",
            name,
        ) from None
    if not count:
        raise Unfit(f"{path.name} has no reads in it.", f"{path.name} 中没有读段。", name)


def _first(path: Path, head: bytes, name: str) -> None:
    if head.startswith(b"@") and not re.match(rb"@(HD|SQ|RG|PG|CO)\t", head):
        return
    kind = "a BAM file" if head.startswith(b"BAM\x01") else "SAM text" if head.startswith(b"@") else ""
    kind = "FASTA: it has no qualities" if head.startswith(b">") else kind
    raise Unfit(
        f"{path.name} is no FASTQ file{f' but {kind}' if kind else ''}: its first line does not begin a read.",
        f"{path.name} 不是 FASTQ 文件：第一行不是读段的开头。",
        name,
    )


def _plain_name(head: bytes) -> bytes:
    word = head[1:].split(None, 1)[0] if head[1:].strip() else b""
    return word[:-2] if word.endswith((b"/1", b"/2")) else word


def pairs(first: Path, second: Path) -> Iterator[tuple[Record, Record]]:
    """The pairs of two files.

    Raises:
        Unfit: they do not belong together, or one of them is broken.
    """
    for count, (one, two) in enumerate(zip_longest(records(first, "reads"), records(second, "mates")), 1):
        if one is None or two is None:
            short, long = (first, second) if one is None else (second, first)
            raise Unfit(
                f"{short.name} has {count - 1} reads, {long.name} has more: the two files are not a pair.",
                f"{short.name} 有 {count - 1} 条读段，而 {long.name} 更多：这两个文件不成对。",
                "mates",
            )
        if one[0] != two[0]:
            left, right = (text[:60].decode("ascii", "replace") for text in (one[0], two[0]))
            raise Unfit(
                f"Pair {count} has different names in the two files ({left} and {right}): they are not a pair, "
                "or not in the same order.",
                f"第 {count} 对读段在两个文件中的名称不同（{left} 与 {right}）：文件不成对，或顺序不同。",
                "mates",
            )
        yield one, two


def examine(first: Path, second: Path | None) -> Reads:
    """All reads, looked at once.

    Raises:
        Unfit: see `records` and `pairs`.
    """
    reads = bases = longest = 0
    if second is not None:
        if first.resolve() == second.resolve():
            raise Unfit(
                "Both files are the same one: give the mates, too.",
                "两个文件是同一个：请给出配对的另一个文件。",
                "mates",
            )
        for (_, one, _), (_, two, _) in pairs(first, second):
            reads += 2
            bases += len(one) + len(two)
            longest = max(longest, len(one), len(two))
    else:
        for _, one, _ in records(first, "reads"):
            reads += 1
            bases += len(one)
            longest = max(longest, len(one))
    if not bases:
        raise Unfit(f"All reads of {first.name} are empty.", f"{first.name} 的读段全部为空。", "reads")
    return Reads(reads, bases, longest, second is not None)


def estimate(path: Path) -> int:
    """About how many reads a file holds, from its first MiB, for bars of progress; 0 if unknown."""
    try:
        with path.open("rb") as file:
            head = file.read(2**20)
        text = zlib.decompressobj(47).decompress(head) if head[:2] == GZIP else head
        return round(text.count(b"\n") / 4 * path.stat().st_size / max(len(head), 1))
    except (OSError, zlib.error):
        return 0


def sequences(path: Path, name: str = "reference") -> dict[str, str]:
    """The sequences of a FASTA file, upper case, what is none of A, C, G, T as N.

    Raises:
        Unfit: it is no FASTA, has no name or no letters, a name twice, or one that programs do not take.
    """
    found: dict[str, list[bytes]] = {}
    current: list[bytes] | None = None
    try:
        with opened(path, name) as file:
            for number, line in enumerate(file, 1):
                text = line.strip()
                if text.startswith(b">"):
                    current = found.setdefault(_sequence_name(path, text, number, found, name), [])
                elif text and current is None:
                    what = "reads (FASTQ)" if text.startswith(b"@") else "something else"
                    raise Unfit(
                        f"{path.name} is no FASTA file but {what}: it has to begin with > and a name.",
                        f"{path.name} 不是 FASTA 文件：必须以 > 和名称开头。",
                        name,
                    )
                elif text and not _LETTERS.fullmatch(text):
                    raise Unfit(
                        f"{path.name}, line {number}: there are letters that are no bases. A genome is needed, "
                        "no protein.",
                        f"{path.name} 第 {number} 行含有不是碱基的字母。需要基因组序列，而不是蛋白质。",
                        name,
                    )
                elif text and current is not None:
                    current.append(text)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise Unfit(
            f"{path.name} is a damaged gzip file: copy it again.", f"{path.name} 是损坏的 gzip 文件：请重新复制。", name
        ) from None
    whole = {title: b"".join(lines).decode("ascii").upper().translate(_OTHERS) for title, lines in found.items()}
    if empty := next((title for title, text in whole.items() if not text), None):
        raise Unfit(
            f"{path.name}: the sequence {empty} is empty; the file may have been cut off.",
            f"{path.name}：序列 {empty} 为空，文件可能被截断。",
            name,
        )
    if long := next((title for title, text in whole.items() if len(text) > LONGEST), None):
        raise Unfit(f"{path.name}: {long} is longer than 2^29 bases.", f"{path.name}：{long} 长于 2^29 个碱基。", name)
    if not whole:
        raise Unfit(f"{path.name} has no sequence in it.", f"{path.name} 中没有序列。", name)
    return whole


def _sequence_name(path: Path, line: bytes, number: int, found: dict[str, list[bytes]], name: str) -> str:
    words = line[1:].split(None, 1)
    title = words[0].decode("utf-8", "replace") if words else ""
    if not _NAME.fullmatch(title):
        raise Unfit(
            f"{path.name}, line {number}: {title[:60] or 'nothing'!r} is no name for a sequence: use letters, "
            "digits and ._|-",
            f"{path.name} 第 {number} 行：{title[:60]!r} 不能作为序列名称：请用字母、数字和 ._|-",
            name,
        )
    if title in found:
        raise Unfit(f"{path.name} has two sequences named {title}.", f"{path.name} 中有两个名为 {title} 的序列。", name)
    return title


def fasta(sequences: dict[str, str], width: int = 60) -> tuple[str, str]:
    """The text of a FASTA file and of its index (samtools' .fai: name, length, offset, bases and bytes of a line)."""
    text: list[str] = []
    index: list[str] = []
    offset = 0
    for name, bases in sequences.items():
        lines = [bases[at : at + width] for at in range(0, len(bases), width)]
        block = f">{name}\n" + "".join(line + "\n" for line in lines)
        index.append(f"{name}\t{len(bases)}\t{offset + len(name) + 2}\t{width}\t{width + 1}\n")
        offset += len(block)
        text.append(block)
    return "".join(text), "".join(index)
