from pathlib import Path

import pytest

from runtime.errors import InputsMissing
from runtime.output.map_figure import draw_map
from tests.conftest import Site


@pytest.mark.parametrize("layout", ["cf", "sgd-sm"])
def test_a_day_is_drawn_from_either_layout(layout: str, window_site: Site, tmp_path: Path) -> None:
    settings = window_site.config(f"archive.layout={layout}")
    window_site.fill(5, 6, f"archive.layout={layout}")
    sizes = []
    for day in (5, 6):
        out = tmp_path / "new folder" / f"{day}.png"
        draw_map(settings, window_site.date(day), out)
        assert out.read_bytes().startswith(b"\x89PNG")
        sizes.append(int.from_bytes(out.read_bytes()[20:24], "big"))
    assert sizes[1] > sizes[0] * 1.2, "the second day has a third panel: the difference"


def test_a_day_that_is_not_there_is_named(window_site: Site, tmp_path: Path) -> None:
    window_site.fill(5, 5)
    with pytest.raises(InputsMissing, match="2020-04-03 is not in .*runtime fill --date 2020-04-03"):
        draw_map(window_site.config(), window_site.date(2), tmp_path / "x.png")
