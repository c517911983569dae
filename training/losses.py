"""What is minimised: the published loss, and the likelihood that sigma is trained by."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from training.models import LSTMCNN, STPCNN, Model

Share = Callable[[Tensor], Tensor]
"""Returns the mean of a count over all processes; their mean gradient is then that of one process with all samples."""

ONE_SIGMA = math.erf(math.sqrt(0.5))
"""Share of a normal distribution within one standard deviation, 0.683."""
_SMALLEST = 1e-3
"""Errors below this share of `sm_std` count as this large: the retrieval's own step is 0.05 of it."""


def alone(count: Tensor) -> Tensor:
    """Return the count itself: there is one process."""
    return count


def global_local_loss(
    predicted: Tensor, truth: Tensor, labelled: Tensor, hidden: Tensor, eta: float = 0.1, share: Share = alone
) -> Tensor:
    """Return the mean squared error of the hidden cells plus `eta` times that of all labelled cells.

    SGD-SM 1.0 (doi:10.5194/essd-13-1385-2021): equation 4 is the term of the hidden cells, 5 that of all, 6 their sum.
    Equation 4 sums over ``1 - M``, which would include the sea; here only labelled land counts.

    Parameters
    ----------
    predicted, truth : (..., H, W), m3 m-3; `truth` is finite everywhere
    labelled : (..., H, W), 1 on land cells with an observation
    hidden : (..., H, W), 1 on labelled cells the network was not shown
    eta : weight of the global term (equation 6)
    """
    square = (predicted - truth) ** 2
    local = (square * hidden).sum() / share(hidden.sum()).clamp(min=1)
    everywhere = (square * labelled).sum() / share(labelled.sum()).clamp(min=1)
    return local + eta * everywhere


def sigma_loss(error: Tensor, log_sigma: Tensor, hidden: Tensor, share: Share = alone) -> Tensor:
    """Return the loss whose minimum is the sigma that 68.3 % of absolute errors lie within.

    The negative logarithm of an asymmetric Laplace likelihood of ``log |error|``, without its constants (Koenker and
    Machado 1999, doi:10.1080/01621459.1999.10473882): its maximum is a quantile whatever the errors' distribution is. A
    Gaussian likelihood would have to be right about the tails, and retrieval errors have heavy ones.

    Parameters
    ----------
    error : (..., H, W), in units of `sm_std`; no gradient flows into it
    log_sigma : (..., H, W), logarithm of sigma in the same units
    hidden : (..., H, W), 1 where it counts
    """
    above = torch.log(error.detach().abs() + _SMALLEST) - log_sigma
    tilted = torch.where(above > 0, ONE_SIGMA * above, (ONE_SIGMA - 1) * above)
    return (tilted * hidden).sum() / share(hidden.sum()).clamp(min=1)


class Objective(nn.Module):
    """A network and its loss as one module: a batch in, its loss out, in units of the network's normalisation.

    Parameters
    ----------
    eta : float
        Weight of the global term (equation 6).
    sigma_weight : float
        Weight of `sigma_loss`, for a network that has a sigma.
    truncate : int
        Days that gradients flow back through a recurrent network; 0 is all of the sequence.
    """

    def __init__(
        self, model: Model, eta: float, sigma_weight: float = 0.0, truncate: int = 0, share: Share = alone
    ) -> None:
        super().__init__()
        self.model, self.eta, self.sigma_weight, self.truncate, self.share = model, eta, sigma_weight, truncate, share

    def forward(self, *fields: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar; the arguments are the fields of `training.samples.Batch`, in order."""
        model, scale = self.model, self.model.config.sm_std
        if isinstance(model, LSTMCNN):
            return self._sequence(model, *fields)
        sm, mask, land, truth, labelled, hidden, rain, rain_mask = fields
        truth, labelled, hidden = truth[:, 0], labelled[:, 0], hidden[:, 0]
        if isinstance(model, STPCNN):
            filled, reached = model(sm, mask, land)
            return self._published(filled, truth, labelled * reached, hidden * reached)
        context = (sm.shape[-1] - truth.shape[-1]) // 2
        core = (slice(None), slice(context, sm.shape[-2] - context), slice(context, sm.shape[-1] - context))
        normal, reached, log_sigma = (field[core] for field in model.everywhere(sm, mask, land, rain, rain_mask))
        hidden, labelled = hidden * reached, labelled * reached
        filled = normal * scale + model.config.sm_mean
        loss = self._published(filled, truth, labelled, hidden)
        return loss + self.sigma_weight * sigma_loss((filled - truth) / scale, log_sigma, hidden, self.share)

    def _published(self, filled: Tensor, truth: Tensor, labelled: Tensor, hidden: Tensor) -> Tensor:
        return global_local_loss(filled, truth, labelled, hidden, self.eta, self.share) / self.model.config.sm_std**2

    def _sequence(self, model: LSTMCNN, *fields: Tensor) -> Tensor:
        """Return the sum over the days of a sequence (SGD-SM 2.0, doi:10.5194/essd-14-4473-2022, equation 12)."""
        sm, mask, land, truth, labelled, hidden, rain, rain_mask = fields
        h = c = sm.new_zeros(len(sm), model.config.memory)
        seen = sm.new_zeros(len(sm), 1)
        total = sm.new_zeros(())
        for day in range(sm.shape[1]):
            if self.truncate and day % self.truncate == 0:
                h, c = h.detach(), c.detach()
            filled, reached, h, c, seen = model(
                sm[:, day], mask[:, day], land, rain[:, day], rain_mask[:, day], h, c, seen
            )
            total = total + self._published(filled, truth[:, day], labelled[:, day] * reached, hidden[:, day] * reached)
        return total
