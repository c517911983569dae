"""Measure the seconds, the memory and the energy of a piece of work on a device."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.context import Device
from benchmarks.memory import peak_memory_of_process
from training.models import build_network
from training.presets import load_preset


@dataclass(frozen=True)
class Measured:
    """What a piece of work took."""

    seconds: float
    grown_gib: float
    """By how much the memory in use grew at its peak, GiB: that of the GPU, or on a CPU that of the process."""
    joules: float | None
    """Of the whole GPU; None where it does not say."""


class Meter:
    """Measures work on a device.

    Parameters
    ----------
    device : str
        ``cpu`` or ``cuda``.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self.no_energy = "there is no GPU" if device == "cpu" else ""
        """Why the energy is not known; empty if it is."""
        self._nvml: Any = None
        if device == "cuda":
            try:
                import pynvml

                pynvml.nvmlInit()
                self._handle = pynvml.nvmlDeviceGetHandleByIndex(0)
                pynvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)
                self._nvml = pynvml
            except Exception as error:  # a missing package, or any of NVML's errors
                self.no_energy = f"{type(error).__name__}: {error}"

    def measure(self, work: Callable[[], object]) -> Measured:
        """Run a piece of work to its end, also on the device, and return what it took."""
        self.wait()
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        else:
            Path("/proc/self/clear_refs").write_text("5")  # the peak memory begins anew
        memory, joules, started = self.memory_gib(), self._energy(), time.perf_counter()
        work()
        self.wait()
        seconds, after = time.perf_counter() - started, self._energy()
        used = None if joules is None or after is None else after - joules
        return Measured(seconds, self._peak_gib() - memory, used)

    def wait(self) -> None:
        """Wait until the device has done all its work."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def memory_gib(self) -> float:
        """Return the memory in use, GiB: on the GPU, by whatever library."""
        if self.device == "cuda":
            return _outside_pytorch() + torch.cuda.memory_allocated() / 2**30
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**30

    def _peak_gib(self) -> float:
        if self.device == "cuda":
            return _outside_pytorch() + torch.cuda.max_memory_allocated() / 2**30
        return peak_memory_of_process() / 2**30

    def _energy(self) -> float | None:
        """Return the energy that the GPU has used since its driver was loaded, J."""
        return self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle) / 1000 if self._nvml else None


def _outside_pytorch() -> float:
    """Return the memory of the GPU that others than PyTorch have taken, GiB."""
    free, total = torch.cuda.mem_get_info()
    return (total - free - torch.cuda.memory_reserved()) / 2**30


def too_large(device: Device, preset: str, copies: int) -> str:
    """Return why the weights of a preset do not fit so many times into the free memory; empty if they do."""
    with torch.device("meta"):
        model = build_network(load_preset(preset).model)
    needed = copies * 4 * sum(weights.numel() for weights in model.parameters()) / 2**30
    if device == "cuda":
        free = torch.cuda.mem_get_info()[0] / 2**30
    else:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) / 2**20
    return "" if needed < free else f"{needed:.0f} GiB of memory are wanted for it, and {free:.0f} GiB are free"
