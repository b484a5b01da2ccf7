"""The picture of the benchmark: two bars a case, with what was least and most, and the ratio."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

from tests.bench.results import CASES, Results

mpl.use("Agg")
from matplotlib import pyplot as plt

COLOURS = {"tailrace": "#0b6e8a", "boto3": "#b8bec4"}
NAMES = {"tailrace": "tailrace export", "boto3": "plain boto3 loop with retry"}
HEIGHT = 0.36


def draw(results: Results, path: Path) -> None:
    """Write the picture; the ending of the path says the format."""
    mpl.rcParams.update({"svg.hashsalt": "tailrace", "font.size": 10})
    figure, axes = plt.subplots(figsize=(8.4, 3.6), layout="constrained")
    farthest = max(results.speed("tailrace", case).most for case in CASES)
    for who, shift in (("tailrace", -HEIGHT / 2), ("boto3", HEIGHT / 2)):
        speeds = [results.speed(who, case) for case in CASES]
        medians = [speed.median for speed in speeds]
        places = [number + shift for number in range(len(CASES))]
        around = [
            [speed.median - speed.least for speed in speeds],
            [speed.most - speed.median for speed in speeds],
        ]
        axes.barh(
            places, medians, HEIGHT, xerr=around, color=COLOURS[who], label=NAMES[who],
            error_kw={"ecolor": "#3a3f44", "elinewidth": 1, "capsize": 2.5},
        )  # fmt: skip
        for place, speed, case in zip(places, speeds, CASES, strict=True):
            ratio = f"   {results.ratio(case).median:.1f} ×" if who == "tailrace" else ""
            text = f"{speed.median:,.0f}"
            label = axes.annotate(
                text,
                (speed.most, place),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                color="#3a3f44",
            )
            if ratio:
                axes.annotate(
                    ratio, (1, 0.5), xycoords=label, va="center", ha="left", weight="bold", color=COLOURS[who]
                )
    axes.set_yticks(range(len(CASES)), [case.title for case in CASES])
    axes.invert_yaxis()
    axes.set_xlim(0, farthest * 1.28)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:,.0f}k" if value else "0")
    axes.set_xlabel("profile updates read per second, whole command")
    axes.grid(axis="x", color="#e4e7ea", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper left", ncols=2, frameon=False)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=120)
    plt.close(figure)
