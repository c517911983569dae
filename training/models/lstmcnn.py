"""SGD-SM 2.0: the LSTM-CNN with precipitation (doi:10.5194/essd-14-4473-2022, figures 4-5 and equations 4-11).

Where the paper is silent, ``docs/decisions/002-lstm-cnn-reading.md`` says what is done here, and why.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from training.models.partial import PartialConv

Reading = Literal["published", "rain-gated"]
"""How the memory follows from a day's soil moisture and rain; `LSTMCNN` has the equations of both."""

CENTRE = 0.5 * math.tanh(1)
"""S' of the published reading with the first weights, without observation and rain. It is subtracted before S' is
decoded, which only takes a part out of the decoder's bias: sums of numbers around 0 lose less precision."""


@dataclass(frozen=True, kw_only=True)
class LSTMCNNConfig:
    """Sizes of an `LSTMCNN`, the published ones by default, and which equations its memory follows."""

    kind: ClassVar[str] = "lstmcnn"

    reading: Reading = "rain-gated"
    """``"published"``: the paper's equations as printed. ``"rain-gated"``: those of the shipped bundle."""
    tile: int = 40
    """Height and width of a tile in cells; fixed by the fully connected layers."""
    layers: int = 4
    """Number of partial convolutions before the memory, and of those after it."""
    maps: int = 64
    """Feature maps of the convolutions."""
    fc_maps: int = 64
    """Feature maps that enter and leave the fully connected layers."""
    memory: int = 2048
    """Length of the vectors C, h, S and P."""
    sm_mean: float = 0.25
    """Subtracted from soil moisture inside the graph, m3 m-3."""
    sm_std: float = 0.2
    """Divides soil moisture inside the graph, m3 m-3."""
    rain_scale: float = 10.0
    """Divides rain inside the graph, mm/day; the rain-gated reading takes a logarithm instead."""

    def __post_init__(self) -> None:
        if self.reading not in get_args(Reading):
            raise ValueError(f"reading is {self.reading!r}; known readings: {', '.join(get_args(Reading))}")
        if self.rain_scale <= 0:
            raise ValueError(f"rain_scale is {self.rain_scale} mm/day; it must be > 0")
        if min(self.tile, self.maps, self.fc_maps, self.memory) < 1 or self.layers < 2:
            raise ValueError(f"tile, maps, fc_maps and memory must be >= 1 and layers >= 2: {self}")

    @property
    def halo(self) -> int:
        """The number of cells of context around the cells that are filled: none."""
        return 0


def _stack(maps: list[int]) -> nn.ModuleList:
    """Return partial convolutions from each number of maps to the next."""
    return nn.ModuleList(PartialConv(i, o, padding=(1, 1)) for i, o in itertools.pairwise(maps))


def cosines(tile: int, count: int) -> tuple[Tensor, Tensor]:
    """Return the smoothest cosine patterns of a tile, and factors that make their coefficients equally large.

    Parameters
    ----------
    tile : int
        Height and width of the tile in cells.
    count : int
        Number of patterns; after ``tile * tile`` patterns they repeat.

    Returns
    -------
    patterns : Tensor, shape (count, tile * tile)
        The patterns, each of length 1.
    scale : Tensor, shape (count, 1)
        A factor that rises with the frequency, because the coefficients of natural fields fall with it.
    """
    angle = (torch.arange(tile) + 0.5) * torch.pi / tile
    waves = sorted(((u, v) for u in range(tile) for v in range(tile)), key=lambda wave: (math.hypot(*wave), wave))
    waves = [waves[number % len(waves)] for number in range(count)]
    patterns = torch.stack([torch.outer((angle * u).cos(), (angle * v).cos()).flatten() for u, v in waves])
    scale = torch.tensor([[(1 + math.hypot(*wave)) / tile] for wave in waves])
    return patterns / patterns.norm(dim=1, keepdim=True), scale


class LSTMCNN(nn.Module):
    """Recurrent network: it takes a day's soil moisture and rain and the memory of the day before, and fills the day.

    Here ``[h, S]`` is the short memory of the day before, joined with the encoded field of the day, and P is the rain's
    fully connected layer. The published reading::

        f = sigma(W_f [h, S] + b_f)             forget gate
        i = sigma(W_i [h, S] + b_i)             input gate
        o = sigma(W_S' [h, S] + b_S')           output gate: the paper does not define o
        C = f * C + i * tanh(W_C [h, S] + b_C)  long memory
        S' = o * tanh(P)                        decoded to the field of the day
        h = tanh(o * C)                         short memory, which the next day reads

    The rain-gated reading::

        f, i, o = sigma(W [h, S] + b)           forget, input and output gates
        S' = sigma(W_S' [h, S] + b) * tanh(P)   candidate, weighted by the rain
        C  = f * C + i * S'                     long memory
        h  = tanh(o * C)                        short memory, decoded to the field of the day

    Parameters
    ----------
    config : LSTMCNNConfig
        The sizes and the reading.
    """

    def __init__(self, config: LSTMCNNConfig) -> None:
        super().__init__()
        self.config = config
        inner = [config.maps] * (config.layers - 1)
        cells = config.tile**2
        self.encoder = _stack([1, *inner, config.fc_maps])
        self.to_memory = nn.Linear(config.fc_maps * cells, config.memory)
        self.rain_to_memory = nn.Linear(2 * cells, config.memory)
        self.gates = nn.Linear(2 * config.memory, 4 * config.memory)
        self.from_memory = nn.Linear(config.memory, config.fc_maps * cells)
        self.decoder = _stack([config.fc_maps, *inner, 1])
        self._start_as_cosines()

    @torch.no_grad()
    def _start_as_cosines(self) -> None:
        """Set first weights with which the memory holds the tile's cosine transform.

        With random weights, the fully connected layers have to learn a basis of the tile first.
        """
        config, memory = self.config, self.config.memory
        basis, scale = cosines(config.tile, memory)
        if config.reading == "published":
            # S' is positive: its mean decodes to a small field, with little loss of precision, if signs differ.
            basis[1::2] *= -1
        for weight, values in (
            (self.to_memory.weight, basis * scale),
            (self.from_memory.weight.T, 0.4 * basis / scale),
        ):
            nn.init.normal_(weight, std=1e-3)
            for number, row in enumerate(values):
                first = (number * config.fc_maps // memory) * config.tile**2
                weight[number, first : first + config.tile**2] += row
        nn.init.zeros_(self.from_memory.bias)
        nn.init.zeros_(self.gates.bias)
        nn.init.ones_(self.gates.bias[:memory])  # the forget gate is open at the start, so memory is kept
        self.gates.weight.mul_(0.3)
        # Each candidate depends on its own coefficient.
        self.gates.weight[3 * memory :, memory:] += 1.5 * torch.eye(memory)
        self.rain_to_memory.weight.mul_(0.2)
        # tanh(P) is well above 0 at the start, so that candidates enter the memory.
        nn.init.ones_(self.rain_to_memory.bias)
        if config.reading == "published":
            # S' depends on its own coefficient of the day and of the day before.
            self.gates.weight[2 * memory : 3 * memory] += 1.5 * torch.eye(memory).repeat(1, 2)

    def forward(
        self,
        sm: Tensor,
        mask: Tensor,
        land: Tensor,
        precip: Tensor,
        precip_mask: Tensor,
        h: Tensor,
        c: Tensor,
        seen: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Advance the memory by one day and fill it.

        Parameters
        ----------
        sm : Tensor, shape (N, tile, tile)
            Soil moisture, m3 m-3; any value, NaN included, where `mask` is 0.
        mask : Tensor, shape (N, tile, tile)
            1 for an observation, else 0.
        land : Tensor, shape (N, tile, tile)
            1 for land, else 0.
        precip : Tensor, shape (N, tile, tile)
            Precipitation, mm/day; any value where `precip_mask` is 0.
        precip_mask : Tensor, shape (N, tile, tile)
            1 for an estimate, else 0.
        h, c : Tensor, shape (N, memory)
            Short and long memory of the day before; 0 at the start of a chain.
        seen : Tensor, shape (N, 1)
            1 if the tile has had an observation since the start of the chain, else 0.

        Returns
        -------
        filled : Tensor, shape (N, tile, tile)
            Soil moisture, m3 m-3.
        reached : Tensor, shape (N, tile, tile)
            1 on land of tiles that have had an observation since the start of the chain, else 0.
        h, c, seen : Tensor
            The state after this day, with the shapes of the arguments.
        """
        config = self.config
        land = land.unsqueeze(1)
        x = torch.where(mask > 0, (sm - config.sm_mean) / config.sm_std, torch.zeros_like(sm)).unsqueeze(1)
        valid = mask.unsqueeze(1)
        for layer in self.encoder:
            x, valid = layer(x, valid, land)
            x = torch.relu(x)
        gates = self.gates(torch.cat([h, self.to_memory(x.flatten(1))], 1))
        amount = torch.where(precip_mask > 0, precip, torch.zeros_like(precip)).clamp(min=0)
        is_published = config.reading == "published"
        amount = amount / config.rain_scale if is_published else torch.log1p(amount)
        rain = torch.tanh(self.rain_to_memory(torch.cat([amount, precip_mask], 1).flatten(1)))
        if is_published:
            forget, write, show = torch.sigmoid(gates[:, : 3 * config.memory]).chunk(3, 1)
            c = forget * c + write * torch.tanh(gates[:, 3 * config.memory :])
        else:
            forget, write, show, candidate = torch.sigmoid(gates).chunk(4, 1)
            c = forget * c + write * candidate * rain
        h = torch.tanh(show * c)

        decoded = show * rain - CENTRE if is_published else h
        x = self.from_memory(decoded).reshape(-1, config.fc_maps, config.tile, config.tile) * land
        valid = land
        for layer in self.decoder:
            x, valid = layer(x, valid, land)
            if layer is not self.decoder[-1]:
                x = torch.relu(x)
        seen = torch.maximum(seen, mask.flatten(1).amax(1, keepdim=True))
        return x[:, 0] * config.sm_std + config.sm_mean, land[:, 0] * seen.unsqueeze(2), h, c, seen
