"""The days of a chain as workers compute them: shares of a day's tiles walk in, a staged day and a snapshot walk out.

A day needs the state that the day before left, tile by tile: each share of the tiles goes through all days on its own.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.archive.record import DayDescription
from runtime.backfill.task import FieldSource, Network, Worker, WorkerSettings, worker_of
from runtime.common.clock import DAY
from runtime.errors import ArchiveError, InputRefused, ResultRefused, SeamlessError, StateChainBroken
from runtime.fill.recurrent import ComputedTiles, compose_tiles, compute_tiles, days_since, shares_of_tiles
from runtime.fill.result import NEVER
from runtime.fill.state import State, StateStore, read_snapshot, write_snapshot
from runtime.pipeline.compute import DayFields, with_input_errors
from runtime.pipeline.gates import check_sound

Errors = Sequence[SeamlessError | None]
"""For each link why it is not computed: an input cannot be read, or the network gave NaN, there or on a day before."""

_SINCE, _FILLED, _REACHED, _SECONDS = "days_since_observation", ".filled", ".reached", ".seconds"
"""Arrays of a file of tiles beside the state's own. The first is in the first share's only; the last: how long it took
to read the inputs and to compute."""


@dataclass(frozen=True)
class LinkTask:
    """A day of the chain to compute."""

    date: dt.date
    state: str
    """Fingerprint of the state that it leaves."""
    upstream: str | None
    """Fingerprint of the state that it starts from; None on the first day of the chain."""
    bundle: Path
    """The network's folder."""
    model_id: str
    soil_moisture: FieldSource
    precipitation: FieldSource
    description: DayDescription | None
    """What the day's file says; None for a day that is replayed only for its state."""


def compute_share(
    settings: WorkerSettings, links: Sequence[LinkTask], number: int, shares: int, before: Errors | None
) -> Errors:
    """Compute a share of the tiles of days that follow one another, into the staging folder.

    Parameters
    ----------
    settings : WorkerSettings
        What all days share.
    links : sequence of LinkTask
        The days; those that are there already are left out.
    number : int
        The share, from 0.
    shares : int
        Number of shares.
    before : sequence, optional
        What this function returned for the days just before; None if these days begin a chain, or go on from a
        snapshot.

    Returns
    -------
    sequence of SeamlessError or None
        For each day why its tiles are not there.

    Raises
    ------
    StateChainBroken
        The snapshot that the first day starts from is gone or damaged.
    SeamlessError
        As by `runtime.backfill.task.compute_tasks`.
    """
    share, error, previous = _Share(worker_of(settings), number, shares), before[-1] if before else None, None
    errors = []
    for link in links:
        if previous and link.upstream != previous.state:
            error = None
        error = error or share.compute(link)
        errors.append(error)
        previous = link
    return errors


def join_shares(
    settings: WorkerSettings, links: Sequence[LinkTask], shares: int, *computed: Errors
) -> list[SeamlessError | None]:
    """Join the tiles of days to staged days and snapshots.

    A day whose tiles are not there, or damaged, is left out.

    Parameters
    ----------
    settings : WorkerSettings
        What all days share.
    links : sequence of LinkTask
        The days.
    shares : int
        Number of shares.
    *computed : sequence of SeamlessError or None
        What `compute_share` returned for each share.

    Returns
    -------
    list of SeamlessError or None
        For each day that is not only replayed why it is not staged: as `compute_share`, or no observation reaches it.
    """
    found = []
    for link, errors in zip(links, zip(*computed, strict=True), strict=True):
        error = next((each for each in errors if each), None) or _join(worker_of(settings), link, shares)
        if link.description:
            found.append(error)
    return found


def compute_links(settings: WorkerSettings, links: Sequence[LinkTask]) -> list[SeamlessError | None]:
    """Compute days in one piece; parameters, result and errors are those of `compute_share` and `join_shares`."""
    return join_shares(settings, links, 1, compute_share(settings, links, 0, 1, None))


@dataclass
class _Share:
    """A share of the tiles in a worker."""

    worker: Worker
    number: int
    shares: int

    def compute(self, link: LinkTask) -> SeamlessError | None:
        """Compute the tiles of a day; return why they are not there."""
        path = self.worker.staging.tiles(link.state, self.number, self.shares)
        if path.exists() or _is_joined(self.worker, link):
            return None
        network, grid, began = (
            self.worker.network(link.bundle, link.model_id),
            self.worker.settings.grid,
            time.monotonic(),
        )
        manifest = network.filler.manifest
        tiles = shares_of_tiles(manifest, grid, self.shares)[self.number]
        before = self._state_before(link, network, tiles)
        try:
            fields = _fields_of_link(self.worker, link)
            read = time.monotonic()
            observed, rain = fields.soil_moisture[0].values, fields.precipitation[0].values
            computed = compute_tiles(network.engine, manifest, grid, observed, rain, before.tensors, tiles)
            since = days_since(before.days_since_observation, observed)
            check_sound(compose_tiles(manifest, grid, observed, computed, since, tiles), link.date)
        except (InputRefused, ResultRefused) as refusal:
            return refusal
        arrays: dict[str, NDArray[Any]] = {**computed.tensors, _FILLED: computed.filled, _REACHED: computed.reached}
        if self.number == 0:
            arrays[_SINCE] = since
        arrays[_SECONDS] = np.array([read - began, time.monotonic() - read])
        try:
            write_snapshot(path, {}, arrays)
        except ArchiveError:
            if not path.exists():  # else another worker was faster
                raise
        self.worker.left[self.number] = path, State(computed.tensors, since)
        return None

    def _state_before(self, link: LinkTask, network: Network, tiles: slice) -> State:
        """Return what these tiles start from: at hand, left by the day before, or from the snapshot of all tiles.

        Where this is not the first share, the days since the last observation mean nothing.
        """
        initial, settings = network.filler.initial_state(), self.worker.settings
        assert initial
        if link.upstream is None:
            whole = initial
        else:
            path = self.worker.staging.tiles(link.upstream, self.number, self.shares)
            left = self.worker.left.get(self.number)
            if left and left[0] == path:
                return left[1]
            try:
                arrays = read_snapshot(path)[1]
            except StateChainBroken:
                store = StateStore(settings.states, link.model_id)
                whole = store.load(link.date - DAY, link.upstream, like=initial)
            else:
                since = arrays.get(_SINCE, np.full(settings.grid.shape, NEVER, np.int16))
                return State({name: arrays[name] for name in initial.tensors}, since)
        return State({name: tensor[tiles] for name, tensor in whole.tensors.items()}, whole.days_since_observation)


def _fields_of_link(worker: Worker, link: LinkTask) -> DayFields:
    return worker.fields([link.soil_moisture], [link.precipitation], link.bundle, link.model_id)


def _is_joined(worker: Worker, link: LinkTask) -> bool:
    is_staged = link.description is None or worker.staging.has(link.description.record.fingerprint)
    return is_staged and StateStore(worker.settings.states, link.model_id).has(link.date, link.state)


def _join(worker: Worker, link: LinkTask, shares: int) -> SeamlessError | None:
    """Join the tiles of a day; return why it is not staged."""
    if _is_joined(worker, link):
        return None
    began, parts = time.monotonic(), []
    since, seconds = np.empty(0, np.int16), np.zeros(2)
    for number in range(shares):
        path = worker.staging.tiles(link.state, number, shares)
        try:
            arrays = read_snapshot(path)[1]
        except StateChainBroken:
            path.unlink(missing_ok=True)
            return None
        since, seconds = arrays.pop(_SINCE, since), seconds + arrays.pop(_SECONDS)
        parts.append(ComputedTiles(arrays.pop(_FILLED), arrays.pop(_REACHED), arrays))
    network, store = worker.network(link.bundle, link.model_id), StateStore(worker.settings.states, link.model_id)
    computed = ComputedTiles.joined(parts)
    try:
        fields = _fields_of_link(worker, link)
    except InputRefused as refusal:
        return refusal
    try:
        store.save(link.date, link.state, State(computed.tensors, since))
    except ArchiveError:
        if not store.has(link.date, link.state):  # else another worker was faster
            raise
    if link.description is None:
        return None
    manifest, grid = network.bundle.manifest, worker.settings.grid
    filled = with_input_errors(compose_tiles(manifest, grid, fields.soil_moisture[0].values, computed, since), fields)
    phases = {"read": float(seconds[0]), "infer": float(seconds[1]), "join": time.monotonic() - began}
    return worker.stage(link.description, network, filled, fields, phases)
