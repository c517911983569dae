"""The words of files and catalogs, as types."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.common.vocabulary import ImergRun, InputRole, InputVariable

ROLES = st.builds(InputRole, st.sampled_from(InputVariable), st.integers(-400, 400))


@given(ROLES)
def test_a_role_is_read_as_it_is_written(role: InputRole) -> None:
    assert InputRole.parse(str(role)) == role


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ("T", InputRole.soil_moisture()),
        ("T-4", InputRole.soil_moisture(-4)),
        ("precipitation", InputRole.precipitation()),
        ("precipitation T+1", InputRole.precipitation(1)),
    ],
)
def test_roles_are_written_as_published_files_have_them(text: str, role: InputRole) -> None:
    assert (InputRole.parse(text), str(role)) == (role, text)


@pytest.mark.parametrize("text", ["", "t", "T4", "T+", "precipitation ", "rain", "T-4 T-4"])
def test_other_text_is_no_role(text: str) -> None:
    with pytest.raises(ValueError, match="is no role of an input"):
        InputRole.parse(text)


def test_late_is_better_than_early_and_final_than_both() -> None:
    better = {run: [other for other in ImergRun if run.is_at_least(other)] for run in ImergRun}
    assert better[ImergRun.EARLY] == [ImergRun.EARLY]
    assert better[ImergRun.FINAL] == list(ImergRun)
