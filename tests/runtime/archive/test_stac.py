"""The metadata of an archive, checked with the validators of the conventions that it names."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pystac
import pytest
import xarray
import zarr
from pystac.extensions.file import FileExtension

from runtime.archive.stac import STAC, item_path
from runtime.archive.verify import archive_faults, rebuild_views
from tests.conftest import MakeSite, Site

WHO = (
    "metadata.creator_name=Soil Office",
    "metadata.creator_email=soil@example.org",
    "metadata.creator_url=https://example.org",
    "metadata.institution=Example Institute",
    "metadata.naming_authority=org.example",
    "metadata.acknowledgement=Made for a test.",
    "metadata.id=test-sm",
)

REMARKS = {
    "['standard_name']",  # of days_since_observation: CF has none for the age of an observation
    "date_created",  # a file does not depend on when it was made
    "time_coverage_end",  # the end of the last day; the time axis has the beginning of each day, with bounds
    "project not present",
    "geospatial_vertical_",  # a surface layer whose depth depends on the soil's wetness
    "geospatial_bounds_vertical_crs",
}
"""What the checker misses, and why the files do not have it."""


def _whole(items: Any, _: str) -> Any:
    return items


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("bundle", ["seamless-amsr2-x", "sgdsm2-amsr2-x"])
def test_compliance_checker_finds_no_error(bundle: str, make_site: MakeSite) -> None:
    site = make_site(bundle)
    site.fill(5, 5, *WHO)
    report = site.folder / "report.json"
    command = [Path(sys.executable).with_name("compliance-checker"), "-t", "cf:1.11", "-t", "acdd:1.3"]
    subprocess.run([*command, "-f", "json", "-o", report, site.day_file(5)], capture_output=True)
    told = json.loads(report.read_text())
    assert told["cf:1.11"]["scored_points"] == told["cf:1.11"]["possible_points"]
    remarks = [
        str(message)
        for level in ("high_priorities", "medium_priorities", "low_priorities")
        for entry in told["acdd:1.3"][level]
        for message in entry["msgs"]
        if entry["value"][0] != entry["value"][1]
    ]
    unknown = [r for r in remarks if not any(known.strip("[']") in r for known in REMARKS)]
    assert unknown == []
    assert "acdd:1.3" in told


def test_the_summary_says_that_some_land_stays_empty_and_a_new_one_fills_no_day_again(
    window_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr("runtime.archive.acdd.ABSTRACT", "Daily soil moisture, as it was described before.")
        before.setattr("runtime.archive.stac.ABSTRACT", "Daily soil moisture, as it was described before.")
        window_site.fill(0, 3)
    published = window_site.published()
    assert archive_faults(window_site.config(), _whole) == []
    assert window_site.fill(0, 3).filled == []
    assert window_site.published() == published
    assert archive_faults(window_site.config(), _whole) == []
    window_site.fill(4, 4)
    with xarray.open_dataset(window_site.day_file(4)) as file:
        summary = file.attrs["summary"]
    assert "other land stays empty" in summary
    assert "without gaps" not in summary
    assert json.loads((window_site.archive / STAC / "collection.json").read_text())["description"] == summary
    assert zarr.open_group(window_site.archive / "cube.zarr", mode="r").attrs["summary"] == summary


def test_the_sgd_sm_layout_names_only_the_convention_it_follows(window_site: Site) -> None:
    window_site.fill(5, 5, "archive.layout=sgd-sm")
    with xarray.open_dataset(window_site.archive / "2020" / "SGD-SM_20200406.nc", mask_and_scale=False) as file:
        assert file.attrs["Conventions"] == "ACDD-1.3"
        assert file.attrs["id"] == "seamless-sm_20200406"


def test_stac_is_valid_and_leads_to_the_files(window_site: Site) -> None:
    window_site.fill(4, 6, *WHO)
    collection = pystac.Collection.from_file(window_site.archive / STAC / "collection.json")
    (year,) = collection.get_children()
    assert collection.validate()
    assert year.validate()
    items = list(collection.get_items(recursive=True))
    assert [item.id for item in items] == ["test-sm_20200405", "test-sm_20200406", "test-sm_20200407"]
    for number, item in enumerate(items, 4):
        plain = item.clone()
        plain.stac_extensions = []  # the schema of the file extension is not on this machine
        assert plain.validate()
        asset = item.assets["data"]
        path = Path(asset.get_absolute_href() or "")
        assert path.resolve() == window_site.day_file(number)
        file = FileExtension.ext(asset)
        assert (file.size, file.checksum) == (path.stat().st_size, f"1220{_sha256(path)}")
        assert item.collection_id == collection.id
    assert collection.license == "CC-BY-4.0"
    assert [p.name for p in collection.providers or []] == ["Example Institute"]
    links = {link.rel: link.href for link in collection.links}
    assert links["license"] == "https://creativecommons.org/licenses/by/4.0/"
    assert links["cite-as"] == "https://doi.org/10.5194/essd-14-4473-2022"
    zarr = Path(collection.assets["cube"].get_absolute_href() or "")
    assert zarr.resolve() == window_site.archive / "cube.zarr"
    (first, last) = collection.extent.temporal.intervals[0]
    assert (str(first)[:10], str(last)[:10]) == ("2020-04-05", "2020-04-07")


def test_a_year_is_listed_again_when_its_days_change_or_its_list_is_lost(window_site: Site) -> None:
    window_site.fill(4, 5)
    year = window_site.archive / STAC / "2020" / "catalog.json"

    def listed() -> list[str]:
        return [link["href"] for link in json.loads(year.read_text())["links"] if link["rel"] == "item"]

    assert listed() == ["./20200405.json", "./20200406.json"]
    window_site.fill(6, 6)
    assert len(listed()) == 3
    before = year.stat().st_ino
    window_site.fill(6, 6)
    assert year.stat().st_ino == before, "nothing changed, nothing is written"
    year.unlink()
    window_site.fill(6, 6)
    assert len(listed()) == 3


def _sha256(path: Path) -> str:
    from runtime.common import digest

    return digest.of_file(path)


def test_an_item_that_is_lost_or_wrong_is_found_and_made_again(window_site: Site) -> None:
    window_site.fill(4, 6)
    item = window_site.archive / item_path(window_site.date(4))
    before = item.read_bytes()
    item.unlink()
    (window_site.archive / item_path(window_site.date(5))).write_text("{}")
    found = archive_faults(window_site.config(), _whole)
    assert [line.split(":")[0] for line in found] == [
        str(window_site.archive / item_path(window_site.date(day))) for day in (4, 5)
    ]
    assert rebuild_views(window_site.config(), _whole) == 3
    assert archive_faults(window_site.config(), _whole) == []
    assert item.read_bytes() == before
