"""What all parts of a report are written with: lines of tables, numbers for JSON, files of figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from training.evaluate.score import Score

MARKDOWN, JSON = "report.md", "report.json"


def table_line(parts: Sequence[str]) -> str:
    """Return a line of a Markdown table."""
    return f"| {' | '.join(parts)} |"


def json_number(value: float) -> float | None:
    """Return a number, None instead of NaN, which JSON does not have."""
    return value if np.isfinite(value) else None


def json_score(score: Score) -> dict[str, float | None]:
    """Return a score for JSON."""
    return {name: json_number(value) for name, value in vars(score).items()}


def save_figure(figure: Figure, folder: Path, name: str) -> str:
    """Write a figure, and return its name."""
    if figure.get_layout_engine() is None:
        figure.tight_layout()
    figure.savefig(folder / name, dpi=130)
    plt.close(figure)
    return name
