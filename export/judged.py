"""Add to a bundle how well it fills a product, as an evaluation of it says."""

from __future__ import annotations

import shutil
from pathlib import Path

from export.accuracy import Accuracy
from export.card import with_judgements
from export.folder import new_bundle_folder, write_manifest
from runtime.bundle import CARD, Bundle, load_bundle


def add_judgement(
    bundle: Bundle,
    accuracy: Accuracy,
    out: Path,
    *,
    product: str | None = None,
    band: str | None = None,
    note: str = "",
    overwrite: bool = False,
) -> Bundle:
    """Write a copy of a bundle that says how well it fills a product; the model id stays.

    Parameters
    ----------
    bundle : Bundle
        The bundle.
    accuracy : Accuracy
        The evaluation of the bundle on days of the product.
    out : Path
        Folder of the copy; it is written completely or not at all.
    product, band : str, optional
        Product and band of the days, if the report does not name them.
    note : str
        What to add to the description of the days.
    overwrite : bool
        Whether an existing bundle is replaced.

    Returns
    -------
    Bundle
        The copy. An earlier judgement of the same product and band is replaced.

    Raises
    ------
    BundleError
        `out` exists, or the evaluation does not say what was judged.
    """
    judgement = accuracy.judgement(bundle.manifest.name, product, band)
    if note:
        judgement = judgement.model_copy(update={"source": f"{judgement.source}, {note}"})
    others = [
        each for each in bundle.manifest.judged if (each.product, each.band) != (judgement.product, judgement.band)
    ]
    manifest = bundle.manifest.model_copy(update={"judged": (*others, judgement)})
    with new_bundle_folder(out, overwrite) as folder:
        shutil.copytree(bundle.path, folder, dirs_exist_ok=True)
        card = folder / CARD
        card.write_text(with_judgements(card.read_text(), manifest))
        write_manifest(folder, manifest)
    return load_bundle(out)
