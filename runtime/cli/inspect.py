"""``runtime inspect``: which product a file is of, and what is read there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runtime.cli.common import ConfigFile, Overrides, command, read_config
from runtime.errors import InputRefused

if TYPE_CHECKING:
    from runtime.inputs.products.inspect import Fit


@command(epilog="Examples: `runtime inspect SMAP_L3_SM_P_20210401_R19240_001.h5`; with `--out map.png`, also a map")
def inspect(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="NetCDF or HDF5 file.")],
    out: Annotated[Path | None, typer.Option(help="PNG to write the map to.")] = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Say which declared product a file fits, and what it holds: the day, values, what flags leave out, a histogram."""
    from runtime.inputs.products.inspect import draft_declaration, fits, variables_of
    from runtime.output.field_figure import draw_field

    settings = read_config(config, overrides)
    found = fits(path, settings.known_products)
    for kind, is_by_name in (("name   ", True), ("content", False)):
        names = dict.fromkeys(
            fit.product.name for fit in found if (fit.by_name if is_by_name else fit.field is not None)
        )
        print(f"by {kind}  {', '.join(names) or 'no product'}")
    named = [fit for fit in found if fit.by_name] or found[:1]
    for fit in named:
        print(f"\n{fit.label}")
        _print_fit(fit)
    best = next((fit for fit in named if fit.field), None)
    if not found:
        print("\nIt has these variables:")
        for each in variables_of(path):
            print(f"  {each.name}  {each.kind} {each.dimensions} {each.shape} {each.unit}")
        print(f"\nA declaration to start from, for the configuration:\n\n{draft_declaration(path)}")
    elif best is None:
        raise InputRefused(named[0].refused or "")
    elif out:
        draw_field(best, path, settings.make_grid(), out)
        print(f"\nwrote {out}: {best.label}")


def _print_fit(fit: Fit) -> None:
    from runtime.common.vocabulary import InputVariable
    from runtime.output.field_figure import histogram_lines

    if fit.field is None:
        print(f"refused   {fit.refused}")
        return
    values = fit.field.values
    present = values[values == values]
    unit = "mm/day" if fit.product.what is InputVariable.PRECIPITATION else "m3 m-3"
    print(f"day       {fit.day or 'not told by the file'}")
    print(f"variable  {fit.field.variable}, {values.shape[0]} x {values.shape[1]} cells")
    print(f"values    {present.size} cells, {fit.field.coverage:.1%}")
    print(f"range     {present.min():.4g} to {present.max():.4g}, mean {present.mean(dtype=float):.4g} {unit}")
    for reason, (cells, of_these) in fit.field.removed.items():
        if cells:
            print(f"left out  {reason}: {cells} cells, {of_these} of them had a value")
    print("\n".join(histogram_lines(present)))
