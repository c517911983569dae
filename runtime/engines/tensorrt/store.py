"""Keep built engines on disk, and read them back by their key.

An engine fits one model, one version of TensorRT, one GPU or compute capability, one profile of shapes, one precision
and one set of builder flags. All of these are part of its folder's name. A folder is written completely or not at all.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from runtime.common import digest
from runtime.common.atomic import write_guard
from runtime.engines.tensorrt.library import Flavour
from runtime.errors import EngineRefused

PLAN, RECORD = "engine.plan", "record.json"
"""Files in an engine's folder: the serialised engine, and how it was built."""

Shape = tuple[int, ...]


class _StoredModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EngineKey(_StoredModel):
    """Everything that must be equal for an engine to fit."""

    bundle: str
    model_id: str
    flavour: Flavour
    version: str
    """Version of TensorRT."""
    target: str
    """For example ``sm86`` or ``sm86 NVIDIA RTX A4000``; see `library.local_target`."""
    profile: dict[str, tuple[Shape, Shape, Shape]]
    """Smallest, usual and largest shape of each input."""
    precision: str
    flags: tuple[str, ...]
    """Builder settings."""

    @property
    def folder(self) -> str:
        """Name of the engine's folder."""
        parts = (self.bundle, self.flavour, self.version, self.target.split()[0], self.precision)
        return "-".join((*parts, digest.of_values(self.model_dump(mode="json"))[:12]))

    def differences(self, other: EngineKey) -> str:
        """Return how another key differs, in words."""
        mine, theirs = self.model_dump(), other.model_dump()
        return "; ".join(
            f"{name} is {_short_text(theirs[name])}, wanted {_short_text(mine[name])}"
            for name in mine
            if mine[name] != theirs[name]
        )


def _short_text(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


class EngineParity(_StoredModel):
    """How much an engine's results differ from those of ONNX Runtime on the CPU, for random inputs."""

    worst: float
    """Largest RMS difference of an output, in units of its standard deviation."""
    cases: int
    """Number of inputs compared."""


class EngineRecord(_StoredModel):
    """How an engine was built."""

    key: EngineKey
    plan_sha256: str
    plan_bytes: int
    nodes: int
    """Number of nodes in the ONNX graph."""
    layers: tuple[str, ...]
    """Layers of the engine's network: name, kind and the types of their outputs."""
    inputs: dict[str, Shape]
    """Shape of each input; -1 for an axis whose size may vary."""
    outputs: dict[str, Shape]
    """Shape of each output; -1 for an axis whose size may vary."""
    parity: EngineParity | None = None
    """Result of the parity check on the GPU; None before it. An engine is used only after it has passed."""


class EngineStore:
    """A folder of engines."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def records(self) -> list[EngineRecord]:
        """Return the records of all engines that can be read."""
        found = []
        for file in sorted(self.folder.glob(f"*/{RECORD}")):
            try:
                found.append(EngineRecord.model_validate_json(file.read_bytes()))
            except (OSError, ValidationError):
                continue
        return found

    def read(self, key: EngineKey) -> tuple[bytes, EngineRecord]:
        """Return an engine and its record.

        Raises
        ------
        EngineRefused
            There is no engine with this key, or it is damaged.
        """
        folder = self.folder / key.folder
        if not folder.is_dir():
            others = [record.key for record in self.records() if record.key.bundle == key.bundle]
            nearest = min((key.differences(other) for other in others), key=lambda text: text.count(";"), default="")
            hint = f"; the nearest there is differs: {nearest}" if nearest else ""
            raise EngineRefused(f"{self.folder}: no engine for {key.folder}{hint}")
        try:
            record = EngineRecord.model_validate_json((folder / RECORD).read_bytes())
            plan = (folder / PLAN).read_bytes()
        except (OSError, ValidationError) as error:
            raise EngineRefused(f"{folder}: cannot be read ({str(error).splitlines()[0]})") from error
        if record.key != key:
            raise EngineRefused(f"{folder}: is another engine: {key.differences(record.key)}")
        if len(plan) != record.plan_bytes:
            raise EngineRefused(f"{folder / PLAN}: has {len(plan)} of {record.plan_bytes} bytes")
        if digest.of_bytes(plan) != record.plan_sha256:
            raise EngineRefused(f"{folder / PLAN}: does not have the hash of its record (damaged)")
        return plan, record

    def write(self, plan: bytes, record: EngineRecord) -> Path:
        """Write an engine, and return its folder; an engine with the same key is replaced."""
        final = self.folder / record.key.folder
        with write_guard(final):
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".building-") as scratch:
                folder = Path(scratch) / "engine"
                folder.mkdir()
                (folder / PLAN).write_bytes(plan)
                (folder / RECORD).write_text(record.model_dump_json(indent=1) + "\n")
                shutil.rmtree(final, ignore_errors=True)
                folder.replace(final)
        return final

    def timings(self, key: EngineKey) -> Path:
        """Return the file of the builder's timing cache for the key's version of TensorRT and its GPU."""
        return self.folder / f"timings-{key.flavour}-{key.version}-{digest.of_values(key.target)[:8]}.cache"
