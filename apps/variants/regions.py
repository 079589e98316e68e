"""Regions of a genome: what a person wrote, checked, and shared out among parts that run side by side. Pure."""

from __future__ import annotations

import re

from perijove.apps import Unfit

Region = tuple[str, int, int]


def regions(text: str, lengths: dict[str, int]) -> list[Region]:
    """What a person wrote as regions: (sequence, start from 0, end), in order; everything if nothing was written.

    `1000-2000` (of the only sequence), `NAME`, `NAME:1000-2000`, several with `;`; numbers count from 1, ends included.

    Raises:
        Unfit: there is no such place.
    """
    if not text.strip():
        return [(name, 0, length) for name, length in lengths.items()]
    found = []
    for piece in filter(None, (part.strip() for part in text.split(";"))):
        found.append(_region(piece, lengths))
    merged: list[Region] = []
    order = {name: at for at, name in enumerate(lengths)}
    for name, start, end in sorted(found, key=lambda region: (order[region[0]], region[1])):
        if merged and merged[-1][0] == name and start <= merged[-1][2]:
            merged[-1] = (name, merged[-1][1], max(end, merged[-1][2]))
        else:
            merged.append((name, start, end))
    if sum(end - start for _, start, end in merged) < SMALLEST:
        raise Unfit(f"The region is shorter than {SMALLEST} bases.", f"区域短于 {SMALLEST} 个碱基。", "region")
    return merged


def asked(text: str) -> int:
    """About how many bases a person's regions have, before the reference was read; 0 if that cannot be told."""
    spans = re.findall(r"([\d,]+)\s*-\s*([\d,]+)\s*(?:;|$)", text)
    return sum(abs(int(end.replace(",", "") or 0) - int(start.replace(",", "") or 0)) for start, end in spans)


#: Bases; below this there is nothing to share among parts, and a typing error is likelier than a wish.
SMALLEST = 100


def _region(piece: str, lengths: dict[str, int]) -> Region:
    if piece in lengths:
        return piece, 0, lengths[piece]
    match = re.fullmatch(r"(?:(?P<name>.+):)?(?P<start>[\d,]{1,15})\s*-\s*(?P<end>[\d,]{1,15})", piece)
    name = (match["name"] if match and match["name"] else None) or next(iter(lengths))
    known = ", ".join(list(lengths)[:3])
    if match is None or name not in lengths:
        raise Unfit(
            f"There is no place {piece[:80]!r}: write 1000-2000 or NAME:1000-2000 with a name of the "
            f"reference ({known}).",
            f"没有 {piece[:80]!r} 这个位置：请写 1000-2000 或 名称:1000-2000，名称取自参考序列（{known}）。",
            "region",
        )
    if match["name"] is None and len(lengths) > 1:
        raise Unfit(
            f"The reference has {len(lengths)} sequences: write NAME:{piece} ({known}).",
            f"参考有 {len(lengths)} 条序列：请写 名称:{piece}（{known}）。",
            "region",
        )
    start, end = (int(match[key].replace(",", "") or 0) for key in ("start", "end"))
    if not 1 <= start <= end <= lengths[name]:
        raise Unfit(
            f"The region {start}-{end} is not within {name}, which has the bases 1-{lengths[name]}.",
            f"区域 {start}-{end} 不在 {name} 之内，其碱基为 1-{lengths[name]}。",
            "region",
        )
    return name, start - 1, end


def share(found: list[Region], parts: int) -> list[list[Region]]:
    """The regions cut into `parts` of the same size (within one base); the order is kept."""
    total = sum(end - start for _, start, end in found)
    shares: list[list[Region]] = [[] for _ in range(parts)]
    done = 0
    for name, start, end in found:
        at = start
        while at < end:
            part = done * parts // total
            # The first base that belongs to the next part: ceil((part + 1) * total / parts).
            stop = min(end, at + -(-(part + 1) * total // parts) - done)
            shares[part].append((name, at, stop))
            done += stop - at
            at = stop
    return shares
