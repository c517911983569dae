"""The common form of all fillers: inputs and the state of the day before in, a filled day and its state out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from runtime.common.events import Progress
from runtime.common.grid import Floats, Grid
from runtime.engines.base import Engine, Staged
from runtime.fill.recurrent import fill_recurrent, land_tiles
from runtime.fill.result import Filled
from runtime.fill.state import State
from runtime.fill.whole_grid import shape_of_call
from runtime.fill.window import fill_window
from runtime.manifest import Manifest


class Filler(Protocol):
    """Fills days with one network, on one grid, computed by one engine."""

    @property
    def engine_name(self) -> str:
        """The engine, as the catalog records it."""

    @property
    def manifest(self) -> Manifest:
        """The network's manifest, with the number of tiles that a call takes as its batch."""

    def initial_state(self) -> State | None:
        """Return the state before the first day; None for a network that carries none."""

    def fill(
        self,
        soil_moisture: Floats,
        precipitation: Floats | None,
        state: State | None,
        progress: Progress | None = None,
    ) -> tuple[Filled, State | None]:
        """Fill day T.

        Parameters
        ----------
        soil_moisture : float32 array, shape (days, rows, cols)
            The days of the network's window in order, m3 m-3, NaN for a gap; a missing day is all NaN.
        precipitation : float32 array, shape (days, rows, cols), optional
            The same days, mm/day, NaN for no estimate; None where the network reads no rain, or there is none.
        state : State or None
            The state after the day before; it is not changed. None for a network that carries none.
        progress : callable, optional
            Called with the number of tiles done and of all tiles.

        Returns
        -------
        filled : Filled
            The filled day.
        state : State or None
            The state after day T; None for a network that carries none.
        """


@dataclass(frozen=True)
class _NetworkFiller:
    engine: Engine | Staged
    manifest: Manifest
    grid: Grid
    whole_grid: bool = False
    """Whether a day is computed in one call; see `runtime.fill.whole_grid`."""

    @property
    def engine_name(self) -> str:
        """The engine, as the catalog records it."""
        return f"{self.engine.name} whole grid" if self.whole_grid else self.engine.name


@dataclass(frozen=True)
class WindowFiller(_NetworkFiller):
    """Fills day T from the days around it; see `Filler`."""

    def initial_state(self) -> None:
        """Return None: a window network carries no state."""

    def fill(
        self,
        soil_moisture: Floats,
        precipitation: Floats | None,
        state: State | None,
        progress: Progress | None = None,
    ) -> tuple[Filled, None]:
        """Fill day T; see `Filler.fill`."""
        core = None
        if self.whole_grid:
            _, rows, cols = shape_of_call(self.manifest, self.grid)
            core = rows - 2 * self.manifest.halo, cols - 2 * self.manifest.halo
        return fill_window(self.engine, self.manifest, self.grid, soil_moisture, precipitation, progress, core), None


@dataclass(frozen=True)
class RecurrentFiller(_NetworkFiller):
    """Fills day T from the state of the day before, the day's own observations and its rain; see `Filler`."""

    def initial_state(self) -> State:
        """Return the state before the first day of a chain."""
        return State.cold(self.manifest, self.grid, len(land_tiles(self.manifest, self.grid)))

    def fill(
        self,
        soil_moisture: Floats,
        precipitation: Floats | None,
        state: State | None,
        progress: Progress | None = None,
    ) -> tuple[Filled, State]:
        """Fill day T; see `Filler.fill`. Without a state, day T is the first of its chain."""
        rain = soil_moisture * float("nan") if precipitation is None else precipitation
        before = state or self.initial_state()
        return fill_recurrent(self.engine, self.manifest, self.grid, soil_moisture[0], rain[0], before, progress)


def make_filler(engine: Engine | Staged, manifest: Manifest, grid: Grid, *, whole_grid: bool | None = False) -> Filler:
    """Return the filler of a network's kind.

    Parameters
    ----------
    engine : Engine or Staged
        The network, opened by an engine.
    manifest : Manifest
        The bundle's manifest.
    grid : Grid
        The grid of the fields.
    whole_grid : bool, optional
        Whether a day is computed in one call; see `runtime.fill.whole_grid`. None is no.

    Returns
    -------
    Filler
        The filler.
    """
    kind = RecurrentFiller if manifest.carries_state else WindowFiller
    if whole_grid:
        manifest = manifest.model_copy(update={"batch": shape_of_call(manifest, grid)[0]})
    return kind(engine, manifest, grid, bool(whole_grid))
