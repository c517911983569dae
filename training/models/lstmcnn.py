"""SGD-SM 2.0: the LSTM-CNN with precipitation (doi:10.5194/essd-14-4473-2022, figure 3 and equations 4-11).

Where the paper leaves room, ``docs/decisions/002-lstm-cnn-reading.md`` says how it is read here.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from training.models.partial import PartialConv


@dataclass(frozen=True)
class LSTMCNNConfig:
    """Sizes of an `LSTMCNN`; the defaults are the published ones."""

    kind: ClassVar[str] = "lstmcnn"

    tile: int = 40
    """Height and width of a tile in cells; fixed by the fully connected layers."""
    layers: int = 4
    """Partial convolutions before, and again after, the memory."""
    maps: int = 64
    """Feature maps of the convolutions."""
    fc_maps: int = 64
    """Feature maps that enter and leave the fully connected layers."""
    memory: int = 2048
    """Length of the memory C, of h, S and P."""
    sm_mean: float = 0.25
    """Subtracted from soil moisture inside the graph, m3 m-3."""
    sm_std: float = 0.2
    """Divides soil moisture inside the graph, m3 m-3."""

    def __post_init__(self) -> None:
        if min(self.tile, self.maps, self.fc_maps, self.memory) < 1 or self.layers < 2:
            raise ValueError(f"tile, maps, fc_maps and memory must be >= 1 and layers >= 2: {self}")

    @property
    def halo(self) -> int:
        """Cells of context around what is filled: none, tiles stand side by side."""
        return 0


def _stack(maps: list[int]) -> nn.ModuleList:
    return nn.ModuleList(PartialConv(i, o, padding=(1, 1)) for i, o in itertools.pairwise(maps))


def cosines(tile: int, count: int) -> tuple[Tensor, Tensor]:
    """Return a tile's smoothest cosine patterns, (count, tile * tile), and what makes their coefficients alike.

    The coefficients of natural fields fall with frequency; `scale`, (count, 1), rises with it. Beyond ``tile * tile``
    the patterns begin again.
    """
    angle = (torch.arange(tile) + 0.5) * torch.pi / tile
    waves = sorted(((u, v) for u in range(tile) for v in range(tile)), key=lambda wave: (math.hypot(*wave), wave))
    waves = [waves[number % len(waves)] for number in range(count)]
    patterns = torch.stack([torch.outer((angle * u).cos(), (angle * v).cos()).flatten() for u, v in waves])
    scale = torch.tensor([[(1 + math.hypot(*wave)) / tile] for wave in waves])
    return patterns / patterns.norm(dim=1, keepdim=True), scale


class LSTMCNN(nn.Module):
    """Recurrent network: one day of soil moisture and rain and yesterday's memory in, the day filled and memory out.

    With ``[h, S]`` yesterday's short memory and today's encoded field::

        f, i, o = sigma(W [h, S] + b)           forget, input and output gates
        S' = sigma(W_S' [h, S] + b) * tanh(P)   candidate, weighted by the rain
        C  = f * C + i * S'                     long memory
        h  = tanh(o * C)                        short memory, decoded to today's field
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
        """Draw weights with which the memory holds the tile's cosine transform, and a signal passes from end to end.

        From random weights the fully connected layers have to find a basis of the tile first.
        """
        config, memory = self.config, self.config.memory
        basis, scale = cosines(config.tile, memory)
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
        nn.init.ones_(self.gates.bias[:memory])  # the forget gate starts open: memory lasts
        self.gates.weight.mul_(0.3)
        self.gates.weight[3 * memory :, memory:] += 1.5 * torch.eye(memory)  # each candidate sees its own coefficient
        self.rain_to_memory.weight.mul_(0.2)
        nn.init.ones_(self.rain_to_memory.bias)  # tanh(P) starts well above 0, so that candidates are written

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
        sm : (N, tile, tile), m3 m-3; anything, NaN included, where `mask` is 0
        mask : (N, tile, tile), 1 observed, 0 not
        land : (N, tile, tile), 1 land, 0 not
        precip : (N, tile, tile), mm/day; anything where `precip_mask` is 0
        precip_mask : (N, tile, tile), 1 where there is an estimate, 0 not
        h, c : (N, memory), short and long memory of the day before; 0 at the start of a chain
        seen : (N, 1), 1 once the tile has had an observation

        Returns
        -------
        filled : (N, tile, tile), m3 m-3
        reached : (N, tile, tile), land of tiles that have had an observation since the chain began
        h, c, seen : the state after this day
        """
        config = self.config
        land = land.unsqueeze(1)
        x = torch.where(mask > 0, (sm - config.sm_mean) / config.sm_std, torch.zeros_like(sm)).unsqueeze(1)
        valid = mask.unsqueeze(1)
        for layer in self.encoder:
            x, valid = layer(x, valid, land)
            x = torch.relu(x)
        encoded = self.to_memory(x.flatten(1))

        amount = torch.where(precip_mask > 0, precip, torch.zeros_like(precip)).clamp(min=0)
        rain = torch.tanh(self.rain_to_memory(torch.cat([torch.log1p(amount), precip_mask], 1).flatten(1)))
        forget, write, show, candidate = torch.sigmoid(self.gates(torch.cat([h, encoded], 1))).chunk(4, 1)
        c = forget * c + write * candidate * rain
        h = torch.tanh(show * c)

        x = self.from_memory(h).reshape(-1, config.fc_maps, config.tile, config.tile) * land
        valid = land
        for layer in self.decoder:
            x, valid = layer(x, valid, land)
            if layer is not self.decoder[-1]:
                x = torch.relu(x)
        seen = torch.maximum(seen, mask.flatten(1).amax(1, keepdim=True))
        return x[:, 0] * config.sm_std + config.sm_mean, land[:, 0] * seen.unsqueeze(2), h, c, seen
