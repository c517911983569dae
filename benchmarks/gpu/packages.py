"""The packages that the measurement imports, and which of them have to be carried to a machine with only PyTorch."""

from __future__ import annotations

from importlib import metadata

from benchmarks.gpu.sections import SECTIONS

WITH_PYTORCH = (
    *(
        "torch",
        "numpy",
        "scipy",
        "onnx",
        "onnxruntime",
        "onnxscript",
        "onnx-ir",
        "safetensors",
        "protobuf",
        "packaging",
    ),
    *("filelock", "fsspec", "h5py", "tensorboard", "PyYAML", "python-dateutil", "typing_extensions", "sympy", "tqdm"),
    *("ml_dtypes", "mpmath"),
)
"""Packages that an image for PyTorch and ONNX usually has."""
CARRIED = (
    *("netCDF4", "cftime", "pydantic", "pydantic_core", "annotated-types", "typing-inspection", "google-re2"),
    *("google-crc32c", "zarr", "numcodecs", "donfig", "pytesmo", "lightning-fabric", "lightning-utilities"),
)
"""Packages that it usually lacks: their wheels have 20 MB together (Python 3.12, x86-64)."""
OPTIONAL = {
    "openvino": "the fastest engine on a CPU",
    "onnxruntime-gpu": "the engine cuda, in place of onnxruntime; too large to carry",
    "tensorrt-rtx": "the engine tensorrt; too large to carry",
    "cuda-bindings": "the engine tensorrt",
    "nvidia-ml-py": "energy",
}
"""Packages without which a part is left out."""


def listing() -> str:
    """Return the sections and the packages, with the versions of those that are installed here."""
    lines = ["Sections, in order, and their shares of the time:"]
    total = sum(section.weight for section in SECTIONS)
    lines += [f"  {each.name:24} {100 * each.weight / total:3.0f} %  {each.title}" for each in SECTIONS]
    lines += ["", "Packages:"]
    lines += [f"  {name:24} {_version(name):16} usual in an image for PyTorch" for name in WITH_PYTORCH]
    lines += [f"  {name:24} {_version(name):16} carry its wheel" for name in CARRIED]
    lines += [f"  {name:24} {_version(name):16} optional: {what}" for name, what in OPTIONAL.items()]
    missing = [name for name in (*WITH_PYTORCH, *CARRIED) if _version(name) == "missing"]
    lines += ["", "Wheels for a machine without a network, to be unpacked into a folder of PYTHONPATH there:"]
    lines += [f"  pip download --no-deps --only-binary=:all: -d wheels {' '.join(missing or CARRIED)}"]
    return "\n".join(lines)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"
