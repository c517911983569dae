"""The model card that goes into a bundle."""

from __future__ import annotations

import json
from collections.abc import Iterator

from export.accuracy import Accuracy
from export.parity import ParityReport
from runtime.bundle import Manifest
from training.presets import Preset

_TEMPLATE = """# {name} {version}

{what}

| | |
| --- | --- |
| Kind | {kind} |
| Accepts | {products}; band {bands} |
| Days looked at | {window} |
| Rain | {rain} |
| Sizes | {sizes} |
| Tile | {tile_core} x {tile_core} cells and a halo of {halo} |
| Uncertainty | {uncertainty} |

## Good for
Filling the gaps of daily {bands}-band soil moisture on the 0.25 degree grid, over land, in m3 m-3.

## Not for
Other bands or sensors than those above; cells that no observation reaches (the runtime leaves them NaN); decisions that
rest on one cell of one day without looking at its `flag` and `days_since_observation`; seasons unlike those it was
trained on, until it has been judged there.{limits}

## Training
{training}

## Accuracy
{accuracy}

## Export check
ONNX Runtime against PyTorch on {cases} random cases: largest difference {worst:.1e} of the output's spread
({spread:.4f} m3 m-3).
"""

_WHAT = {
    "stpcnn": "SGD-SM 1.0's 3-D spatio-temporal partial CNN (doi:10.5194/essd-13-1385-2021): fills day T from days "
    "T-4..T+4.",
    "lstmcnn": "SGD-SM 2.0's LSTM-CNN with precipitation (doi:10.5194/essd-14-4473-2022): carries a memory from day to "
    "day.",
    "seamless": "The project's own network: a 2-D U-Net that corrects the mean of days T-4..T+4, or of T-4..T-1 on the "
    "day itself, and says how far off it may be.",
}


def render(manifest: Manifest, preset: Preset, report: ParityReport, accuracy: Accuracy | None = None) -> str:
    """Return the card's Markdown."""
    record = dict(manifest.training)
    limits = record.pop("limits", "")
    training = "\n".join(
        f"- {key}: {value if isinstance(value, str) else json.dumps(value)}" for key, value in record.items()
    )
    uncertainty = "none"
    if manifest.gives_sigma:
        uncertainty = "sigma, of which about 68 % of errors against single retrievals are smaller"
    elif manifest.errors:
        uncertainty = "held-out RMSE by days since the last observation and latitude band"
    return _TEMPLATE.format(
        name=manifest.name,
        version=manifest.version,
        what=_WHAT[preset.model.kind],
        kind=manifest.kind,
        products=", ".join(manifest.products),
        bands=", ".join(manifest.bands),
        window=", ".join(f"T{day:+d}" if day else "T" for day in manifest.window),
        rain="looked at where there is any" if manifest.takes_rain else "not looked at",
        sizes=", ".join(f"{key} {value}" for key, value in preset.to_dict()["model"].items()),
        tile_core=manifest.tile_core,
        halo=manifest.halo,
        uncertainty=uncertainty,
        limits=f"\n\n{limits}" if limits else "",
        training=training or "None: the weights are random. Use it to measure speed, never to fill an archive.",
        accuracy="\n".join(_accuracy(manifest.name, accuracy)) if accuracy else "Not measured.",
        cases=report.cases,
        worst=report.worst,
        spread=report.spread,
    )


_PRECISIONS = "\n## Precisions\n"


def with_precisions(card: str, manifest: Manifest, source: str) -> str:
    """Return a card that says what the precisions cost which a bundle is offered in.

    Parameters
    ----------
    source : the data it was judged on
    """
    lines = [
        f"| {name} | {moved.rmse:.5f} | {100 * (moved.held_out - 1):+.2f} % | {moved.cells} | {moved.hidden} |"
        for name, moved in sorted(manifest.precisions.items())
    ]
    return (
        card.split(_PRECISIONS)[0]
        + _PRECISIONS
        + f"Of the multiplications, beside fp32. Judged on {source},\nwith strips hidden; also days "
        "these weights were trained on, since what is compared is a precision with another.\n\n"
        "| precision | filled field moves by, RMSE m3 m-3 | held-out RMSE | filled cells | hidden observations |\n"
        "| --- | ---: | ---: | ---: | ---: |\n" + "\n".join(lines) + "\n"
    )


def _accuracy(name: str, accuracy: Accuracy) -> Iterator[str]:
    judged = accuracy.bundles[name]
    yield f"These figures belong to the weights of model {judged.model_id[:12]}, which the same recipe gave without the"
    yield "days it is judged on; the weights in this bundle were trained on all days that the training record names."
    yield f"Data: {accuracy.source}. Observed cells were hidden in slanted strips, 30 % of each day, and filled; all"
    yield "fillers on the same cells, m3 m-3 but R and n."
    for tier, days in accuracy.days.items():
        yield f"\n{tier}, {days[0]} to {days[-1]}:\n"
        yield "| filler | R | RMSE | ubRMSE | MAE | bias | n |"
        yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
        for split, label in (("all", ""), ("patches", ", complete 40 x 40 land patches")):
            chosen = [s for s in accuracy.scores if (s.tier, s.gaps, s.split) == (tier, "strips", split)]
            for line in sorted(chosen, key=lambda s: s.score.rmse):
                s = line.score
                figures = [
                    "" if s.r is None else f"{s.r:.3f}",
                    *(f"{v:.4f}" for v in (s.rmse, s.ubrmse, s.mae, s.bias)),
                    str(s.n),
                ]
                yield f"| {line.filler}{label} | {' | '.join(figures)} |"
    noise = ", ".join(f"{value:.4f} {region}" for region, value in accuracy.noise.items())
    yield f"\nNoise of one retrieval (nugget of the temporal variogram): {noise}."
    for key, shares in accuracy.calibration.items():
        if key.startswith(f"{name},"):
            parts = "; ".join(
                f"{what} {' / '.join(f'{100 * v:.0f}' for v in values)}" for what, values in shares.items()
            )
            yield f"\nErrors within sigma before its scale was set, % ({key.removeprefix(f'{name}, ')}): {parts}."
    if judged.sigma_ratio:
        yield f"\nSigma was then multiplied by {judged.sigma_ratio:.3f}."
    if judged.seam:
        yield f"\nSeams: {judged.seam:.2f} (jump across tile edges over jump inside tiles)."
