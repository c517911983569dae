"""The losses: the published one of the filled values, and the likelihood that sigma is trained with."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from training.models import LSTMCNN, STPCNN, Model

Share = Callable[[Tensor], Tensor]
"""Returns the mean over all processes of what a loss is divided by: a count, or a sum of weights. The mean of the
processes' gradients is then that of one process with all samples."""

ONE_SIGMA = math.erf(math.sqrt(0.5))
"""Share of a normal distribution within one standard deviation, 0.683."""
_SMALLEST = 1e-3
"""Errors below this share of `sm_std` count as this large; the step of a retrieval is 0.05 of `sm_std`."""


def alone(count: Tensor) -> Tensor:
    """Return the count itself: the `Share` of a run with one process."""
    return count


def global_local_loss(
    predicted: Tensor, truth: Tensor, labelled: Tensor, hidden: Tensor, *, eta: float = 0.1, share: Share = alone
) -> Tensor:
    """Return the sum of squared errors of the hidden cells plus `eta` times that of all labelled cells, as a mean.

    SGD-SM 1.0 (doi:10.5194/essd-13-1385-2021): equation 4 is the sum over the hidden cells, 5 that over all, 6 adds
    them. Equation 4 sums over ``1 - M``, which would include the sea; here only labelled land counts. So a hidden cell
    weighs ``1 + eta`` and a shown one ``eta``. The sum is divided by the sum of these weights, so that the learning
    rate does not depend on the number of cells.

    Parameters
    ----------
    predicted : Tensor, shape (..., H, W)
        Filled soil moisture, m3 m-3.
    truth : Tensor, shape (..., H, W)
        Observed soil moisture, m3 m-3; finite everywhere.
    labelled : Tensor, shape (..., H, W)
        1 on land cells with an observation, else 0.
    hidden : Tensor, shape (..., H, W)
        1 on labelled cells that were hidden from the network, else 0.
    eta : float
        Weight of the global term (equation 6).
    share : callable
        Mean of the sum of the weights over all processes.

    Returns
    -------
    Tensor, scalar
        The loss, (m3 m-3)^2; 0 if no cell is labelled.
    """
    weight = hidden + eta * labelled
    return ((predicted - truth) ** 2 * weight).sum() / share(weight.sum()).clamp(min=1)


def sigma_loss(error: Tensor, log_sigma: Tensor, hidden: Tensor, share: Share = alone) -> Tensor:
    """Return the loss that is smallest where 68.3 % of the absolute errors are below sigma.

    This is the negative logarithm of an asymmetric Laplace likelihood of ``log |error|``, without its constants
    (Koenker and Machado 1999, doi:10.1080/01621459.1999.10473882). Its maximum is a quantile, whatever the distribution
    of the errors is. A Gaussian likelihood would need the right tails, and retrieval errors have heavy ones.

    Parameters
    ----------
    error : Tensor, shape (..., H, W)
        Filled minus observed value, in units of `sm_std`; no gradient flows into it.
    log_sigma : Tensor, shape (..., H, W)
        Logarithm of sigma in the same units.
    hidden : Tensor, shape (..., H, W)
        1 where the cell counts, else 0.
    share : callable
        Mean of a count over all processes.

    Returns
    -------
    Tensor, scalar
        The loss, without a unit.
    """
    above = torch.log(error.detach().abs() + _SMALLEST) - log_sigma
    tilted = torch.where(above > 0, ONE_SIGMA * above, (ONE_SIGMA - 1) * above)
    return (tilted * hidden).sum() / share(hidden.sum()).clamp(min=1)


class Objective(nn.Module):
    """A network and its loss as one module: it takes a batch and returns the loss, in units of `sm_std` squared.

    Parameters
    ----------
    model : Model
        The network.
    eta : float
        Weight of the loss's global term (equation 6).
    sigma_weight : float
        Weight of `sigma_loss`, for a network that has a sigma.
    truncate : int
        Days that gradients flow back through a recurrent network; 0 is the whole sequence.
    share : callable
        Mean of a count over all processes.
    """

    def __init__(
        self, model: Model, *, eta: float, sigma_weight: float = 0.0, truncate: int = 0, share: Share = alone
    ) -> None:
        super().__init__()
        self.model, self.eta, self.sigma_weight, self.truncate, self.share = model, eta, sigma_weight, truncate, share

    def forward(self, *fields: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar; the arguments are the fields of `training.samples.Batch`, in order."""
        model, scale = self.model, self.model.config.sm_std
        if isinstance(model, LSTMCNN):
            return self._sequence_loss(model, *fields)
        sm, mask, land, truth, labelled, hidden, rain, rain_mask = fields
        truth, labelled, hidden = truth[:, 0], labelled[:, 0], hidden[:, 0]
        if isinstance(model, STPCNN):
            filled, reached = model(sm, mask, land)
            return self._fill_loss(filled, truth, labelled * reached, hidden * reached)
        context = (sm.shape[-1] - truth.shape[-1]) // 2
        counted, truth = (nn.functional.pad(field, [context] * 4) for field in (hidden, truth))
        where = counted > 0
        where[0, 0, 0] |= ~where.any()  # a batch without a hidden cell: convolutions want a cell, which does not count
        sm, mask = (field.contiguous(memory_format=torch.channels_last) for field in (sm, mask))
        normal, reached, log_sigma = model.at_cells(sm, mask, land, rain, rain_mask, where)
        reached = reached * counted[where]
        error = normal - (truth[where] - model.config.sm_mean) / scale
        count = self.share(reached.sum()).clamp(min=1)
        return (error**2 * reached).sum() / count + self.sigma_weight * sigma_loss(
            error, log_sigma, reached, self.share
        )

    def _fill_loss(self, filled: Tensor, truth: Tensor, labelled: Tensor, hidden: Tensor) -> Tensor:
        """Return the published loss of the filled values, in units of `sm_std` squared."""
        loss = global_local_loss(filled, truth, labelled, hidden, eta=self.eta, share=self.share)
        return loss / self.model.config.sm_std**2

    def _sequence_loss(self, model: LSTMCNN, *fields: Tensor) -> Tensor:
        """Return the sum over the days of a sequence (SGD-SM 2.0, doi:10.5194/essd-14-4473-2022, equation 12).

        The days are summed before the division: a cell weighs the same on every day.
        """
        sm, mask, land, truth, labelled, hidden, rain, rain_mask = fields
        h = c = sm.new_zeros(len(sm), model.config.memory)
        seen = sm.new_zeros(len(sm), 1)
        days: list[tuple[Tensor, Tensor]] = []
        for day in range(sm.shape[1]):
            if self.truncate and day % self.truncate == 0:
                h, c = h.detach(), c.detach()
            filled, reached, h, c, seen = model(
                sm[:, day], mask[:, day], land, rain[:, day], rain_mask[:, day], h, c, seen
            )
            days.append((filled, reached))
        filled, reached = (torch.stack(field, 1) for field in zip(*days, strict=True))
        return len(days) * self._fill_loss(filled, truth, labelled * reached, hidden * reached)
