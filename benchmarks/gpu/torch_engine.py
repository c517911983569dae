"""PyTorch as an engine: the same network, computed in each of the ways that PyTorch has on a device."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu.context import Device
from export.signature import STATE, example_inputs, output_names
from runtime.bundle import AnyBundle
from runtime.engines.base import Arrays, HostTileStates
from training.models import STPCNN, Model

_ARGUMENTS = ("sm", "mask", "land", "precip", "precip_mask", *STATE)
"""The inputs of the networks, in the order of their arguments."""
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Way:
    """A way to compute a network with PyTorch."""

    name: str
    precision: str = "fp32"
    channels_last: bool = False
    compiled: bool = False
    graphs: bool = False
    """Whether its calls are recorded as a CUDA graph, one for each shape of the inputs."""

    @property
    def label(self) -> str:
        """What it is called in the tables."""
        return f"PyTorch {self.name}, {self.precision}"


WAYS = (
    Way("eager"),
    Way("eager", "bf16"),
    Way("eager", "fp16"),
    Way("channels last", "bf16", channels_last=True),
    Way("CUDA graphs", "bf16", graphs=True),
    Way("compile", "bf16", compiled=True),
)
"""Those that are measured; the compiled one last, because nothing can interrupt the compiler."""


class _KeptConstants(TorchFunctionMode):
    """Makes every constant once: its copy from the machine's memory cannot be recorded in a CUDA graph."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[str, Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not torch.tensor:
            return func(*args, **(kwargs or {}))
        key = repr((args, kwargs))
        if key not in self._kept:
            self._kept[key] = func(*args, **(kwargs or {}))
        return self._kept[key]


@dataclass
class _RecordedGraph:
    """A CUDA graph with the arrays that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor]
    outputs: tuple[Tensor, ...]


@dataclass
class TorchEngine:
    """A network that PyTorch computes; see `runtime.engines.base.Engine`."""

    network: nn.Module
    outputs: tuple[str, ...]
    device: Device
    way: Way
    carried: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.float32))
    _graphs: dict[tuple[torch.Size, ...], _RecordedGraph] = field(default_factory=dict)
    _constants: _KeptConstants = field(default_factory=_KeptConstants)

    def __post_init__(self) -> None:
        torch.backends.cudnn.allow_tf32 = False  # as the engines of the runtime; PyTorch's default is to round

    @classmethod
    def of(cls, model: Model, device: Device, way: Way) -> TorchEngine:
        """Return an engine with the network on the device; on a CPU several share its weights.

        Raises
        ------
        ValueError
            The device does not have this way.
        """
        if way.graphs and device != "cuda":
            raise ValueError("CUDA graphs need a GPU")
        if way.precision == "fp16" and device == "cpu":
            raise ValueError("PyTorch emulates fp16 on a CPU, and takes minutes")
        network: Any = model
        if device != "cpu" or way.channels_last:
            network = copy.deepcopy(model).to(device)
        if way.channels_last:
            layout = torch.channels_last_3d if isinstance(model, STPCNN) else torch.channels_last
            network = network.to(memory_format=layout)
        return cls(torch.compile(network) if way.compiled else network, output_names(model), device, way)

    @property
    def name(self) -> str:
        """The way, PyTorch's version and the device."""
        return f"{self.way.label} {torch.__version__} {self.device}"

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Compute one batch of tiles."""
        given = [torch.from_numpy(np.ascontiguousarray(inputs[n], np.float32)) for n in _ARGUMENTS if n in inputs]
        with torch.inference_mode():
            out = self._replay(given) if self.way.graphs else self._call([x.to(self.device) for x in given])
            return {name: x.float().cpu().numpy() for name, x in zip(self.outputs, out, strict=True)}

    def load_state(self, state: Arrays) -> HostTileStates:
        """Prepare to compute a day that starts from `state`, the state of all tiles."""
        return HostTileStates(self, state)

    def _call(self, inputs: list[Tensor]) -> tuple[Tensor, ...]:
        dtype = _DTYPES[self.way.precision]
        # autocast's cache of weights must not end up in a recorded graph
        with torch.autocast(self.device, dtype, enabled=dtype is not torch.float32, cache_enabled=not self.way.graphs):
            out: tuple[Tensor, ...] = self.network(*inputs)
        return out

    def _replay(self, given: list[Tensor]) -> tuple[Tensor, ...]:
        shapes = tuple(x.shape for x in given)
        if shapes not in self._graphs:
            inputs = [x.to(self.device) for x in given]
            side: Any = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with (
                torch.cuda.stream(side),
                self._constants,
            ):  # libraries choose their algorithms before the calls are recorded
                for _ in range(3):
                    self._call(inputs)
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph), self._constants:
                outputs = self._call(inputs)
            self._graphs[shapes] = _RecordedGraph(graph, inputs, outputs)
        recorded = self._graphs[shapes]
        for target, source in zip(recorded.inputs, given, strict=True):
            target.copy_(source)
        recorded.graph.replay()
        return recorded.outputs


class AsPublished(nn.Module):
    """SGD-SM 1.0 as the paper's program computes it: zero padding, and every frame in every layer."""

    def __init__(self, network: STPCNN) -> None:
        super().__init__()
        self.network = network

    def forward(self, sm: Tensor, mask: Tensor, land: Tensor) -> tuple[Tensor, Tensor]:
        """Return day T, m3 m-3, and its updated mask, with the size of the inputs."""
        network = self.network
        x, valid, land = network.normalise(sm, mask).unsqueeze(1), mask.unsqueeze(1), land[:, None, None]
        last = len(network.layers) - 1
        for number, layer in enumerate(network.layers):
            count = F.conv3d(valid, layer.ones.to(valid.dtype), padding=1)  # type: ignore[operator, union-attr]
            ratio, valid = layer.window / count.clamp(min=1.0), (count > 0).to(x.dtype) * land  # type: ignore[operator]
            bias: Any = layer.bias
            x = (F.conv3d(x, layer.weight, padding=1) * ratio + bias.view(1, -1, 1, 1, 1)) * valid  # type: ignore[arg-type]
            x = x if number == last else torch.relu(x)
        today = sm.shape[1] // 2
        return network.denormalise(x[:, 0, today]), valid[:, 0, today]


def load_weights(model: Model, bundle: AnyBundle) -> None:
    """Give a network the weights of a bundle's graph.

    The exporter keeps the names of the weights, except those of the biases of partial convolutions: it writes them in
    order, in the shape in which they are added.

    Raises
    ------
    ValueError
        The graph has other weights than the network.
    """
    given = {each.name: numpy_helper.to_array(each) for each in onnx.load(bundle.graph).graph.initializer}
    biases = [values for name, values in given.items() if name.startswith("view")]
    state = {}
    for name, value in model.state_dict().items():
        if name not in given and not (name.endswith(".bias") and biases):
            continue
        values = given[name] if name in given else biases.pop(0)
        if values.size != value.numel():
            raise ValueError(
                f"{bundle.manifest.name}: {name} has {values.size} values, and the network {value.numel()}"
            )
        state[name] = torch.from_numpy(values.copy()).reshape(value.shape)
    missing = dict(model.named_parameters()).keys() - state.keys()
    if missing or biases:
        raise ValueError(f"{bundle.manifest.name}: its graph has no {', '.join(sorted(missing)) or 'such biases'}")
    model.load_state_dict(state, strict=False)


@dataclass(frozen=True)
class Work:
    """What a network has to do."""

    flops: float
    moved: float
    """Bytes that are read and written if every operation reads its inputs and writes its outputs."""


class _BytesMoved(TorchDispatchMode):
    """Counts the bytes of the arrays that operations read and write; a view moves nothing."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            arrays = [each for each in tree_leaves((args, kwargs, out)) if isinstance(each, Tensor)]
            self.total += sum(each.numel() * each.element_size() for each in arrays)
        return out


@functools.cache
def count_work(model: Model, tiles: int, size: tuple[int, int], call: Callable[[Any], nn.Module] | None = None) -> Work:
    """Count what a network does for the tiles of a call, in fp32, without computing it.

    Parameters
    ----------
    model : Model
        The network.
    tiles : int
        Tiles of a call: they share the weights.
    size : (int, int)
        Rows and columns of a tile, halo included.
    call : callable, optional
        Makes of the network the module to count; by default it is the network itself.

    Returns
    -------
    Work
        For one of the tiles.
    """
    empty, inputs = on_no_device(model, tiles, size)
    with torch.inference_mode(), FlopCounterMode(display=False) as flops, _BytesMoved() as moved:
        (call(empty) if call else empty)(*inputs)
    return Work(flops.get_total_flops() / tiles, moved.total / tiles)


def on_no_device(model: Model, tiles: int, size: tuple[int, int]) -> tuple[nn.Module, list[Tensor]]:
    """Return a copy of a network and inputs of tiles of a size, halo included, all of them without values."""
    rows, cols = size
    examples = example_inputs(model, tiles, max(rows, cols)).values()
    inputs = [(x[..., :rows, :cols] if x.ndim > 2 else x).to("meta") for x in examples]
    return copy.deepcopy(model).eval().to("meta"), inputs
