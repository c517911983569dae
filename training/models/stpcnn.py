"""SGD-SM 1.0: the 3-D spatio-temporal partial convolutional network (doi:10.5194/essd-13-1385-2021, figure 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from training.models.partial import PartialConv


@dataclass(frozen=True, kw_only=True)
class STPCNNConfig:
    """Sizes of an `STPCNN`; the defaults are the published ones."""

    kind: ClassVar[str] = "stpcnn"

    window: int = 9
    """Days of the window, an odd number with day T in the middle."""
    layers: int = 11
    """Number of partial convolutions; also the halo, in cells."""
    maps: int = 90
    """Feature maps of every layer except the last."""
    sm_mean: float = 0.25
    """Subtracted from soil moisture inside the graph, m3 m-3."""
    sm_std: float = 0.2
    """Divides soil moisture inside the graph, m3 m-3."""

    def __post_init__(self) -> None:
        if self.window % 2 == 0 or self.layers < max(2, self.window // 2) or self.maps < 1:
            raise ValueError(f"window must be odd, layers >= max(2, window // 2), maps >= 1: {self}")

    @property
    def halo(self) -> int:
        """The number of cells of context that the network needs around the cells it fills."""
        return self.layers


class STPCNN(nn.Module):
    """Window network: it takes soil moisture of days T-4..T+4 and returns day T filled.

    The convolutions have no padding in space, so the output is the core, `halo` cells smaller on every side. A tile
    padded with ``land = 0`` gives the same result as zero padding in every layer. Time is padded with mask 0 as
    published, but only frames that can still reach day T are computed.

    Parameters
    ----------
    config : STPCNNConfig
        The sizes.
    """

    def __init__(self, config: STPCNNConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[PartialConv] = []
        frames = config.window
        for index in range(1, config.layers + 1):
            needed = min(config.window, 2 * (config.layers - index) + 1)
            last = index == config.layers
            layers.append(
                PartialConv(
                    1 if index == 1 else config.maps,
                    1 if last else config.maps,
                    padding=(1 - (frames - needed) // 2, 0, 0),
                )
            )
            frames = needed
        nn.init.xavier_normal_(layers[-1].weight, gain=0.1)  # the first outputs lie near the mean
        self.layers = nn.ModuleList(layers)

    def forward(self, sm: Tensor, mask: Tensor, land: Tensor) -> tuple[Tensor, Tensor]:
        """Fill day T.

        Parameters
        ----------
        sm : Tensor, shape (N, T, H, W)
            Soil moisture, m3 m-3; any value, NaN included, where `mask` is 0.
        mask : Tensor, shape (N, T, H, W)
            1 for an observation, else 0.
        land : Tensor, shape (N, H, W)
            1 for land, else 0.

        Returns
        -------
        filled : Tensor, shape (N, H - 2 halo, W - 2 halo)
            Soil moisture of day T, m3 m-3; only meaningful where `reached` is 1.
        reached : Tensor, shape (N, H - 2 halo, W - 2 halo)
            1 on land cells whose value depends on an observation, else 0.
        """
        x = self.normalise(sm, mask).unsqueeze(1)
        x, valid = self.through(x, mask.unsqueeze(1), land[:, None, None], 0, len(self.layers))
        return self.denormalise(x[:, 0, 0]), valid[:, 0, 0]

    def normalise(self, sm: Tensor, mask: Tensor) -> Tensor:
        """Return the first layer's input: ``(sm - sm_mean) / sm_std``, and 0 where `mask` is 0."""
        return torch.where(mask > 0, (sm - self.config.sm_mean) / self.config.sm_std, torch.zeros_like(sm))

    def denormalise(self, x: Tensor) -> Tensor:
        """Return normalised soil moisture as m3 m-3, the inverse of `normalise`."""
        return x * self.config.sm_std + self.config.sm_mean

    def through(self, x: Tensor, valid: Tensor, land: Tensor, first: int, last: int) -> tuple[Tensor, Tensor]:
        """Apply the layers from `first` to before `last`, counted from 0.

        Parameters
        ----------
        x : Tensor, shape (N, maps, T, H, W)
            Feature maps, the input of layer `first`.
        valid : Tensor, shape (N, 1, T, H, W)
            Mask of `x`.
        land : Tensor, shape (N, 1, 1, H, W)
            1 for land, else 0.
        first, last : int
            First layer to apply, and first layer not to apply.

        Returns
        -------
        x : Tensor, shape (N, maps', T', H', W')
            Feature maps; every layer makes them one cell smaller on every side.
        valid : Tensor, shape (N, 1, T', H', W')
            Mask of `x`.
        """
        for index in range(first, last):
            land = land[..., 1:-1, 1:-1]
            x, valid = self.layers[index](x, valid, land)
            if index < len(self.layers) - 1:
                x = torch.relu(x)
        return x, valid
