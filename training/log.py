"""The log of a run, as CSV and for TensorBoard."""

from __future__ import annotations

import csv
from pathlib import Path

NAME = "log.csv"


class ScalarLog:
    """Losses by step, as CSV and for TensorBoard; a run that goes on drops what came after the step it goes on from."""

    def __init__(self, folder: Path, step: int, active: bool) -> None:
        self._folder, self._step, self._active = folder, step, active

    def __enter__(self) -> ScalarLog:
        if self._active:
            from torch.utils.tensorboard import SummaryWriter

            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / NAME
            kept: list[list[str]] = []
            if path.exists() and self._step:
                with path.open(newline="") as file:
                    kept = [row for row in list(csv.reader(file))[1:] if len(row) == 3 and int(row[0]) <= self._step]
            self._file = path.open("w", newline="")
            self._csv = csv.writer(self._file)
            self._csv.writerows([["step", "what", "value"], *kept])
            self._board = SummaryWriter(str(self._folder / "tensorboard"), purge_step=self._step + 1)
        return self

    def flush(self) -> None:
        """Put on disk what was written."""
        if self._active:
            self._file.flush()

    def write(self, step: int, what: str, value: float) -> None:
        """Add a value of a step."""
        if self._active:
            self._csv.writerow([step, what, repr(value)])
            self._board.add_scalar(what, value, step)

    def __exit__(self, *_: object) -> None:
        if self._active:
            self._file.close()
            self._board.close()
