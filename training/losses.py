"""The published loss (SGD-SM 1.0, equations 4-6; SGD-SM 2.0, equation 12 sums it over a sequence)."""

from __future__ import annotations

from torch import Tensor


def global_local_loss(predicted: Tensor, truth: Tensor, labelled: Tensor, hidden: Tensor, eta: float = 0.1) -> Tensor:
    """Return the mean squared error of the hidden cells plus `eta` times that of all labelled cells.

    The paper's equation 4 sums over ``1 - M``, which would include the sea; here only labelled land counts.

    Parameters
    ----------
    predicted, truth : (..., H, W), m3 m-3; `truth` is finite everywhere
    labelled : (..., H, W), 1 on land cells with an observation
    hidden : (..., H, W), 1 on labelled cells the network was not shown
    eta : weight of the global term (equation 6)
    """
    square = (predicted - truth) ** 2
    local = (square * hidden).sum() / hidden.sum().clamp(min=1)
    everywhere = (square * labelled).sum() / labelled.sum().clamp(min=1)
    return local + eta * everywhere
