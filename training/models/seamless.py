"""The project's own network: a 2-D U-Net that corrects the mean of the window and estimates its own error.

Days are channels. The input of the U-Net is each day's departure from the mean of the window, the masks, the mean, the
standard deviation, the number of observations and the share of saturated retrievals. The masks are not updated in the
layers: every count is taken before the first convolution. The U-Net is that of Ronneberger et al. 2015
(doi:10.1007/978-3-319-24574-4_28).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SATURATED = 0.985
"""m3 m-3; values above it are LPRM's largest value, 0.99, which marks a retrieval that reached its limit."""
BOXES = (3, 7, 17)
"""Sizes in cells of the boxes that the mean is taken over if the cell itself has no observation, smallest first."""
SIGMA_FLOOR = 0.005
"""m3 m-3, the smallest sigma: half of the step of the retrieval."""


@dataclass(frozen=True, kw_only=True)
class SeamlessConfig:
    """Sizes of a `Seamless`."""

    kind: ClassVar[str] = "seamless"
    stride: ClassVar[int] = 4
    """Cells of the input per cell of the coarsest level."""
    halo: ClassVar[int] = 32
    """Cells around an output that can change it: 20 by convolutions, 3 by pooling and 8 by the widest box, rounded up
    to a multiple of the stride."""

    window: int = 9
    """Days of the window, an odd number with day T in the middle."""
    maps: int = 32
    """Feature maps at full resolution; there are twice as many at half and three times as many at a quarter of it."""
    sm_mean: float = 0.25
    """Subtracted from soil moisture inside the graph, m3 m-3."""
    sm_std: float = 0.2
    """Divides soil moisture inside the graph, m3 m-3."""

    def __post_init__(self) -> None:
        if self.window % 2 == 0 or self.maps < 1:
            raise ValueError(f"window must be odd and maps >= 1: {self}")


def box_sum(x: Tensor, size: int) -> Tensor:
    """Return the sum over a box of `size` x `size` cells around each cell; cells beyond the edge count as 0."""
    x = F.avg_pool2d(x, (size, 1), 1, (size // 2, 0))
    return F.avg_pool2d(x, (1, size), 1, (0, size // 2)) * float(size**2)


class _Residual(nn.Module):
    """Two convolutions whose result is added to the input."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(maps, maps, 3, padding=1), nn.Conv2d(maps, maps, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(torch.relu(self.first(x))))


class Seamless(nn.Module):
    """Window network: it takes soil moisture and, if there is any, rain of days T-4..T+4 and returns day T and sigma.

    Parameters
    ----------
    config : SeamlessConfig
        The sizes.
    """

    def __init__(self, config: SeamlessConfig) -> None:
        super().__init__()
        self.config = config
        fine, half, quarter = config.maps, 2 * config.maps, 3 * config.maps
        self.stem = nn.Conv2d(2 * config.window + 5, fine, 3, padding=1)
        self.rain = nn.Conv2d(2 * config.window, fine, 3, padding=1, bias=False)
        self.mix = nn.Conv2d(fine, fine, 3, padding=1)
        self.down_half, self.at_half = nn.Conv2d(fine, half, 2, 2), _Residual(half)
        self.down_quarter, self.at_quarter = nn.Conv2d(half, quarter, 2, 2), _Residual(quarter)
        self.up_half, self.back_at_half = nn.ConvTranspose2d(quarter, half, 2, 2), _Residual(half)
        self.up_fine, self.back_at_fine = nn.ConvTranspose2d(half, fine, 2, 2), _Residual(fine)
        self.head = nn.Conv2d(fine, 2, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        for block in (self.at_half, self.at_quarter, self.back_at_half, self.back_at_fine):
            with torch.no_grad():
                block.second.weight.mul_(0.3)  # a residual block is close to the identity at the start
        nn.init.zeros_(self.rain.weight)
        nn.init.normal_(self.head.weight, std=1e-3)
        self.sigma_scale: Tensor
        self.register_buffer("sigma_scale", torch.ones(()))

    def forward(
        self, sm: Tensor, mask: Tensor, land: Tensor, precip: Tensor, precip_mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Fill day T.

        Parameters
        ----------
        sm : Tensor, shape (N, T, H, W)
            Soil moisture, m3 m-3; any value, NaN included, where `mask` is 0. H and W are multiples of `stride`.
        mask : Tensor, shape (N, T, H, W)
            1 for an observation, else 0.
        land : Tensor, shape (N, H, W)
            1 for land, else 0.
        precip : Tensor, shape (N, T, H, W)
            Precipitation, mm/day; any value where `precip_mask` is 0.
        precip_mask : Tensor, shape (N, T, H, W)
            1 for an estimate, else 0.

        Returns
        -------
        filled : Tensor, shape (N, H - 2 halo, W - 2 halo)
            Soil moisture of day T, m3 m-3; only meaningful where `reached` is 1.
        reached : Tensor, shape (N, H - 2 halo, W - 2 halo)
            1 on land with an observation of the window within 8 cells, else 0.
        sigma : Tensor, shape (N, H - 2 halo, W - 2 halo)
            Error of `filled`, m3 m-3; about 68 % of the errors against single retrievals are smaller.
        """
        filled, reached, log_sigma = self.everywhere(sm, mask, land, precip, precip_mask)
        sigma = (torch.exp(log_sigma.clamp(-8, 3)) * self.config.sm_std * self.sigma_scale).clamp(SIGMA_FLOOR, 1.0)
        edge = self.config.halo
        core = (slice(None), slice(edge, sm.shape[2] - edge), slice(edge, sm.shape[3] - edge))
        return (filled * self.config.sm_std + self.config.sm_mean)[core], reached[core], sigma[core]

    def everywhere(
        self, sm: Tensor, mask: Tensor, land: Tensor, precip: Tensor, precip_mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Fill day T on the whole tile, halo included.

        Parameters
        ----------
        sm, mask, land, precip, precip_mask : Tensor
            As in `forward`.

        Returns
        -------
        filled : Tensor, shape (N, H, W)
            Normalised soil moisture of day T, ``(sm - sm_mean) / sm_std``.
        reached : Tensor, shape (N, H, W)
            As in `forward`.
        log_sigma : Tensor, shape (N, H, W)
            Logarithm of sigma in units of `sm_std`.
        """
        config = self.config
        nothing = torch.zeros_like(sm)
        x = torch.where(mask > 0, (sm - config.sm_mean) / config.sm_std, nothing)
        total, count = x.sum(1, keepdim=True), mask.sum(1, keepdim=True)
        mean, known = total / count.clamp(min=1), count > 0
        for size in BOXES:
            around = box_sum(count, size)
            near = around > 0.5
            mean = torch.where(known, mean, torch.where(near, box_sum(total, size) / around.clamp(min=1), mean))
            known = known | near
        departure = torch.where(mask > 0, x - mean, nothing)
        spread = ((departure**2).sum(1, keepdim=True) / count.clamp(min=1) + 1e-4).sqrt()
        limit = (SATURATED - config.sm_mean) / config.sm_std
        saturated = (x > limit).to(x.dtype).sum(1, keepdim=True) / count.clamp(min=1)
        seen = torch.cat([departure, mask, mean, spread, count / config.window, saturated, land.unsqueeze(1)], dim=1)
        amount = torch.log1p(torch.where(precip_mask > 0, precip, torch.zeros_like(precip)).clamp(min=0))

        fine = torch.relu(self.stem(seen) + self.rain(torch.cat([amount, precip_mask], 1)))
        fine = torch.relu(fine + self.mix(fine))
        half = self.at_half(torch.relu(self.down_half(fine)))
        quarter = self.at_quarter(torch.relu(self.down_quarter(half)))
        half = self.back_at_half(torch.relu(half + self.up_half(quarter)))
        fine = self.back_at_fine(torch.relu(fine + self.up_fine(half)))
        correction, log_sigma = self.head(fine).to(mean.dtype).unbind(1)
        return mean[:, 0] + correction, land * known[:, 0].to(land.dtype), log_sigma
