"""Find the NVIDIA GPU of this machine through its driver; no other library is needed."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

_MAJOR, _MINOR = 75, 76  # CUdevice_attribute: compute capability


@dataclass(frozen=True)
class Gpu:
    """The first GPU of the machine."""

    name: str
    capability: tuple[int, int]
    """Compute capability, major and minor."""
    memory: int = 0
    """All of its memory, bytes."""


def find_gpu(library: str = "libcuda.so.1") -> Gpu | str:
    """Return the first GPU, or a text that says what is missing."""
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return f"no NVIDIA driver ({library} is not on this machine)"
    if code := cuda.cuInit(0):
        return f"the NVIDIA driver finds no GPU it can use (cuInit gives {code})"
    count = ctypes.c_int()
    if cuda.cuDeviceGetCount(ctypes.byref(count)) or count.value == 0:
        return "the NVIDIA driver finds no GPU"
    name, major, minor = ctypes.create_string_buffer(256), ctypes.c_int(), ctypes.c_int()
    cuda.cuDeviceGetName(name, len(name), 0)
    cuda.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, 0)
    cuda.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, 0)
    memory = ctypes.c_size_t()
    cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), 0)
    return Gpu(name.value.decode(), (major.value, minor.value), memory.value)
