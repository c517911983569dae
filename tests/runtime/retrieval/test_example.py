"""Examples: the 106 fields, their types, and what is written again."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.demo.fusion import made_up_examples, made_up_sensors
from runtime.retrieval.example import (
    Example,
    ExampleError,
    _entries,
    _unusual_entries,
    example_bytes,
    feature_bytes,
    image_bytes,
)
from runtime.retrieval.sample import read_place, stack
from runtime.retrieval.schema import ELEVATION, FIELDS, KNOWN_KINDS, ExampleField, ValueKind
from runtime.retrieval.stacks import AUX, IMAGE, LOW_RES, Source, stacked_inputs

ANY = ExampleField("x", ValueKind.INT64)


@pytest.fixture(scope="module")
def fields() -> dict[str, bytes]:
    return next(made_up_examples(made_up_sensors(1, 1), 1, 1))


def _changed(fields: dict[str, bytes], **changes: bytes | None) -> Example:
    both = fields | changes
    return Example.parse(example_bytes({name: value for name, value in both.items() if value is not None}))


def test_the_schema_has_106_fields_and_a_made_up_example_has_them_all(fields: dict[str, bytes]) -> None:
    assert len(FIELDS) == 106
    assert list(fields) == list(FIELDS)
    assert set(Example.parse(example_bytes(fields)).fields) == set(FIELDS)
    assert set(KNOWN_KINDS) - set(FIELDS) == {"sm_5_5"}


@settings(deadline=None)
@given(
    st.integers(1, 6).flatmap(
        lambda size: st.lists(
            st.integers(0, 127) | st.integers(0, 20000) | st.integers(-1, 2) | st.integers(-(2**63), 2**63 - 1),
            min_size=size**2,
            max_size=size**2,
        )
    ),
    st.integers(1, 6),
    st.integers(1, 6),
)
def test_the_middle_of_an_image_is_read_however_large_its_integers_are(values: list[int], rows: int, cols: int) -> None:
    size = int(len(values) ** 0.5)
    rows, cols = min(rows, size), min(cols, size)
    example = Example.parse(example_bytes({"x": feature_bytes(ValueKind.INT64, values)}))
    top, left = (size - rows) // 2, (size - cols) // 2
    wanted = np.array(values).reshape(size, size)[top : top + rows, left : left + cols]
    assert np.array_equal(example.image(ANY, rows, cols, size=size), wanted)


@settings(deadline=None)
@given(st.lists(st.integers(0, 16383), min_size=1, max_size=40))
def test_the_fast_writer_of_images_writes_what_protobuf_does(values: list[int]) -> None:
    assert image_bytes(np.array(values)) == feature_bytes(ValueKind.INT64, values)
    pixels = np.kron(np.array([values, values]), np.ones((3, 3))).astype(int)
    assert image_bytes(np.array([values, values]), 3) == feature_bytes(ValueKind.INT64, pixels.ravel().tolist())


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_features_are_found_where_protobuf_finds_them(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.text(min_size=1, max_size=3), max_size=4))
    whole = bytearray(example_bytes({name: feature_bytes(ValueKind.INT64, [1, 300]) for name in names}))
    for _ in range(data.draw(st.integers(0, 3)) if whole else 0):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    found = _entries(bytes(whole))
    if found is not None:
        assert found == _unusual_entries(bytes(whole))
    else:
        assert whole != example_bytes({name: feature_bytes(ValueKind.INT64, [1, 300]) for name in names}) or not names


def test_a_length_that_protobuf_does_not_take_is_refused() -> None:
    whole = example_bytes({"x": feature_bytes(ValueKind.INT64, [1])})
    padded = b"\x0a" + bytes([whole[1] | 128, 128, 128, 128, 128, 0]) + whole[2:]
    for data in (padded, b"\x0a\xff\xff\xff\xff\x7f" + whole[2:]):
        with pytest.raises(ExampleError, match="no tf.train.Example"):
            Example.parse(data)
    with pytest.raises(ExampleError, match="no tf.train.Example"):
        Example({}, padded).with_label("sm_0_5", 0.25)


@pytest.mark.parametrize("empty", [b"", b"\x1a\x00", b"\x1a\x02\x0a\x00"])
def test_a_field_without_a_value_is_its_default(empty: bytes) -> None:
    example = Example.parse(example_bytes({"x": empty, "one": feature_bytes(ValueKind.INT64, [0])}))
    assert not example.has("x")
    assert example.number(ANY, 7.0) == 7
    assert example.number(ExampleField("one"), 7.0) == 0


def test_a_text_is_no_number_and_a_number_no_text() -> None:
    text, number = feature_bytes(ValueKind.BYTES, [b"12"]), feature_bytes(ValueKind.INT64, [12])
    example = Example.parse(example_bytes({"x": text, "number then text": number + text}))
    with pytest.raises(ExampleError, match="is of the type bytes_list, wanted numbers"):
        example.number(ExampleField("x"))
    with pytest.raises(ExampleError, match="is of the type bytes_list, wanted int64_list"):
        example.number(ExampleField("number then text", ValueKind.INT64))


@pytest.mark.parametrize("head", [b"", b"\x0a", b"\x0a\x05\x0a\x03\x0a\x01"])
def test_a_number_without_an_end_is_refused_at_once(head: bytes) -> None:
    with pytest.raises(ExampleError, match="no tf.train.Example"):
        Example.parse(head + b"\x80" * 10_000_000)


def test_integers_that_are_not_packed_are_read() -> None:
    loose = b"".join(b"\x08" + bytes([value]) for value in (1, 2, 3))  # the old form of a repeated field
    example = Example.parse(example_bytes({"x": bytes([0x1A, len(loose)]) + loose}))
    assert list(example._values(ANY, 3)) == [1, 2, 3]


def test_an_example_written_again_keeps_all_that_it_had(fields: dict[str, bytes]) -> None:
    unknown = b"\x92\x03\x05hello"  # a field of the message that no schema knows
    data = example_bytes({**fields, "of tomorrow": b"\x1a\x03\x0a\x01\x07"}) + unknown
    again = Example.parse(Example.parse(data).with_label("sm_0_5", 0.25))
    assert again.number(FIELDS["sm_0_5"]) == 0.25
    assert again.fields["of tomorrow"] == b"\x1a\x03\x0a\x01\x07"
    assert unknown in again.data
    for name, value in fields.items():
        assert name == "sm_0_5" or again.fields[name] == value


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sensor_id": None}, "it has no field sensor_id"),
        ({"sentinel_1_VV": None}, "it has no field sentinel_1_VV"),
        ({"sentinel_1_VV": feature_bytes(ValueKind.INT64, [1, 2])}, "has 2 values, wanted 262144, for 512 x 512"),
        ({"sentinel_1_VV": feature_bytes(ValueKind.FLOAT, [1.0])}, "is of the type float_list, wanted int64_list"),
        ({"smap_sm": feature_bytes(ValueKind.INT64, [1, 2])}, "field smap_sm has 2 values, wanted 1"),
        ({"smap_sm": b"\x1a\x05\x0a"}, "field smap_sm is no tf.train.Feature"),
        ({"timestamp": b"\xff"}, "field timestamp is no tf.train.Feature"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(
    changes: dict[str, bytes | None], reason: str, fields: dict[str, bytes]
) -> None:
    def read() -> None:
        example = _changed(fields, **changes)
        read_place(example)
        for each in stacked_inputs():
            stack(example, each)

    with pytest.raises(ExampleError, match=reason):
        read()


@pytest.mark.parametrize("data", [b"", b"\x0a\xff", b"no example at all"])
def test_bytes_that_are_no_example_are_refused(data: bytes) -> None:
    with pytest.raises(ExampleError, match=r"no tf\.train\.Example"):
        Example.parse(data)


def test_the_stacks_are_what_a_hand_computes() -> None:
    """Each image has its own number in its middle, and the elevation its clipped and cut share of 255."""
    numbers = {name: 10 + n for n, name in enumerate(name for name in KNOWN_KINDS if KNOWN_KINDS[name].is_image)}
    images = {}
    for name, value in numbers.items():
        image = np.full((512, 512), 99)
        image[128:384, 128:384] = value
        images[name] = image
    elevation = images[ELEVATION]
    elevation[128, 128:135] = [0, 11, 12, 1500, 2999, 3000, 4000]
    fields = {name: image_bytes(image) for name, image in images.items()}
    fields |= {"smap_sm": feature_bytes(ValueKind.INT64, [51]), "gldas_sm": feature_bytes(ValueKind.INT64, [])}
    example = Example.parse(example_bytes(fields))
    found = {each.name: stack(example, each) for each in stacked_inputs(size=256)}
    s1, s2 = "sentinel_1_", "sentinel_2_"
    bands = [s1 + "VV", s1 + "VH", s1 + "angle", *(s2 + b for b in ("B4", "B3", "B2", "B8", "B11", "B12"))]
    assert found[IMAGE].shape == (256, 256, 10)
    assert found[IMAGE][7, 200, :9].tolist() == [numbers[name] for name in bands]
    # int(clip(elevation / 3000 * 255, 0, 255)): 11 / 3000 * 255 = 0.935, 12: 1.02, 1500: 127.5, 2999: 254.915
    assert found[IMAGE][0, :7, 9].tolist() == [0, 0, 1, 127, 254, 255, 255]
    soil = [f"soil_grids_{each}_0-5cm_mean" for each in ("sand_sand", "silt_silt", "clay_clay", "bd_bdod")]
    assert found[LOW_RES][0, 0].tolist() == [numbers[name] for name in soil]
    assert found[AUX].tolist() == [np.float32(0.2), 0.0]
    whole = {each.name: stack(example, each) for each in stacked_inputs()}
    assert whole[IMAGE].shape == (512, 512, 10)
    assert np.array_equal(whole[IMAGE][128:384, 128:384], found[IMAGE])
    assert whole[LOW_RES][0, 0, 0] == 99


def test_the_elevation_is_cut_as_in_float64_for_every_metre() -> None:
    (_, _, _, _, _, _, _, _, _, dem), metres = stacked_inputs()[0].fields, np.arange(-500, 9000)
    assert np.array_equal(dem.scaled(metres), np.clip(metres / 3000 * 255, 0, 255).astype(int))


def test_sources_that_are_not_there_can_stand_as_a_number(fields: dict[str, bytes]) -> None:
    example = _changed(fields, sentinel_2_B4=None, smap_sm=None)
    image, aux = stacked_inputs((Source.SENTINEL_2, Source.SMAP), 256, absent_images=0.0)
    assert image.shape == (256, 256, 6)
    assert not stack(example, image)[..., 0].any()
    assert stack(example, image)[..., 1].any()
    assert stack(example, aux).tolist() == [0.0]


def test_a_place_has_its_time_and_its_label(fields: dict[str, bytes]) -> None:
    def place(**changes: bytes | None) -> tuple[object, object]:
        found = read_place(_changed(fields, **changes))
        return found.label, found.time and f"{found.time:%Y-%m-%d %H:%M}"

    def number(value: float) -> bytes:
        return feature_bytes(ValueKind.FLOAT, [value])

    # midnight of 1 May; as float32, in steps of 131 s, it is 56 s before
    assert place(timestamp=number(1556668800000.0), sm_0_5=number(0.25)) == (0.25, "2019-04-30 23:59")
    assert place(sm_0_5=number(0), sm_5_5=number(0.5))[0] == 0.5
    assert place(sm_0_5=number(0))[0] is None
    assert place(sm_0_5=None)[0] is None
    assert place(sm_0_5=b"")[0] is None
    assert place(timestamp=None)[1] is None
    assert place(timestamp=number(float("inf")))[1] is None


def test_the_type_of_a_field_that_the_scripts_do_not_read_does_not_matter(fields: dict[str, bytes]) -> None:
    example = _changed(fields, mask=feature_bytes(ValueKind.BYTES, [b"any"]), utm_zone=b"")
    assert read_place(example).sensor.startswith("MADEUP__")


def test_nothing_is_left_in_the_folder_of_a_shard_that_fails(tmp_path: Path) -> None:
    from runtime.demo.fusion import write_shard

    def fails() -> object:
        yield {"x": b""}
        raise ValueError("of the writer")

    with pytest.raises(ValueError, match="of the writer"):
        write_shard(tmp_path / "shard.gz", fails())  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
