"""SGD-SM 1.0: the 3-D spatio-temporal partial convolutional network (doi:10.5194/essd-13-1385-2021, figure 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from training.models.partial import PartialConv


@dataclass(frozen=True)
class STPCNNConfig:
    """Sizes of an `STPCNN`; the defaults are the published ones."""

    kind: ClassVar[str] = "stpcnn"

    window: int = 9
    """Days looked at, centred on day T (odd)."""
    layers: int = 11
    """Partial convolutions; also the halo, in cells."""
    maps: int = 90
    """Feature maps of every layer but the last."""
    sm_mean: float = 0.25
    """Subtracted from soil moisture inside the graph, m3 m-3."""
    sm_std: float = 0.2
    """Divides soil moisture inside the graph, m3 m-3."""

    def __post_init__(self) -> None:
        if self.window % 2 == 0 or self.layers < max(2, self.window // 2) or self.maps < 1:
            raise ValueError(f"window must be odd, layers >= max(2, window // 2), maps >= 1: {self}")

    @property
    def halo(self) -> int:
        """Cells of context the network needs around what it fills."""
        return self.layers


class STPCNN(nn.Module):
    """Window network: soil moisture of days T-4..T+4 in, day T filled.

    Space is convolved without padding, so the output is the core, `halo` cells smaller on every side. A tile padded
    with ``land = 0`` gives what zero padding in every layer would. Time is padded with mask 0 as published, but only
    frames that can still reach day T are computed.
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
        sm : (N, T, H, W), m3 m-3; anything, NaN included, where `mask` is 0
        mask : (N, T, H, W), 1 observed, 0 not
        land : (N, H, W), 1 land, 0 not

        Returns
        -------
        filled : (N, H - 2 halo, W - 2 halo), m3 m-3; only meaningful where `reached` is 1
        reached : (N, H - 2 halo, W - 2 halo), 1 where the value rests on data and is on land
        """
        config = self.config
        x = torch.where(mask > 0, (sm - config.sm_mean) / config.sm_std, torch.zeros_like(sm)).unsqueeze(1)
        valid, land = mask.unsqueeze(1), land[:, None, None]
        for layer in self.layers:
            land = land[..., 1:-1, 1:-1]
            x, valid = layer(x, valid, land)
            if layer is not self.layers[-1]:
                x = torch.relu(x)
        return x[:, 0, 0] * config.sm_std + config.sm_mean, valid[:, 0, 0]
