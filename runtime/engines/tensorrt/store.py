"""Built engines on disk: a key in, an engine's bytes and record out, or the reason why there is none.

An engine belongs to one model, one TensorRT, one GPU or compute capability, one profile of shapes, one precision and
one set of builder flags. Its folder is named by all of them and appears whole or not at all.
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

Shape = tuple[int, ...]


class _StoredModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EngineKey(_StoredModel):
    """What an engine belongs to."""

    bundle: str
    model_id: str
    flavour: Flavour
    version: str
    """Of TensorRT."""
    target: str
    """``sm86``, or ``sm86 NVIDIA RTX A4000``; see `library.target`."""
    profile: dict[str, tuple[Shape, Shape, Shape]]
    """Least, usual and largest shape of each input."""
    precision: str
    flags: tuple[str, ...]

    @property
    def folder(self) -> str:
        """Name of the engine's folder."""
        parts = (self.bundle, self.flavour, self.version, self.target.split()[0], self.precision)
        return "-".join((*parts, digest.of_values(self.model_dump(mode="json"))[:12]))

    def differences(self, other: EngineKey) -> str:
        """Return in words how another key differs."""
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
    """An engine against ONNX Runtime on the CPU, on random inputs."""

    worst: float
    """Largest RMS difference of an output, in units of its spread."""
    cases: int


class EngineRecord(_StoredModel):
    """How an engine was built."""

    key: EngineKey
    plan_sha256: str
    plan_bytes: int
    nodes: int
    """Nodes of the ONNX graph; the parser took all of them."""
    layers: tuple[str, ...]
    """Layers of the network: name, kind and the types of their outputs."""
    inputs: dict[str, Shape]
    outputs: dict[str, Shape]
    """-1 where an axis may vary."""
    parity: EngineParity | None = None
    """None until the engine has run on its GPU; it is not used before it has passed."""


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
        """Return an engine's bytes and its record.

        Raises
        ------
        EngineRefused
            There is none of this key, or it is damaged.
        """
        folder = self.folder / key.folder
        if not folder.is_dir():
            others = [r.key for r in self.records() if r.key.bundle == key.bundle]
            near = min((key.differences(other) for other in others), key=lambda text: text.count(";"), default="")
            why = f"; the nearest there is differs: {near}" if near else ""
            raise EngineRefused(f"{self.folder}: no engine for {key.folder}{why}")
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
        """Keep an engine, in place of one of the same key."""
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
        """Return the file of the builder's timing cache for a TensorRT and a GPU."""
        return self.folder / f"timings-{key.flavour}-{key.version}-{digest.of_values(key.target)[:8]}.cache"
