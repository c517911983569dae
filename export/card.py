"""The model card of a bundle, in Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from export.accuracy import Accuracy
from export.compare import ParityReport
from runtime.manifest import ANY, Manifest, in_words
from training.evaluate.kinds import HEADLINE, KINDS
from training.presets import Preset

_TEMPLATE = """# {name} {version}

{what}

| | |
| --- | --- |
| Kind | {kind} |
| Accepts | {accepts} |
| Days of the window | {window} |
| Rain | {rain} |
| Sizes | {sizes} |
| Tile | {tile_core} x {tile_core} cells and a halo of {halo} |
| Uncertainty | {uncertainty} |

## Good for
Filling the gaps of daily {what_sm} soil moisture on the 0.25 degree grid, over land, in m3 m-3.

## Not for
{not_for}; cells that no observation reaches (the runtime leaves them NaN); decisions that
depend on one cell of one day, unless its `flag` and `days_since_observation` are checked; seasons unlike those it was
trained on, until its accuracy has been measured there.{limits}

## Training
{training}
{judged}
## Accuracy
{accuracy}

## Export check
ONNX Runtime against PyTorch on {cases} random cases: the largest difference is {worst:.1e} of the output's standard
deviation ({spread:.4f} m3 m-3).
"""

_DESCRIPTIONS = {
    "stpcnn": "SGD-SM 1.0's 3-D spatio-temporal partial CNN (doi:10.5194/essd-13-1385-2021): fills day T from days "
    "T-4..T+4.",
    "lstmcnn": "SGD-SM 2.0's LSTM-CNN with precipitation (doi:10.5194/essd-14-4473-2022): carries a memory from day to "
    "day.",
    "seamless": "The project's own network: a 2-D U-Net and a regression that correct the weighted mean of days "
    "T-12..T+4, or of T-12..T-1 on the day itself, and estimate their own error.",
}

_SOIL = """Filled values of this bundle stand for the soil. Below they are compared with hidden retrievals, as those of
other bundles are; these have an error that neighbours share, which this bundle does not follow.
"""


def render_card(manifest: Manifest, preset: Preset, parity: ParityReport, accuracies: Sequence[Accuracy] = ()) -> str:
    """Return the model card of a bundle.

    Parameters
    ----------
    manifest : Manifest
        The bundle's manifest.
    preset : Preset
        The network and its sizes.
    parity : ParityReport
        The comparison of the graph with PyTorch.
    accuracies : sequence of Accuracy
        Evaluations of the recipe: all figures of the first one, and of the others how well sigma fits.

    Returns
    -------
    str
        Markdown.
    """
    limits = manifest.training.get("limits", "")
    accuracy_lines = list(_accuracy_lines(manifest, accuracies)) if accuracies else ["Not measured."]
    if manifest.training.get("samples", {}).get("soil"):
        accuracy_lines.insert(0, _SOIL)
    uncertainty = "none"
    if manifest.gives_sigma:
        uncertainty = "sigma; about 68 % of the errors against single retrievals are smaller"
    elif manifest.errors:
        uncertainty = "held-out RMSE by days since the last observation and latitude band"
    return _TEMPLATE.format(
        name=manifest.name,
        version=manifest.version,
        what=_DESCRIPTIONS[preset.model.kind],
        kind=manifest.kind,
        accepts=_accepts(manifest),
        what_sm=f"{', '.join(manifest.bands)}-band" if ANY not in manifest.bands else "surface",
        not_for="Other bands or sensors than those above"
        if ANY not in manifest.products
        else "Products that it was not judged on, if the size of the errors matters",
        judged=_judged_section(manifest),
        window=", ".join(f"T{day:+d}" if day else "T" for day in manifest.window),
        rain="used if there is any" if manifest.takes_rain else "not used",
        sizes=", ".join(f"{key} {value}" for key, value in preset.to_dict()["model"].items()),
        tile_core=manifest.tile_core,
        halo=manifest.halo,
        uncertainty=uncertainty,
        limits=f"\n\n{limits}" if limits else "",
        training="\n".join(_training_lines(manifest.training))
        or "None: the weights are random. Use it to measure speed, never to fill an archive.",
        accuracy="\n".join(accuracy_lines),
        cases=parity.cases,
        worst=parity.worst,
        spread=parity.spread,
    )


def _accepts(manifest: Manifest) -> str:
    if ANY in manifest.products:
        return "any soil-moisture product; with a warning where it was not judged"
    return f"{', '.join(manifest.products)}; band {', '.join(manifest.bands)}"


_JUDGED = "\n## Judged on\n"
_AFTER_JUDGED = "\n## Accuracy\n"
_JUDGED_HEAD = """Errors against hidden observations, m3 m-3 except R and n. On any other product they are not known.

| product | tier | R | RMSE | MAE | bias | n | days |
| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |
"""


def _judged_section(manifest: Manifest) -> str:
    """Return the table of the products that a bundle was judged on."""
    lines = []
    for each in manifest.judged:
        for tier, s in each.scores.items():
            figures = ["" if s.r is None else f"{s.r:.3f}", *(f"{v:.4f}" for v in (s.rmse, s.mae, s.bias)), f"{s.n}"]
            lines.append(f"| {in_words(each.product, each.band)} | {tier} | {' | '.join(figures)} | {each.source} |\n")
    return _JUDGED + (_JUDGED_HEAD + "".join(lines) if lines else "No product.\n")


def with_judgements(card: str, manifest: Manifest) -> str:
    """Return a model card with a table of the products that the bundle was judged on.

    Parameters
    ----------
    card : str
        The model card; a table it already has is replaced.
    manifest : Manifest
        The bundle's manifest, with its judgements.

    Returns
    -------
    str
        Markdown.
    """
    before, heading, after = card.partition(_AFTER_JUDGED)
    return before.split(_JUDGED)[0] + _judged_section(manifest) + heading + after


def _training_lines(record: dict[str, Any]) -> Iterator[str]:
    """Yield how weights were trained, the last pass first."""
    for key, value in record.items():
        if key not in ("limits", "started_from"):
            yield f"- {key}: {value if isinstance(value, str) else json.dumps(value)}"
    if "started_from" in record:
        yield "\nIt started from weights that were trained before:\n"
        yield from _training_lines(record["started_from"])


_PRECISIONS = "\n## Precisions\n"


def with_precisions(card: str, manifest: Manifest, source: str) -> str:
    """Return a model card with a table of the precisions that the bundle is offered in.

    Parameters
    ----------
    card : str
        The model card; a table it already has is replaced.
    manifest : Manifest
        The bundle's manifest, with the figures of its precisions.
    source : str
        The data that the precisions were measured on, in words.

    Returns
    -------
    str
        Markdown.
    """
    lines = [
        f"| {name} | {impact.rmse:.5f} | {100 * (impact.held_out - 1):+.2f} % | {impact.cells} | {impact.hidden} |"
        for name, impact in sorted(manifest.precisions.items())
    ]
    return (
        card.split(_PRECISIONS)[0]
        + _PRECISIONS
        + f"Number types of the multiplications, compared with fp32. Measured on {source},\nwith strips hidden. The "
        "days may include days that the weights were trained on, because one precision is compared with another.\n\n"
        "| precision | change of the filled field, RMSE m3 m-3 | held-out RMSE | filled cells | hidden observations |\n"
        "| --- | ---: | ---: | ---: | ---: |\n" + "\n".join(lines) + "\n"
    )


def _accuracy_lines(manifest: Manifest, accuracies: Sequence[Accuracy]) -> Iterator[str]:
    """Yield the lines of the card's section on accuracy."""
    accuracy = accuracies[0]
    evaluated = accuracy.bundles[manifest.name]
    yield f"These figures are those of model {evaluated.model_id[:12]}: the same recipe, trained without the days that"
    yield "it is evaluated on. The weights in this bundle were trained on all days that the training record names."
    yield f"Data: {accuracy.source}. Observed cells that were not observed on the following day were hidden and filled;"
    yield "where so marked, strips of 60 in every 200 columns. All fillers on the same cells, m3 m-3 except R and n."
    yield from _score_lines(accuracy)
    noise = ", ".join(f"{value:.4f} {region}" for region, value in accuracy.noise.items())
    yield f"\nNoise of one retrieval (nugget of the temporal variogram): {noise}."
    yield from _share_lines("Errors within sigma before it was fitted", manifest.name, accuracy.calibration)
    if manifest.sigma_fit:
        for each in accuracies:
            yield f"\nSigma as it fits the errors on {each.source} alone:"
            yield from _share_lines("Errors within it", manifest.name, each.calibration_fitted)
        factor, exponent = manifest.sigma_fit
        which = "the geometric mean of these fits" if len(accuracies) > 1 else "this fit"
        yield f"\nThe sigma of this bundle is {which}: {factor:.3f} times its power of {exponent:.3f} (m3 m-3)."
    if evaluated.seam:
        yield f"\nSeams: {evaluated.seam:.2f} (mean step across tile edges over mean step inside tiles)."


def _score_lines(accuracy: Accuracy) -> Iterator[str]:
    """Yield a table of scores for each tier."""
    for tier, days in accuracy.days.items():
        yield f"\n{tier}, {days[0]} to {days[-1]}:\n"
        yield "| filler | R | RMSE | ubRMSE | MAE | bias | n |"
        yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
        for kind in KINDS:
            label = "" if kind == HEADLINE else f", {kind}"
            chosen = [row for row in accuracy.scores if (row.tier, row.gaps) == (tier, kind)]
            for row in sorted(chosen, key=lambda row: row.score.rmse):
                s = row.score
                figures = [
                    "" if s.r is None else f"{s.r:.3f}",
                    *(f"{v:.4f}" for v in (s.rmse, s.ubrmse, s.mae, s.bias)),
                    str(s.n),
                ]
                yield f"| {row.filler}{label} | {' | '.join(figures)} |"


def _share_lines(what: str, name: str, calibration: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Iterator[str]:
    """Yield a line for each tier and kind of gap: the shares of all cells and of each class."""
    for key, shares in calibration.items():
        if key.startswith(f"{name},"):
            parts = "; ".join(
                f"{split} {' / '.join(f'{100 * v:.0f}' for v in values.values())}" for split, values in shares.items()
            )
            yield f"\n{what}, % ({key.removeprefix(f'{name}, ')}): {parts}."
