"""The model card that goes into a bundle."""

from __future__ import annotations

import json

from export.parity import Report
from runtime.bundle import Manifest
from training.presets import Preset

_TEMPLATE = """# {name} {version}

{what}

| | |
| --- | --- |
| Kind | {kind} |
| Accepts | {products}; band {bands} |
| Days looked at | {window} |
| Sizes | {sizes} |
| Tile | {tile_core} x {tile_core} cells and a halo of {halo} |

## Good for
Filling the gaps of daily {bands}-band soil moisture on the 0.25 degree grid, over land, in m3 m-3.

## Not for
Other bands or sensors than those above; cells that no observation reaches (the runtime leaves them NaN); decisions that
rest on one cell of one day without looking at its `flag` and `days_since_observation`.

## Training
{training}

## Export check
ONNX Runtime against PyTorch on {cases} random cases: largest difference {worst:.1e} of the output's spread
({spread:.4f} m3 m-3).
"""

_WHAT = {
    "window": "SGD-SM 1.0's 3-D spatio-temporal partial CNN (doi:10.5194/essd-13-1385-2021): fills day T from days "
    "T-4..T+4.",
    "recurrent": "SGD-SM 2.0's LSTM-CNN with precipitation (doi:10.5194/essd-14-4473-2022): carries a memory from day "
    "to day.",
}


def render(manifest: Manifest, preset: Preset, report: Report) -> str:
    """Return the card's Markdown."""
    training = "\n".join(
        f"- {key}: {value if isinstance(value, str) else json.dumps(value)}" for key, value in manifest.training.items()
    )
    return _TEMPLATE.format(
        name=manifest.name,
        version=manifest.version,
        what=_WHAT[manifest.kind],
        kind=manifest.kind,
        products=", ".join(manifest.products),
        bands=", ".join(manifest.bands),
        window=", ".join(f"T{day:+d}" if day else "T" for day in manifest.window),
        sizes=", ".join(f"{key} {value}" for key, value in preset.to_dict()["model"].items()),
        tile_core=manifest.tile_core,
        halo=manifest.halo,
        training=training or "None: the weights are random. Use it to measure speed, never to fill an archive.",
        cases=report.cases,
        worst=report.worst,
        spread=report.spread,
    )
