"""The losses of a training run by step, as a CSV file and for TensorBoard."""

from __future__ import annotations

import csv
from pathlib import Path

NAME = "log.csv"


class ScalarLog:
    """Writes values by step to ``log.csv`` and for TensorBoard; use it as a context manager.

    A run that is resumed first removes the lines after the step it resumes from.

    Parameters
    ----------
    folder : Path
        Folder of the run.
    step : int
        Step the run resumes from; 0 for a new run.
    active : bool
        Whether to write at all: only one process of a run does.
    """

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
        """Write buffered lines to the CSV file."""
        if self._active:
            self._file.flush()

    def write(self, step: int, what: str, value: float) -> None:
        """Add the value of one step.

        Parameters
        ----------
        step : int
            The step, counted from 1.
        what : str
            Name of the value, ``loss`` or ``validation``.
        value : float
            The value.
        """
        if self._active:
            self._csv.writerow([step, what, repr(value)])
            self._board.add_scalar(what, value, step)

    def __exit__(self, *_: object) -> None:
        if self._active:
            self._file.close()
            self._board.close()
