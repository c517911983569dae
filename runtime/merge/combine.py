"""Make one field of the fields of several sensors, weighted by their errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from runtime.common.grid import Floats
from runtime.fill.result import Filled


@dataclass(frozen=True)
class SensorField:
    """What one sensor saw on a day."""

    field: Floats
    """Shape (rows, cols), mapped to the reference, m3 m-3, NaN for a gap."""
    error: NDArray[np.float64]
    """Shape (rows,): error of its values, m3 m-3; NaN where it is not known."""
    bit: int
    """The sensor's bit in `MergedField.source`."""


@dataclass(frozen=True)
class MergedField:
    """What all sensors saw on a day; every field has the grid's shape."""

    field: Floats
    """m3 m-3, NaN where none saw the cell."""
    error: Floats
    """Error of `field`, m3 m-3; NaN where none saw the cell or the error is not known."""
    excess: Floats
    """By how much the variance of that error is larger than that of the reference, (m3 m-3)2; at least 0, NaN where
    `error` is."""
    source: NDArray[np.int16]
    """The bits of the sensors that saw the cell."""


def merge_fields(parts: Sequence[SensorField], reference_error: NDArray[np.float64]) -> MergedField:
    """Return the mean of the sensors that saw each cell, weighted by the inverse of their error variances.

    With independent errors that is the mean with the smallest error: its variance is the inverse of the weights' sum.
    A cell that one sensor saw has the value of that sensor, bit for bit.

    Parameters
    ----------
    parts : sequence of SensorField
        The sensors; at least one.
    reference_error : float64 array, shape (rows,)
        Error of the reference sensor, m3 m-3, with which the network's own sigma was made.
    """
    if len(parts) == 1:
        field = parts[0].field
        error = np.broadcast_to(parts[0].error[:, None], field.shape)
    else:
        total, weighted = np.zeros(parts[0].field.shape), np.zeros(parts[0].field.shape)
        count = np.zeros(parts[0].field.shape, np.int16)
        single = np.full(parts[0].field.shape, np.nan, np.float32)
        for part in parts:
            seen = np.isfinite(part.field)
            weight = np.where(seen, part.error[:, None] ** -2.0, 0)
            total += weight
            weighted += weight * np.where(seen, part.field, 0)
            count += seen
            single = np.where(seen, part.field, single)
        with np.errstate(invalid="ignore", divide="ignore"):
            field = np.where(count > 1, weighted / total, single).astype(np.float32)
            error = total**-0.5
    error = np.where(np.isfinite(field), error, np.nan)
    source = np.zeros(field.shape, np.int16)
    for part in parts:
        source |= np.isfinite(part.field).astype(np.int16) << part.bit
    excess = (error**2 - reference_error[:, None] ** 2).clip(min=0)
    return MergedField(field, error.astype(np.float32), excess.astype(np.float32), source)


def add_input_errors(filled: Filled, today: MergedField | None, window: Sequence[MergedField]) -> Filled:
    """Return a filled day whose uncertainty knows the errors of the sensors that it was made from.

    An observed cell gets the error of its merged value: that of its sensor after the transfer, or less if several saw
    it. The sigma of a filled cell becomes ``sqrt(sigma**2 + excess)``. `excess` is the mean, over the days of the
    window on which the cell was seen, of the variance by which the error of the merged value is larger than that of the
    reference: the network's sigma was made for the reference's errors, so it grows if noisier or badly mapped sensors
    were read instead, and never shrinks. A cell that was never seen in the window gets the mean of those that were.

    Parameters
    ----------
    filled : Filled
        The day as the network filled it.
    today : MergedField or None
        The day's own merged field; None for a day without soil moisture.
    window : sequence of MergedField
        The merged fields of all days that were read, day T included.

    Returns
    -------
    Filled
        The same day; unchanged if the bundle gives no uncertainty, or nothing was merged.
    """
    if filled.uncertainty is None or not window:
        return filled
    total, count = np.zeros(filled.observed.shape), np.zeros(filled.observed.shape)
    for day in window:
        known = np.isfinite(day.excess)
        total[known] += day.excess[known]
        count += known
    everywhere = total.sum() / max(count.sum(), 1)
    excess = np.where(count, total / np.maximum(count, 1), everywhere)
    uncertainty = np.sqrt(filled.uncertainty.astype(np.float64) ** 2 + excess)
    if today is not None:
        uncertainty = np.where(np.isfinite(filled.observed), today.error, uncertainty)
    return replace(filled, uncertainty=uncertainty.astype(np.float32))
