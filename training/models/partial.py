"""Partial convolution: a convolution that uses valid cells only, and returns which cells it reached.

Liu et al. 2018 (ECCV), as used in SGD-SM 1.0, doi:10.5194/essd-13-1385-2021, equations 2 and 3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PartialConv(nn.Module):
    """One partial convolution with a kernel of 3 along every axis, and its mask update.

    Equation 2: ``x' = W (x * m) * window / sum(m) + b`` if the window holds a valid cell, else 0.
    Equation 3: ``m' = (sum(m) > 0) * land``.

    Parameters
    ----------
    in_maps, out_maps : int
        Number of feature maps of the input and of the output.
    padding : tuple of int
        Cells added on both sides of each axis, with mask 0. Its length, 2 or 3, is the number of axes. An axis with
        padding 0 becomes 2 cells shorter.
    """

    def __init__(self, in_maps: int, out_maps: int, padding: tuple[int, ...]) -> None:
        super().__init__()
        kernel = (3,) * len(padding)
        self.padding = list(padding)
        self.window = float(3 ** len(padding))
        self.weight = nn.Parameter(torch.empty(out_maps, in_maps, *kernel))
        self.bias = nn.Parameter(torch.zeros(out_maps))
        self.ones: Tensor
        self.register_buffer("ones", torch.ones(1, 1, *kernel), persistent=False)
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        convolve = F.conv2d if len(self.padding) == 2 else F.conv3d
        return convolve(x, weight, padding=self.padding)

    def forward(self, x: Tensor, mask: Tensor, land: Tensor) -> tuple[Tensor, Tensor]:
        """Convolve the valid cells and update the mask.

        Parameters
        ----------
        x : Tensor, shape (N, in_maps, [T,] H, W)
            Feature maps; 0 wherever `mask` is 0.
        mask : Tensor, shape (N, 1, [T,] H, W)
            1 for a valid cell, else 0.
        land : Tensor, shape (N, 1, [1,] H', W')
            1 for land, else 0; of the output's height and width.

        Returns
        -------
        x' : Tensor, shape (N, out_maps, [T',] H', W')
            Feature maps; 0 wherever m' is 0.
        m' : Tensor, shape (N, 1, [T',] H', W')
            1 for a cell that was reached, else 0.
        """
        with torch.no_grad():
            count = self._convolve(mask, self.ones)
            ratio = self.window / count.clamp(min=1.0)
            updated = (count > 0).to(x.dtype) * land
        bias = self.bias.view(1, -1, *([1] * len(self.padding)))
        return (self._convolve(x, self.weight) * ratio + bias) * updated, updated
