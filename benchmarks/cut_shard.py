"""Cut a shard of two examples with all 106 fields at every byte, and count what `read_records` says of each rest.

The file as it is, compressed with gzip, is cut at every byte. Its records as they are unpacked, 35 MB, are cut at every
byte where the bytes change, at the 4 bytes on both sides of it, and at every 65,536th byte: all but the insides of the
images, which are constant. Each rest must be refused by the name of the file and the number of the record, after the
records before it. The one exception: the records end where the first one ends, which is a whole file of one record.

    python -m benchmarks.cut_shard --json benchmarks/results/cut_shard.json
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from runtime.demo.fusion import made_up_examples, made_up_sensors
from runtime.retrieval.example import example_bytes, image_bytes
from runtime.retrieval.schema import FIELDS, IMAGE_SIZE
from runtime.retrieval.tfrecord import BadRecord, read_records, record_writer

_BESIDE, _STEP = 4, 65536


def write_two_examples(path: Path) -> None:
    """Write two made-up examples with all fields; their images have the true shape and one value each."""
    with record_writer(path, 9) as write:
        for number, fields in enumerate(made_up_examples(made_up_sensors(2, 1), 1, 1)):
            assert len(fields) == len(FIELDS) == 106
            for place, name in enumerate(each for each, value in fields.items() if len(value) > IMAGE_SIZE**2):
                fields[name] = image_bytes(np.full((IMAGE_SIZE, IMAGE_SIZE), place + number))
            write(example_bytes(fields))


def places_of_change(stream: bytes) -> list[int]:
    """Return the sizes to cut the unpacked records to, the largest first."""
    changes = np.flatnonzero(np.diff(np.frombuffer(stream, np.uint8)))
    near = np.add.outer(changes, np.arange(-_BESIDE, _BESIDE + 2)).ravel()
    places = np.union1d(near, np.arange(0, len(stream), _STEP))
    return [int(place) for place in places[(places >= 0) & (places < len(stream))]][::-1]


def cut(path: Path, sizes: Iterable[int]) -> dict[str, int]:
    """Cut a file to each size, the largest first, and count what is said of it; numbers of bytes are left out.

    Raises
    ------
    AssertionError
        A rest is not refused by the file's name and the number of its record.
    """
    found: Counter[str] = Counter()
    for size in sizes:
        os.truncate(path, size)
        whole = 0
        said = ""
        for each in read_records(path):
            if isinstance(each, BadRecord):
                said = str(each)
            else:
                whole += 1
        if said:
            start = f"{path}: record {whole + 1}: "
            assert said.startswith(start), (size, said)
            found[f"record {whole + 1}: " + re.sub(r"\d+", "N", said.removeprefix(start))] += 1
        else:
            found[f"a whole file of {whole} record"] += 1
    return dict(found)


def measure(folder: Path) -> dict[str, Any]:
    """Cut both files, and return the counts."""
    packed, unpacked = folder / "data-00000-of-00001.tfrecord.gz", folder / "data-00000-of-00001.tfrecord"
    write_two_examples(packed)
    stream = gzip.decompress(packed.read_bytes())
    unpacked.write_bytes(stream)
    results = {}
    for path, sizes in ((packed, range(packed.stat().st_size - 1, -1, -1)), (unpacked, places_of_change(stream))):
        size, began = path.stat().st_size, time.process_time()
        said = cut(path, sizes)
        seconds = round(time.process_time() - began)
        results[path.name] = {"bytes": size, "cuts": len(sizes), "seconds_of_computing": seconds, "said": said}
    assert "a whole file of 1 record" not in results[packed.name]["said"]
    assert results[unpacked.name]["said"].pop("a whole file of 1 record") == 1
    results[unpacked.name]["cuts"] -= 1
    return results


def main() -> None:
    """Cut a shard, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file to write the counts to")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = measure(Path(folder))
    text = json.dumps(results, indent=1)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
