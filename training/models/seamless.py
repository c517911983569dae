"""The project's own network: a 2-D U-Net and a regression that correct a recency-weighted mean and estimate the error.

Days are not channels. What the network sees of the window are weighted means with three decay times, the spread, limits
and counts of the observations, and the departures of near days from the weighted mean, averaged over boxes of several
sizes. All of them are masked averages, so that gaps need no mask update. A U-Net (Ronneberger et al. 2015,
doi:10.1007/978-3-319-24574-4_28) adds, at half resolution, what convolutions learn from the same fields; a
regression reads both, cell by cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SATURATED = 0.985
"""m3 m-3; values above it are LPRM's largest value, 0.99, which marks a retrieval that reached its limit."""
DRY = 0.006
"""m3 m-3; values below it are retrievals at their lower limit, 0."""
DECAYS = (2.0, 1.0, 6.0)
"""Decay times of the weighted means, days; the first is the mean that is corrected."""
BOXES = (3, 7, 15)
"""Sizes in cells of the boxes that the mean is taken over if the cell itself has no observation, smallest first."""
SIGMA_FLOOR = 0.005
"""m3 m-3, the smallest sigma: half of the step of the retrieval."""
_NEAR_DAYS = 4
"""Days before and after T whose departures are read one by one."""
_CELL_BOXES = (3, 7)
"""Sizes in cells of the boxes around each cell in which the departures of day T are averaged."""
_HALF_BOX, _WIDE_BOX = 5, 7
"""Sizes in cells of half the resolution of the boxes for all near days, and for day T."""
_LEAST_WEIGHT = 1e-3
"""No observation of the window has a smaller weight: half precision holds it, and no sum of weights is below it."""
_LEAST_SHARE = 1e-3
"""Smaller shares of observed cells count as this."""
_CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Row and column of the four cells in each cell of half the resolution, in the order ``2 * row + column``."""


@dataclass(frozen=True, kw_only=True)
class SeamlessConfig:
    """Sizes of a `Seamless`."""

    kind: ClassVar[str] = "seamless"
    stride: ClassVar[int] = 8
    """Cells of the input per cell of the coarsest level."""
    halo: ClassVar[int] = 64
    """Cells around an output that can change it: 7 by the widest box, 7 by pooled boxes, 38 by convolutions and 8 by
    pooling, in multiples of `stride`."""
    before: int = 12
    """Days of the window before day T."""
    after: int = 4
    """Days of the window after day T."""
    maps: tuple[int, ...] = (48, 64, 64)
    """Feature maps of the U-Net at half, quarter and eighth resolution."""
    width: int = 128
    """Width of the regression."""
    dropout: float = 0.2
    """Share of the regression's units, and a third of it of the feature maps, that are left out in training."""
    sm_mean: float = 0.0
    """Subtracted from soil moisture inside the graph, m3 m-3."""
    sm_std: float = 0.2
    """Divides soil moisture inside the graph, m3 m-3."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "maps", tuple(self.maps))
        if len(self.maps) != 3 or min(self.maps) < 1 or self.width < 1:
            raise ValueError(f"maps must be three numbers >= 1, and width >= 1: {self}")
        if min(self.before, self.after) < _NEAR_DAYS:
            raise ValueError(f"before and after must be at least {_NEAR_DAYS} days: {self}")

    @property
    def window(self) -> int:
        """Number of days of the window."""
        return self.before + 1 + self.after

    @property
    def offsets(self) -> tuple[int, ...]:
        """The days of the window, relative to day T."""
        return tuple(range(-self.before, self.after + 1))


class _Fields(NamedTuple):
    """What the network sees of the window; tensors of shape (N, maps, H, W) without gradients."""

    cell: Tensor
    """Features of each cell."""
    half: Tensor
    """Features at half resolution."""
    prior: Tensor
    """The weighted mean that is corrected, normalised."""
    known: Tensor
    """1 where the weighted mean has an observation, at the cell or in a box around it."""
    level: Tensor
    """Spread of the departures and weighted mean at half resolution, normalised."""
    pooled: Tensor
    """Departures of near days at half resolution, summed over observed cells and divided by all cells; then the shares
    of observed cells of these days."""


def _box(x: Tensor, size: int) -> Tensor:
    """Return the mean over a box of `size` x `size` cells around each cell; cells beyond the edge count as 0."""
    x = F.avg_pool2d(x, (size, 1), 1, (size // 2, 0))
    return F.avg_pool2d(x, (1, size), 1, (0, size // 2))


def _sum_over_days(x: Tensor, weights: Tensor) -> Tensor:
    """Return sums over the days of (N, T, H, W), one map per row of `weights`."""
    return F.conv2d(x, weights[:, :, None, None].to(x.dtype))


def _mean_of_observed(total: Tensor, share: Tensor) -> Tensor:
    """Return the mean over the observed cells, 0 where there are none."""
    return total / share.clamp(min=_LEAST_SHARE)


def _difference(total: Tensor, share: Tensor, prior: Tensor) -> Tensor:
    """Return the mean over the observed cells around minus this cell's weighted mean, 0 where there are none.

    It tells what the neighbours are worth where the cell's own weighted mean rests on little.
    """
    return (total - prior * share) / share.clamp(min=_LEAST_SHARE)


def _together(corners: list[Tensor]) -> Tensor:
    """Put maps of the `_CORNERS` at half resolution, (N, maps, H/2, W/2) each, together at full resolution."""
    n, maps, rows, cols = corners[0].shape
    blocks = torch.stack(corners, 2).view(n, maps, 2, 2, rows, cols)
    return blocks.permute(0, 1, 4, 2, 5, 3).reshape(n, maps, 2 * rows, 2 * cols)


class _Residual(nn.Module):
    """Two convolutions whose result is added to the input."""

    def __init__(self, maps: int, dropout: float) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(maps, maps, 3, padding=1), nn.Conv2d(maps, maps, 3, padding=1)
        self.drop = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(self.drop(torch.relu(self.first(x)))))


class Seamless(nn.Module):
    """Window network: soil moisture and, if there is any, rain of the days of the window in; day T and sigma out.

    Parameters
    ----------
    config : SeamlessConfig
        The sizes.
    """

    def __init__(self, config: SeamlessConfig) -> None:
        super().__init__()
        self.config = config
        near, maps, width = 2 * _NEAR_DAYS + 1, config.maps, config.width
        of_cells, of_half = 2 * len(DECAYS) + 8 + 4 * len(_CELL_BOXES), 3 * near + 2
        self.stem = nn.Conv2d(of_cells + of_half, maps[0], 3, padding=1)
        self.rain = nn.Conv2d(2 * near, maps[0], 3, padding=1, bias=False)
        coarser = range(len(maps) - 1)
        self.down = nn.ModuleList(nn.Conv2d(maps[k], maps[k + 1], 2, 2) for k in coarser)
        self.inject = nn.ModuleList(nn.Conv2d(3 * near + 2, maps[k + 1], 1, bias=False) for k in coarser)
        self.at_coarse = nn.ModuleList(_Residual(maps[k + 1], config.dropout / 3) for k in coarser)
        self.up = nn.ModuleList(nn.ConvTranspose2d(maps[k + 1], maps[k], 2, 2) for k in coarser)
        self.back = nn.ModuleList(_Residual(maps[k], config.dropout / 3) for k in coarser)
        self.to_corners = nn.ModuleList(nn.Conv2d(maps[0] + of_half, width, 1, bias=False) for _ in _CORNERS)
        self.drop = nn.Dropout(config.dropout)
        self.first = nn.Conv2d(of_cells, width, 1)
        self.second = nn.Conv2d(width, width, 1)
        self.head = nn.Conv2d(width, 2, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        for weight in self.to_corners.parameters():
            nn.init.normal_(weight, std=(2 / (len(_CORNERS) * width)) ** 0.5)
        for block in (*self.at_coarse, *self.back):
            with torch.no_grad():
                block.second.weight.mul_(0.3)  # a residual block is close to the identity at the start
        nn.init.zeros_(self.rain.weight)
        nn.init.normal_(self.head.weight, std=1e-3)
        self.sigma_scale: Tensor
        self.register_buffer("sigma_scale", torch.ones(()))
        self.sigma_power: Tensor
        self.register_buffer("sigma_power", torch.ones(()))

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
            1 on land with an observation of the window within 7 cells, else 0.
        sigma : Tensor, shape (N, H - 2 halo, W - 2 halo)
            Error of `filled`, m3 m-3; about 68 % of the errors against single retrievals are smaller.
        """
        fields = self._look(sm, mask, land)
        edge, half = self.config.halo, self.config.halo // 2
        core = (..., slice(edge, sm.shape[2] - edge), slice(edge, sm.shape[3] - edge))
        around = self._surroundings(fields, precip, precip_mask)
        around = around[..., half : around.shape[2] - half, half : around.shape[3] - half]
        cell = fields.cell[core]
        corners = [
            self._read(to_corner(around), cell[..., row::2, col::2])
            for to_corner, (row, col) in zip(self.to_corners, _CORNERS, strict=True)
        ]
        correction, log_sigma = _together(corners).float().unbind(1)
        filled = (fields.prior[core][:, 0] + correction) * self.config.sm_std + self.config.sm_mean
        sigma = (torch.exp(log_sigma.clamp(-8, 3)) * self.config.sm_std) ** self.sigma_power * self.sigma_scale
        sigma = sigma.clamp(SIGMA_FLOOR, 1.0)
        return filled, (land * fields.known[:, 0])[core], sigma

    def at_cells(
        self, sm: Tensor, mask: Tensor, land: Tensor, precip: Tensor, precip_mask: Tensor, where: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Fill some cells of day T, for training: the regression is computed for these only.

        Parameters
        ----------
        sm, mask, land, precip, precip_mask : Tensor
            As in `forward`.
        where : Tensor, bool, shape (N, H, W)
            The cells.

        Returns
        -------
        filled : Tensor, shape (cells,)
            Normalised soil moisture of day T, ``(sm - sm_mean) / sm_std``.
        reached : Tensor, shape (cells,)
            As in `forward`.
        log_sigma : Tensor, shape (cells,)
            Logarithm of sigma in units of `sm_std`, before `sigma_power` and `sigma_scale`.
        """
        no_tf32 = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with torch.autocast(sm.device.type, enabled=False), no_tf32:  # averages are taken in full precision
            fields = self._look(sm, mask, land)
        around = self._surroundings(fields, precip, precip_mask)
        sample, row, col = where.nonzero(as_tuple=True)
        of_half = around.permute(0, 2, 3, 1)[sample, row // 2, col // 2].T[None, :, :, None]
        of_corners = torch.cat([to_corner(of_half) for to_corner in self.to_corners])[..., 0]
        corner, number = 2 * (row % 2) + col % 2, torch.arange(len(row), device=row.device)
        around, cell = of_corners[corner, :, number], fields.cell.permute(0, 2, 3, 1)[where]
        correction, log_sigma = self._read(*(x.T[None, :, :, None] for x in (around, cell)))[0, :, :, 0].float()
        return fields.prior[:, 0][where] + correction, (land * fields.known[:, 0])[where], log_sigma

    @torch.no_grad()
    def _look(self, sm: Tensor, mask: Tensor, land: Tensor) -> _Fields:
        """Return the masked averages of the window."""
        config = self.config
        nothing = sm.new_zeros(())
        x = torch.where(mask > 0, (sm - config.sm_mean) / config.sm_std, nothing)
        age = torch.tensor(config.offsets, dtype=x.dtype, device=x.device).abs()
        by_age = torch.stack([torch.exp(-age / decay).clamp(min=_LEAST_WEIGHT) for decay in DECAYS])
        weights, totals = _sum_over_days(mask, by_age), _sum_over_days(x, by_age)
        means = totals / weights.clamp(min=_LEAST_WEIGHT)
        sums, prior = torch.cat([totals[:, :1], weights[:, :1]], 1), means[:, :1]
        known = (weights[:, :1] > 0).to(x.dtype)
        around = {size: _box(sums * size**2, size) for size in BOXES}
        for box in around.values():
            near = (box[:, 1:] > _LEAST_WEIGHT / 2).to(x.dtype) * (1 - known)
            prior = torch.where(near > 0, box[:, :1] / box[:, 1:].clamp(min=_LEAST_WEIGHT), prior)
            known = known + near
        departure = x - prior * mask
        slow = by_age[-1:]
        slow_weight = weights[:, -1:].clamp(min=_LEAST_WEIGHT)
        spread = (_sum_over_days(departure**2, slow) / slow_weight + 1e-4).sqrt()
        saturated, dry = ((v - config.sm_mean) / config.sm_std for v in (SATURATED, DRY))
        at_limit = ((x > saturated).to(x.dtype), mask * (x < dry).to(x.dtype))
        cell = [prior, means[:, 1:] - means[:, :1], weights, spread]
        cell += [departure.amax(1, keepdim=True), departure.amin(1, keepdim=True)]
        cell += [_sum_over_days(hit, slow) / slow_weight for hit in at_limit]
        cell += [land.unsqueeze(1), known]
        today, days = config.before, 2 * _NEAR_DAYS + 1
        now = torch.cat([field[:, today : today + 1] for field in (departure, x, mask)], 1)
        for size in _CELL_BOXES:
            total, value, share = _box(now, size).chunk(3, 1)
            cell += [_mean_of_observed(total, share), share]
            long_value, long_weight = around[size].chunk(2, 1)
            cell += [_difference(value, share, prior), _difference(long_value, long_weight, prior)]
        near_days = slice(today - _NEAR_DAYS, today + _NEAR_DAYS + 1)
        pooled = torch.cat([F.avg_pool2d(field[:, near_days], 2) for field in (departure, mask, x)], 1)
        pooled_prior = F.avg_pool2d(prior, 2)
        total, share, value = _box(pooled, _HALF_BOX).chunk(3, 1)
        wide_total, wide_share = _box(pooled[:, _NEAR_DAYS : 2 * days : days], _WIDE_BOX).chunk(2, 1)
        half = [_mean_of_observed(total, share), share, _mean_of_observed(wide_total, wide_share), wide_share]
        half.append(_difference(value, share, pooled_prior))
        cell.append(prior - F.interpolate(pooled_prior, scale_factor=2.0))
        level = torch.cat([F.avg_pool2d(spread, 2), pooled_prior], 1)
        return _Fields(torch.cat(cell, 1), torch.cat(half, 1), prior, known, level, pooled[:, : 2 * days])

    def _surroundings(self, fields: _Fields, precip: Tensor, precip_mask: Tensor) -> Tensor:
        """Return what the regression reads at half resolution: U-Net and features; (N, maps, H/2, W/2)."""
        today = self.config.before
        near = slice(today - _NEAR_DAYS, today + _NEAR_DAYS + 1)
        precip, precip_mask = precip[:, near], precip_mask[:, near]
        amount = torch.log1p(torch.where(precip_mask > 0, precip, precip.new_zeros(())).clamp(min=0))
        rain = F.avg_pool2d(torch.cat([amount, precip_mask], 1), 2)
        maps = [torch.relu(self.stem(torch.cat([F.avg_pool2d(fields.cell, 2), fields.half], 1)) + self.rain(rain))]
        pooled, level = fields.pooled, fields.level
        for down, inject, residual in zip(self.down, self.inject, self.at_coarse, strict=True):
            pooled, level = F.avg_pool2d(pooled, 2), F.avg_pool2d(level, 2)
            (total, share), (wide_total, wide_share) = pooled.chunk(2, 1), _box(pooled, 3).chunk(2, 1)
            means = [_mean_of_observed(total, share), share, _mean_of_observed(wide_total, wide_share), level]
            maps.append(residual(torch.relu(down(maps[-1]) + inject(torch.cat(means, 1)))))
        x = maps.pop()
        for up, back in zip(reversed(self.up), reversed(self.back), strict=True):
            x = back(torch.relu(maps.pop() + up(x)))
        return torch.cat([x, fields.half], 1)

    def _read(self, around: Tensor, cell: Tensor) -> Tensor:
        """Return the correction of the weighted mean, and the logarithm of sigma; maps of the cells given.

        Parameters
        ----------
        around : Tensor, shape (N, width, rows, cols)
            What half resolution adds to the first layer, after `to_corners`.
        cell : Tensor, shape (N, features, rows, cols)
            The features of the cells.
        """
        x = self.drop(torch.relu(around + self.first(cell)))
        read: Tensor = self.head(self.drop(torch.relu(self.second(x))))
        return read
