"""A small network of our own that retrieves soil moisture from images and numbers of one place and time.

The architecture of the published data-fusion model (Batchu et al. 2023) is not described. This one only reads the same
stacks of fields. A source that an example does not have, all zeros, is marked as absent and counts as its mean.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from runtime.manifest import NamedInput
from runtime.retrieval.stacks import AUX, OF_SOURCE, Source, stacked_inputs


@dataclass(frozen=True)
class FusionConfig:
    """Which sources a `Fusion` reads, and its sizes."""

    kind: ClassVar[str] = "fusion"
    sources: tuple[Source, ...] = tuple(Source)
    size: int = 256
    """Rows and columns of the middle of each image that are read."""
    maps: tuple[int, ...] = (128, 192, 256)
    """Feature maps of the convolutions over each stack of images; the first has a stride of 4, the others of 2."""
    width: int = 32
    """Features of the hidden layers behind them."""

    def inputs(self) -> tuple[NamedInput, ...]:
        """Return the inputs of the network, in the order of its arguments."""
        return stacked_inputs(self.sources, self.size, absent_images=0.0)

    def groups(self) -> dict[str, list[slice]]:
        """Return the places of each source on the last axis of each input, by the input's name."""
        found: dict[str, list[slice]] = {}
        for name, by_source in OF_SOURCE.items():
            first = 0
            for source, fields in by_source.items():
                if source in self.sources:
                    found.setdefault(name, []).append(slice(first, first + len(fields)))
                    first += len(fields)
        return found


class Fusion(nn.Module):
    """Convolutions over each stack of images, joined with the single numbers, and layers down to one value.

    Parameters
    ----------
    config : FusionConfig
        Sources and sizes.
    """

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.config = config
        self.towers = nn.ModuleDict()
        features = 0
        for each in config.inputs():
            count = each.shape[-1]
            self.register_buffer(f"{each.name}_mean", torch.zeros(count))
            self.register_buffer(f"{each.name}_std", torch.ones(count))
            if each.name != AUX:
                self.towers[each.name] = _tower(count, config.maps)
            features += count if each.name == AUX else config.maps[-1]
        flags = sum(len(slices) for slices in config.groups().values())
        self.head = nn.Sequential(
            nn.Linear(features + flags, config.width),
            nn.ReLU(),
            nn.Linear(config.width, config.width),
            nn.ReLU(),
            nn.Linear(config.width, 1),
        )

    @torch.no_grad()
    def scale_to(self, examples: dict[str, Tensor], labels: Tensor) -> None:
        """Take the mean and spread of each field, and of the labels, from examples.

        Parameters
        ----------
        examples : dict of str to Tensor, shape (N, ...)
            Inputs by name.
        labels : Tensor, shape (N,)
            Soil moisture, m3 m-3.
        """
        for name, values in examples.items():
            flat = values.reshape(-1, values.shape[-1])
            self.get_buffer(f"{name}_mean").copy_(flat.mean(0))
            self.get_buffer(f"{name}_std").copy_(flat.std(0, correction=0).clamp_min(1e-3))
        last = self.head[-1]
        assert isinstance(last, nn.Linear)
        last.bias.copy_(torch.logit(labels.mean().clamp(0.01, 0.99)))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return soil moisture.

        Parameters
        ----------
        *inputs : Tensor, shape (N, rows, cols, fields) or (N, fields)
            The inputs of `FusionConfig.inputs`, in order.

        Returns
        -------
        Tensor, shape (N,)
            Soil moisture, m3 m-3, from 0 to 1.
        """
        features, groups = [], self.config.groups()
        for each, values in zip(self.config.inputs(), inputs, strict=True):
            mean, std = self.get_buffer(f"{each.name}_mean"), self.get_buffer(f"{each.name}_std")
            pixels = tuple(range(1, values.ndim - 1))
            largest = torch.maximum(values.amax(pixels), -values.amin(pixels)) if pixels else values.abs()
            found = [(largest[:, place].amax(1, keepdim=True) > 0).to(values.dtype) for place in groups[each.name]]
            means = torch.cat([mean[place] * here for place, here in zip(groups[each.name], found, strict=True)], 1)
            departure = values - means.reshape(-1, *(1 for _ in pixels), len(mean))
            if each.name == AUX:
                joined = departure / std
            else:  # the first convolution divides by the spread, which is quicker than to divide each pixel
                tower = self.towers[each.name]
                assert isinstance(tower, nn.Sequential)
                first = tower[0]
                assert isinstance(first, nn.Conv2d)
                weight = first.weight / std[:, None, None]
                joined = F.conv2d(departure.permute(0, 3, 1, 2), weight, first.bias, first.stride[0])
                joined = tower[1:](joined).mean((2, 3))
            features += [*found, joined]
        return torch.sigmoid(self.head(torch.cat(features, 1)))[:, 0]


def _tower(fields: int, maps: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(fields, maps[0], 4, stride=4), nn.ReLU()]
    for before, after in itertools.pairwise(maps):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)
