"""``python -m export judged``: add to a bundle how well it fills a product."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from export.cli.common import export_command


@export_command(
    "judged",
    epilog="Example: python -m export judged --bundle seamless-2 --report reports/c3s/report.json "
    "--out bundles/seamless-2",
)
def judged(
    bundle: Annotated[str, typer.Option(help="Name of a shipped bundle, or a bundle's folder.")],
    report: Annotated[Path, typer.Option(help="report.json of an evaluation of this bundle on the product.")],
    out: Annotated[Path, typer.Option(help="Bundle folder; it is written completely or not at all.")],
    product: Annotated[
        str | None, typer.Option(help="Product of the evaluated days, if the report does not name it (an archive's).")
    ] = None,
    band: Annotated[str | None, typer.Option(help="Its band.")] = None,
    note: Annotated[str, typer.Option(help="What to add to the description of the days.")] = "",
    overwrite: Annotated[bool, typer.Option(help="Replace an existing bundle.")] = False,
) -> None:
    """Note in a bundle how well it fills a product, so that the runtime uses it there without a warning."""
    from export.accuracy import read_accuracy
    from export.judged import add_judgement
    from runtime.bundle import find_bundle, load_bundle
    from runtime.manifest import in_words

    original = load_bundle(find_bundle(bundle))
    accuracy = read_accuracy(report, original.manifest.name)
    made = add_judgement(original, accuracy, out, product=product, band=band, note=note, overwrite=overwrite)
    found = made.manifest.judged[-1]
    rmse = ", ".join(f"{tier} {score.rmse:.4f}" for tier, score in found.scores.items())
    print(f"wrote {out}: judged on {in_words(found.product, found.band)}, RMSE {rmse} m3 m-3")
