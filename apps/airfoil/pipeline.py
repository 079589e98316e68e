"""How well a wing section flies: one XFOIL polar for each Reynolds number, side by side.

XFOIL leaves out angles that do not converge, and ends well with a polar that is a header alone: rows are counted, the
exit status is not believed. Debian's aborts with SIGFPE without the shim in `data/fpe.c`, which is compiled first.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from perijove.apps import Call, Case, Command, Progress, Step, Unfit

#: Of a polar's columns: angle of attack (degrees), lift, drag and moment coefficients.
COLUMNS = {"alpha": 0, "CL": 1, "CD": 2, "CM": 4}
#: Fewer converged angles are no polar.
LEAST = 3
#: Okabe and Ito's, apart for all kinds of colour vision.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


def steps(case: Case) -> list[Step]:
    """The shim, then for each Reynolds number XFOIL's orders and its run."""
    source = str(case.here / "data/fpe.c")
    compiler = Command([case.program("cc"), "-shared", "-fPIC", "-O1", "-o", "shim.so", source])
    made = [Step("shim", compiler, makes=["shim.so"])]
    for reynolds in case.inputs["reynolds"]:
        order = f"order-{reynolds}.txt"
        made.append(Step("order", Call(order_for, reynolds=reynolds), reynolds, makes=[order]))
        run = Command(
            [case.program("xfoil")],
            stdin=case.file(order),
            env={"LD_PRELOAD": str(case.file("shim.so"))},
            progress=Progress(r"Point added to stored polar\s+(?P<done>1)\b", total=len(angles(case)), adds=True),
        )
        after = ["shim", f"order@{reynolds}"]
        made.append(Step("polar", run, reynolds, after, [f"polar-{reynolds}.txt"], limit=300, check=has_rows))
    return [*made, Step("draw", Call(draw), after=["polar"], makes=["results/polars.png", "results/polars.csv"])]


def angles(case: Case) -> list[float]:
    """The angles of attack that are asked for, degrees."""
    low, high = case.inputs["angles"]
    step = case.inputs["increment"]
    return [low + step * index for index in range(int((high - low) / step + 1e-9) + 1)]


def order_for(case: Case, reynolds: str) -> None:
    """What is typed into XFOIL: numbers and four digits that the manifest has checked, no plots."""
    asked = angles(case)
    lines = [
        *("PLOP", "G F", ""),
        f"NACA {case.inputs['section']}",
        *("OPER", "ITER 200", f"VISC {float(reynolds):.0f}", f"MACH {case.inputs['mach']:g}"),
        *("VPAR", f"N {case.inputs['turbulence']:g}", ""),
        *("PACC", f"polar-{reynolds}.txt", ""),
        f"ASEQ {asked[0]:g} {asked[-1]:g} {case.inputs['increment']:g}",
        *("PACC", "", "QUIT", ""),
    ]
    Path(f"order-{reynolds}.txt").write_text("\n".join(lines), encoding="ascii")


def read(path: Path) -> list[dict[str, float]]:
    """The rows of a polar file (XFOIL 6.9: numbers below a line of dashes)."""
    lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    start = next((index for index, line in enumerate(lines) if line.strip().startswith("------")), len(lines))
    rows = []
    for line in lines[start + 1 :]:
        numbers = line.split()
        if len(numbers) > max(COLUMNS.values()):
            rows.append({name: float(numbers[column]) for name, column in COLUMNS.items()})
    return sorted(rows, key=lambda row: row["alpha"])


def has_rows(case: Case, folder: Path) -> None:
    """A header is no polar.

    Raises:
        Unfit: too few angles converged.
    """
    for path in folder.glob("polar-*.txt"):
        there, asked = len(read(path)), len(angles(case))
        if there < LEAST:
            raise Unfit(
                f"XFOIL ended without an error, but only {there} of {asked} angles converged.",
                f"XFOIL 正常结束，但 {asked} 个迎角中只有 {there} 个收敛。",
            )


def draw(case: Case) -> dict[str, Any]:
    """The figure, the table, the numbers and the reading."""
    polars = {reynolds: read(case.file(f"polar-{reynolds}.txt")) for reynolds in case.inputs["reynolds"]}
    _figure(polars, case.inputs["section"], Path("results/polars.png"))
    with Path("results/polars.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["Reynolds", *COLUMNS])
        table.writerows([reynolds, *row.values()] for reynolds, rows in polars.items() for row in rows)
    points = [(row["CL"] / row["CD"], row["alpha"], reynolds) for reynolds, rows in polars.items() for row in rows]
    glide, angle, at = max(points)
    lift = max(row["CL"] for rows in polars.values() for row in rows)
    asked, name = len(polars) * len(angles(case)), f"NACA {case.inputs['section']}"
    missing = asked - len(points)
    return {
        "numbers": {"glide": glide, "glide-angle": angle, "lift": lift, "converged": len(points)},
        "figures": {
            "polars": {
                "file": "polars.png",
                "alt": {
                    "en": f"{name}: lift against angle and against drag for {len(polars)} Reynolds numbers; "
                    f"best lift to drag {glide:.0f} at {angle:g}°, highest lift coefficient {lift:.2f}.",
                    "zh": f"{name}：{len(polars)} 个雷诺数下的升力系数随迎角变化及升阻极曲线；"
                    f"最大升阻比 {glide:.0f}（迎角 {angle:g}°），最大升力系数 {lift:.2f}。",
                },
            }
        },
        "tables": {"table": "polars.csv"},
        "reading": {
            "en": f"{name} flies best at a Reynolds number of {int(at):,} and {angle:g}°: it lifts {glide:.0f} times "
            f"its drag. {missing} of {asked} points did not converge and are left out.",
            "zh": f"{name} 在雷诺数 {int(at):,}、迎角 {angle:g}° 时性能最佳：升力为阻力的 {glide:.0f} 倍。"
            f"{asked} 个点中有 {missing} 个未收敛，未列入结果。",
        },
    }


def _figure(polars: dict[str, list[dict[str, float]]], section: str, to: Path) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8.6, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for (reynolds, rows), colour in zip(polars.items(), _COLOURS, strict=False):
        lift = [row["CL"] for row in rows]
        left.plot([row["alpha"] for row in rows], lift, color=colour, marker="o", markersize=2.5)
        right.plot(
            [1e4 * row["CD"] for row in rows],
            lift,
            color=colour,
            marker="o",
            markersize=2.5,
            label=f"{int(reynolds):,}",
        )
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set(xlabel="α (°)", ylabel="$C_L$")
    right.set(xlabel="$10^4\\,C_D$")
    right.legend(title="Re", frameon=False, loc="lower right")
    for axis in (left, right):
        axis.grid(color="#d7dbe0", linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(length=0)
    figure.suptitle(f"NACA {section}", x=0.01, ha="left", fontsize=13, fontweight="bold")
    figure.savefig(to, dpi=150)
