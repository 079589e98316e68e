"""A colony by a textbook map, in plain Python: a real app that takes a second."""

import csv
import math
import struct
import time
import zlib
from pathlib import Path

from perijove.spawners.apps.progress import report
from perijove.spawners.apps.steps import Call, Step, Unfit


def steps(case):
    return [
        Step("grow", Call(grow), makes=("sizes.txt",)),
        Step("show", Call(show), after=("grow",), makes=("results/curve.png", "results/sizes.csv")),
    ]


def grow(case):
    counts = case.inputs["counts"]
    words = Path(counts).read_text().split()
    try:
        size = float(words[0])
    except (IndexError, ValueError):
        raise Unfit("The first counts hold no number.", "初始计数中没有数字。", "counts") from None
    rate, ricker = case.inputs["rate"], case.inputs["model"] == "ricker"
    with Path("sizes.txt").open("w") as out:
        for year in range(case.inputs["years"]):
            size = size * math.exp(rate * (1 - size)) if ricker else rate * size * (1 - size)
            out.write(f"{size!r}\n")
            report((year + 1) / case.inputs["years"], f"year {year + 1}")
            if case.inputs["slow"]:
                time.sleep(0.1)


def show(case):
    sizes = [float(line) for line in case.file("sizes.txt").read_text().split()]
    Path("results").mkdir(exist_ok=True)
    with Path("results/sizes.csv").open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["year", "size"])
        rows.writerows(enumerate(sizes, 1))
    Path("results/curve.png").write_bytes(picture(sizes))
    low, high = case.inputs["window"]
    kept = sizes[low:high] or sizes
    mean = 100 * sum(kept) / len(kept)
    alt = {"en": f"The colony tends to {mean:.0f} %", "zh": f"菌落趋于 {mean:.0f} %"}
    reading = {
        "en": f"On average the colony fills {mean:.0f} % of its place.",
        "zh": f"菌落平均占据其空间的 {mean:.0f} %。",
    }
    return {
        "numbers": {"mean": mean},
        "figures": {"curve": {"file": "curve.png", "alt": alt}},
        "tables": {"sizes": "sizes.csv"},
        "reading": reading,
    }


def picture(sizes, width=480, height=240):
    """A PNG of the curve, by hand: no library is needed for it."""
    most = max([*sizes, 1e-9])
    rows = [bytearray(b"\xff" * width * 3) for _ in range(height)]
    for x in range(width):
        y = height - 1 - int(sizes[x * len(sizes) // width] / most * (height - 1))
        for line in rows[y:]:
            line[3 * x : 3 * x + 3] = b"\x1d\x4f\x91"
    raw = b"".join(b"\0" + bytes(row) for row in rows)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
