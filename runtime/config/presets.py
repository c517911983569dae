"""What ``runtime init --preset`` writes: the template with the feeds of one product, or of one record."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from runtime.config.template import TEMPLATE


@dataclass(frozen=True, kw_only=True)
class StartingPoint:
    """A configuration to start from."""

    what: str
    """What it is, in a line."""
    feeds: str
    """The sections ``[[feeds.soil_moisture]]``."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Other values than those of the template, as TOML, by key."""


_FOLDER = "# path: any path fsspec knows: a folder, s3://..., sftp://...; sub-folders may be years"

PRESETS = {
    "sgd-sm-2": StartingPoint(
        what="the record of SGD-SM 2.0, 2002-2022: LPRM of AMSR-E, WindSat and AMSR2, 6.9 GHz, descending",
        feeds="""\
# The sensors and eras of SGD-SM 2.0 (doi:10.5194/essd-14-4473-2022), one after the other; docs/products/lprm.md.
# kind = "folder" and path = "..." read files that are here already.
[[feeds.soil_moisture]]
kind = "earthdata"
product = "lprm-amsre"
orbit = "descending"
band = "c"                        # 6.9 GHz
from = 2002-06-19
to = 2011-10-04

[[feeds.soil_moisture]]
kind = "earthdata"
product = "lprm-windsat"
orbit = "descending"
band = "c"                        # 6.9 GHz
from = 2011-10-05
to = 2012-07-02

[[feeds.soil_moisture]]
kind = "earthdata"
product = "lprm-amsr2"
orbit = "descending"
band = "c1"                       # 6.9 GHz
from = 2012-07-03
to = 2022-02-05
""",
        values={
            "start": "2002-06-19",
            "title": '"Seamless daily surface soil moisture, 2002-2022, AMSR-E, WindSat and AMSR2"',
            "id": '"seamless-sm-2002-2022"',
            "max_outage_days": "0",
        },
    ),
    "smap": StartingPoint(
        what="SMAP L3 of NSIDC, 36 km; posted within 2 to 5 days",
        feeds="""\
[[feeds.soil_moisture]]           # docs/products/smap.md: an account, what to expect
kind = "earthdata"                # earthdata | folder, with a path
product = "smap-l3"
""",
        values={
            "title": '"Seamless daily surface soil moisture, SMAP"',
            "id": '"seamless-sm-smap"',
        },
    ),
    "c3s": StartingPoint(
        what="C3S soil moisture, passive sensors, of the Copernicus Climate Data Store; 10 to 20 days behind",
        feeds="""\
[[feeds.soil_moisture]]           # docs/products/c3s.md: an account, what to expect
kind = "cds"                      # cds | folder, with a path
product = "c3s-passive"
""",
        values={
            "title": '"Seamless daily surface soil moisture, C3S passive"',
            "id": '"seamless-sm-c3s"',
            "max_lag_days": "25",
        },
    ),
    "cci": StartingPoint(
        what="ESA CCI soil moisture, passive sensors, from files",
        feeds=f"""\
[[feeds.soil_moisture]]           # docs/products/cci.md: where the files come from, what to expect
kind = "folder"
path = "incoming/cci"             {_FOLDER}
product = "cci-passive"
""",
        values={
            "title": '"Seamless daily surface soil moisture, ESA CCI passive"',
            "id": '"seamless-sm-cci"',
        },
    ),
    "jaxa-amsr2": StartingPoint(
        what="JAXA L3 soil moisture of AMSR2, low resolution, from files of G-Portal",
        feeds=f"""\
[[feeds.soil_moisture]]           # docs/products/jaxa-amsr2.md: an account, what to expect
kind = "folder"
path = "incoming/jaxa"            {_FOLDER}
product = "jaxa-amsr2-l"
orbit = "descending"              # descending | ascending
""",
        values={
            "title": '"Seamless daily surface soil moisture, JAXA AMSR2"',
            "id": '"seamless-sm-jaxa-amsr2"',
        },
    ),
}
"""By name."""


_COMMENTS = 34
"""Column of the template's comments."""


def preset_configuration(preset: StartingPoint) -> str:
    """Return a commented configuration: the template with a preset's feeds and values."""
    feeds = re.compile(r"^\[\[feeds\.soil_moisture\]\].*?(?=^\[\w)", re.M | re.S)
    text, changed = feeds.subn(lambda _: f"{preset.feeds}\n", TEMPLATE)
    for key, value in preset.values.items():
        line = re.compile(rf"^(?:# )?{key} = .*?(?: +(#.*))?$", re.M)
        found = line.search(text)
        if found is None or not changed:
            raise ValueError(f"the template has no line for {key}, or no feeds")
        new = f"{key} = {value}"
        new = f"{new.ljust(_COMMENTS - 1)} {found[1]}" if found[1] else new
        text = text[: found.start()] + new + text[found.end() :]
    return text
