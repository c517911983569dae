"""One network with every program: do they fill the same day, how fast, and with how much of what the device can do."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.gpu.context import TODAY, Context
from benchmarks.gpu.machine import COPY, peak_name
from benchmarks.gpu.meter import Measured, Meter
from benchmarks.gpu.programs import PUBLISHED, Compute, Network, Program, programs, tiles_of, work_of
from benchmarks.gpu.rows import Row, not_run
from benchmarks.gpu.torch_engine import Work
from runtime.common.grid import Floats
from runtime.engines.tensorrt.accept import LIMITS

REFERENCE = "runtime cpu, fp32"
"""The program that the others are compared with."""
ROUNDS = 3
_LONG_ENOUGH = 1.0
"""Seconds of work on a GPU below which its energy counter says nothing."""
_COMPILER_S = 20.0
"""Seconds without which the compiler is not started."""


@dataclass
class _Contender:
    program: Program
    compute: Compute
    work: Work | None
    """What it does for a whole day."""
    held_gib: float
    """Memory that it holds when it computes nothing."""
    scaled_s: float
    """Seconds of a day by its time on the region and the cells that it computes in both."""
    rounds: list[Measured] = field(default_factory=list)
    days: int = 0
    """Days computed in all rounds."""

    @property
    def seconds(self) -> float:
        """Seconds of a day."""
        if not self.rounds:
            return self.scaled_s
        return statistics.median(each.seconds for each in self.rounds) * len(self.rounds) / self.days


def measure_network(context: Context, network: Network) -> Iterator[Row]:
    """Yield a row for each program of a network.

    All programs first fill the day on a region: the result is compared with that of the reference there. Then they
    fill the whole day in turns, the fastest first, as often as the time allows; of a program that would take too long,
    the time on the region is scaled by the number of computed cells.

    Parameters
    ----------
    context : Context
        Device and time.
    network : Network
        The network.

    Yields
    ------
    dict
        Columns by name; a later row with the same program adds columns to it.
    """
    meter = Meter(context.device)
    contenders: list[_Contender] = []
    for found in _compare(context, network, meter):
        if isinstance(found, _Contender):
            contenders.append(found)
        else:
            yield found
    published = next((each for each in contenders if each.program.name == f"{PUBLISHED}, fp32"), None)
    frames, grid = context.frames(context.grid), context.grid
    for _ in range(ROUNDS):
        for contender in sorted(contenders, key=lambda each: each.seconds):
            is_cold = not contender.rounds and (contender.program.compiled or context.device == "cuda")
            if contender.seconds * (2 if is_cold else 1) > context.left * 0.8:
                continue
            repeats = math.ceil(_LONG_ENOUGH / max(contender.seconds, 1e-3)) if context.device == "cuda" else 1

            def days(compute: Compute = contender.compute, repeats: int = repeats) -> None:
                for _ in range(repeats):
                    compute(grid, frames)

            try:
                if is_cold:  # libraries choose algorithms, or compile, for the shapes of the whole day
                    contender.compute(grid, frames)
                contender.rounds.append(meter.measure(days))
            except Exception as error:  # as below
                yield not_run(f"{contender.program.name}, the whole day", error)
                continue
            contender.days += repeats
            yield _speed_row(contender, published, context.earlier)
    for contender in contenders:
        yield _speed_row(contender, published, context.earlier)
    if meter.no_energy:
        yield not_run("energy", meter.no_energy)


def _compare(context: Context, network: Network, meter: Meter) -> Iterator[Row | _Contender]:
    """Fill a region with every program; yield how the results differ, and the programs that can fill it."""
    box, grid = context.box, context.grid
    on_box, frames = context.frames(box), context.frames(grid)
    gaps_on_box = box.land & np.isnan(on_box[TODAY])
    exact: Floats | None = None
    sizes: dict[tuple[bool, bool], tuple[float, Work | None]] = {}
    everything = list(programs(network, context.device, context.scratch / "engines"))
    for number, program in enumerate(everything):
        if context.left < (_COMPILER_S if program.compiled else 2.0):
            yield from (not_run(each.name, "no time left") for each in everything[number:])
            return
        yield {"program": program.name}
        try:
            before = meter.memory_gib()
            compute = program.open()
            computed = compute(box, on_box)
            meter.wait()
            held = meter.memory_gib() - before
            seconds = meter.measure(functools.partial(compute, box, on_box)).seconds
        except Exception as error:  # whatever a library or the device does, the others are measured
            yield {"program": program.name, **not_run(program.name, error)}
            continue
        exact = computed if program.name == REFERENCE else exact
        yield {"program": program.name, **_parity(program, computed, exact, gaps_on_box)}
        kind = program.staged, program.published
        if kind not in sizes:
            whole, part = (tiles_of(network, program, *each).cells for each in ((grid, frames), (box, on_box)))
            sizes[kind] = whole / max(part, 1), work_of(network, program, grid, frames)
        ratio, work = sizes[kind]
        contender = _Contender(program, compute, work, held, seconds * ratio)
        yield _speed_row(contender, None, context.earlier)
        yield contender


def _parity(program: Program, computed: Floats | None, exact: Floats | None, gaps: NDArray[np.bool_]) -> Row:
    """Return how much a filled field differs from the reference's in the gaps."""
    if computed is None:
        return {"differs by, spreads": None, "agrees": "tile edges visible"}
    if exact is None:
        return {"differs by, spreads": None, "agrees": f"{REFERENCE} has not run"}
    reached = np.isfinite(exact) & gaps
    if not np.array_equal(reached, np.isfinite(computed) & gaps):
        return {"differs by, spreads": None, "agrees": "NO: fills other cells"}
    difference = float((computed[reached] - exact[reached]).std() / max(float(exact[reached].std()), 1e-6))
    limit = LIMITS.get(program.precision)
    agrees = "not judged" if limit is None else "yes" if difference <= limit else f"NO: limit {limit:.0e}"
    return {"differs by, spreads": difference, "agrees": agrees}


def _speed_row(contender: _Contender, published: _Contender | None, earlier: Mapping[str, Sequence[Row]]) -> Row:
    """Return the speed of a program, its memory, its energy, and the shares of the device's peaks that it uses."""
    rounds, seconds, work = contender.rounds, contender.seconds, contender.work
    joules = [each.joules for each in rounds if each.joules is not None]
    row: Row = {
        "program": contender.program.name,
        "s a day": seconds,
        "days measured": str(contender.days) if rounds else "none: scaled from the region",
        "memory, GiB": contender.held_gib + max(each.grown_gib for each in rounds) if rounds else None,
        "J a day": sum(joules) / contender.days if joules else None,
    }
    if published:
        row["times as fast as published"] = published.seconds / seconds
    if work is None:
        return row
    row["TFLOP a day"] = work.flops / 1e12
    peaks = {each.get("what"): each.get("value") for each in earlier.get("machine", ())}
    peak, copied = peaks.get(peak_name(contender.program.precision)), peaks.get(COPY)
    if isinstance(peak, float):
        row["of the matrix peak, %"] = 100 * work.flops / seconds / (peak * 1e12)
    if isinstance(copied, float) and not math.isnan(work.moved):
        row["bytes of all operations, of the copy speed, %"] = 100 * work.moved / seconds / (copied * 1e9)
    return row
