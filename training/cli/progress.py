"""Progress bars of the commands."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from training.events import TrainingEvents

_LOG = logging.getLogger(__name__)
_LOG_EVERY = 100
"""Steps between the lines that are logged if there is no terminal to draw a bar on."""


@contextmanager
def days_bar() -> Iterator[Callable[[int, int], None]]:
    """Yield a function that shows how many days have been read of how many; the bar appears with its first call."""
    with Progress(TextColumn("days"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), transient=True) as bars:
        task: list[TaskID] = []

        def show(done: int, total: int) -> None:
            if not task:
                task.append(bars.add_task("days", total=total))
            bars.update(task[0], completed=done, total=total)

        yield show


class TrainingBar(TrainingEvents):
    """Shows a bar with the smoothed loss and the time left; without a terminal, logs a line every 100 steps."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("loss {task.fields[loss]:.4f}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        )
        self._loss = math.nan

    def __enter__(self) -> TrainingBar:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def training_started(self, step: int, steps: int) -> None:
        """Draw the bar."""
        if step:
            _LOG.info("resuming after step %d of %d", step, steps)
        self._steps = steps
        self._task = self._bars.add_task("fit", total=steps, completed=step, loss=math.nan)

    def step_done(self, step: int, loss: float) -> None:
        """Show the loss, smoothed over about 50 steps."""
        self._loss = loss if math.isnan(self._loss) else 0.98 * self._loss + 0.02 * loss
        self._bars.update(self._task, completed=step, loss=self._loss)
        if step % _LOG_EVERY == 0 and not self._bars.console.is_terminal:
            _LOG.info("step %d of %d: loss %.4f", step, self._steps, self._loss)

    def validation_done(self, step: int, loss: float, best: bool) -> None:
        """Log the loss on the validation days."""
        _LOG.info("step %d: validation %.4f%s", step, loss, ", the best so far" if best else "")
