"""Leave out the values that a product's quality rules refuse, and mark those that its file warns of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.common.grid import Bools
from runtime.common.netcdf import Dataset
from runtime.common.quality import ProductMarks, QualityBit
from runtime.common.sensors import Product, QualityRule
from runtime.errors import InputRefused
from runtime.inputs.products.cells import layer
from runtime.inputs.products.granule import FETCH_AGAIN, find_variable, variable

_COMBINATION = re.compile(r"combination_of_flag_values((?:_?(?:and_)?\d+)+)")
"""How ESA CCI and C3S write the meaning of several bits: ``combination_of_flag_values_1_and_4``."""


class Refusal(NamedTuple):
    """What one reason of a quality rule refuses."""

    reason: str
    """The rule in words, with the meaning of a flag."""
    cells: Bools
    """The cells it refuses."""


def refusals(
    file: Dataset, product: Product, words: dict[str, str], shape: tuple[int, ...], path: Path
) -> Iterator[Refusal]:
    """Yield what each quality rule of a product refuses in a file.

    Parameters
    ----------
    file : netCDF4.Dataset
        The open file.
    product : Product
        The product.
    words : dict of str to str
        What is filled into the names of variables.
    shape : (int, int)
        Shape of the values, which the rule's variable must have.
    path : Path
        The file, for messages.

    Yields
    ------
    Refusal
        A reason, and its cells in the file's order; a flag has one for each meaning that occurs.

    Raises
    ------
    InputRefused
        The file does not have a rule's variable, or not in that shape, or its flags have other meanings.
    """
    for rule in product.quality:
        names = [name.format(**words) for name in rule.variable]
        found = variable(file, path, *names, most=product.max_cells)
        values = _values_of(found, product, shape, path)
        absent = _is_absent(rule, found, values)
        if _has_fill(rule, found):
            yield Refusal(f"{found.name} is missing", absent)
        if not _has_meanings(rule, found, path):
            raise InputRefused(
                f"{path}: {found.name} has none of the meanings {', '.join(rule.refused)}; the product has changed, "
                "check its quality rules"
            )
        yield from _refused_by(rule, found, values, ~absent, path, also=(_UNKNOWN,))


def product_marks(
    file: Dataset, product: Product, words: dict[str, str], shape: tuple[int, ...], path: Path
) -> ProductMarks | None:
    """Return what a file says of its cells by the rules ``marks`` of its product; None if it has nothing to say.

    Parameters
    ----------
    file : netCDF4.Dataset
        The open file.
    product : Product
        The product.
    words : dict of str to str
        What is filled into the names of variables.
    shape : (int, int)
        Shape of the values, which the rule's variable must have.
    path : Path
        The file, for messages.

    Returns
    -------
    ProductMarks or None
        The bits in the file's order.

    Raises
    ------
    InputRefused
        A rule's variable has another shape, or flags without their meanings.
    """
    bits, judged = np.zeros(shape, np.uint8), QualityBit(0)
    for rule in product.marks:
        names = [name.format(**words) for name in rule.variable]
        if find_variable(file, names) is None:
            continue
        found = variable(file, path, *names, most=product.max_cells)
        if not _has_meanings(rule, found, path):
            continue
        values, bit = _values_of(found, product, shape, path), QualityBit[rule.bit.upper()]
        for refusal in _refused_by(rule, found, values, ~_is_absent(rule, found, values), path):
            bits[refusal.cells] |= np.uint8(bit)
        judged |= bit
    return ProductMarks(bits, judged) if judged else None


def _values_of(found: Any, product: Product, shape: tuple[int, ...], path: Path) -> NDArray[Any]:
    """Return the stored values of a rule's variable."""
    values = layer(found, product, path)
    if values.shape != shape:
        raise InputRefused(f"{path}: {found.name} has {values.shape} cells, the values {shape}; {FETCH_AGAIN}")
    return values


def stored_as(found: Any, values: NDArray[Any], number: float) -> Bools:
    """Return where stored values are a number, which is rounded to their type as the file's writer has done."""
    wanted = values.dtype.type(number) if values.dtype.kind == "f" else number
    return np.asarray(values == wanted)


def _has_meanings(rule: QualityRule, found: Any, path: Path) -> bool:
    """Return whether a rule's variable has any of the meanings that the rule refuses."""
    return not rule.refused or bool(set(rule.refused) & set().union(*_meanings(found, path).values()))


def _has_fill(rule: QualityRule, found: Any) -> bool:
    """Return whether a stored value stands for none; the fill of a bit field may be a combination of bits."""
    return hasattr(found, "_FillValue") and not rule.clear_bits


def _is_absent(rule: QualityRule, found: Any, values: NDArray[Any]) -> Bools:
    """Return where a rule's variable has no value."""
    absent = np.isnan(values) if values.dtype.kind == "f" else np.zeros_like(values, bool)
    return absent | stored_as(found, values, found._FillValue) if _has_fill(rule, found) else absent


def _refused_by(
    rule: QualityRule, found: Any, values: NDArray[Any], present: Bools, path: Path, also: tuple[str, ...] = ()
) -> Iterator[Refusal]:
    """Yield what a rule refuses of the values that are present; `also` are further meanings that it refuses."""
    for bit in rule.clear_bits:
        if values.dtype.kind == "f":
            raise InputRefused(f"{path}: {found.name} has no bits, it is {values.dtype}; check the feed's product")
        yield Refusal(f"{found.name} bit {bit}", (values.astype(np.int64) >> bit) & 1 == 1)
    if rule.refused:
        yield from _refused_meanings((*rule.refused, *also), found, values, present, path)
    if rule.least is not None or rule.most is not None:
        amounts = values * float(getattr(found, "scale_factor", 1.0)) + float(getattr(found, "add_offset", 0.0))
        if rule.least is not None:
            below = ~(amounts >= rule.least) & present
            is_uniform = bool(below.all()) and amounts.min() == amounts.max()
            reason = f"is {amounts.flat[0]:g} everywhere" if is_uniform else f"below {rule.least:g}"
            yield Refusal(f"{found.name} {reason}", below)
        if rule.most is not None:
            yield Refusal(f"{found.name} above {rule.most:g}", ~(amounts <= rule.most) & present)


def _refused_meanings(
    refused: tuple[str, ...], found: Any, values: NDArray[Any], present: Bools, path: Path
) -> Iterator[Refusal]:
    table = _meanings(found, path)
    cells: dict[str, Bools] = {}
    for value in np.unique(values[present]):
        for meaning in sorted(_meanings_of(int(value), table)):
            if meaning in refused:
                where = (values == value) & present
                cells[meaning] = cells[meaning] | where if meaning in cells else where
    for meaning, where in cells.items():
        yield Refusal(f"{found.name} {meaning}", where)


_UNKNOWN = "without a meaning"


def _meanings(found: Any, path: Path) -> dict[int, set[str]]:
    """Return the meanings of each value that the file explains; values of bits are those of ``flag_masks``.

    Raises
    ------
    InputRefused
        The variable does not explain its values.
    """
    texts = str(getattr(found, "flag_meanings", "")).split()
    numbers = getattr(found, "flag_values", getattr(found, "flag_masks", ()))
    values = [int(number) for number in np.atleast_1d(numbers)]
    if not texts or len(texts) != len(values):
        raise InputRefused(
            f"{path}: {found.name} explains {len(values)} values with {len(texts)} flag_meanings; {FETCH_AGAIN}, or "
            "check the product's quality rules"
        )
    single = {value: {text} for value, text in zip(values, texts, strict=True) if not _COMBINATION.fullmatch(text)}
    combined = {
        value: set().union(*(single.get(int(part), {_UNKNOWN}) for part in re.findall(r"\d+", match[1])))
        for value, text in zip(values, texts, strict=True)
        if (match := _COMBINATION.fullmatch(text))
    }
    return single | combined


def _meanings_of(value: int, table: dict[int, set[str]]) -> set[str]:
    """Return the meanings of a value; one that is not in the table is read as a sum of bits that are."""
    if value in table:
        return table[value]
    if value < 0:
        return {_UNKNOWN}
    return set().union(*(table.get(1 << bit, {_UNKNOWN}) for bit in range(value.bit_length()) if value >> bit & 1))
