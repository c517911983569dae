"""The sections, in the order in which they are run: what is most wanted comes first."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from benchmarks.gpu.budget import Section
from benchmarks.gpu.context import DATE, TODAY, Context
from benchmarks.gpu.rows import Row, not_run

SHIPPED = ("seamless-2", "seamless-2-soil", "seamless-amsr2-x", "sgdsm1-amsr2-x", "sgdsm2-amsr2-x")
_EXPORT_COPIES = 8
"""Memory of an export in sizes of the weights."""
PRESETS = ("stpcnn-paper", "lstmcnn-paper")
SECTIONS = (
    Section("machine", "The machine, its packages, and its measured peaks", 8),
    Section("days", "The days that are filled", 4, least=5.0),
    *(Section(name, f"Bundle {name}", 4 if name == "seamless-2-soil" else 8) for name in SHIPPED),
    Section("fusion-made-up", "Retrieval bundle fusion-made-up: parity", 2, least=4.0),
    Section("year", "A year: days in a row with reading and writing", 8),
    Section("training-cpu", "Training on the CPU: what the device is compared with", 9),
    Section("training", "Training on the device", 10),
    *(Section(name, f"Published size: {name}, exported here with random weights", 20) for name in PRESETS),
)


def measure(name: str, context: Context) -> Iterator[Row]:
    """Yield the rows of a section; only what the section needs is imported, as another may lack it.

    Parameters
    ----------
    name : str
        Name of the section.
    context : Context
        Device, time and folders.

    Yields
    ------
    dict
        A row of the section's table.
    """
    if name == "machine":
        from benchmarks.gpu.machine import measure_machine

        yield from measure_machine(context)
    elif name == "days":
        yield from measure_days(context)
    elif name == "year":
        from benchmarks.gpu.year import measure_year

        yield from measure_year(context)
    elif name.startswith("training"):
        from benchmarks.gpu.training import measure_training

        yield from measure_training(context, is_reference=name == "training-cpu")
    elif name == "fusion-made-up":
        from benchmarks.gpu.retrieval import measure_retrieval

        yield from measure_retrieval(context, name)
    else:
        from benchmarks.gpu import network, programs
        from benchmarks.gpu.meter import too_large

        if name in PRESETS and (reason := too_large("cpu", name, _EXPORT_COPIES)):
            yield not_run(name, reason)
            return
        opened = programs.paper(context, name) if name in PRESETS else programs.shipped(name)
        if opened.model is None:
            yield not_run("PyTorch", "the code of this network is no longer in the repository")
        yield from network.measure_network(context, opened)


def measure_days(context: Context) -> Iterator[Row]:
    """Yield what the days are; those of the synthetic world are made here, so that no other section has to."""
    started = time.monotonic()
    frames = context.frames(context.grid)
    seconds = time.monotonic() - started
    land = context.grid.land
    yield {"what": "days", "value": "real, LPRM AMSR2" if context.data else "synthetic world"}
    yield {"what": "day that is filled", "value": str(DATE)}
    yield {"what": "days read", "value": float(len(frames))}
    yield {"what": "s to make and read them", "value": seconds}
    yield {"what": "land cells", "value": float(land.sum())}
    yield {"what": "of them gaps on the day, %", "value": float(100 * np.isnan(frames[TODAY][land]).mean())}
