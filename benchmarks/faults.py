"""Faults drawn from a grammar: what power cuts, people, copying programs and servers do to an archive's input."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Rng = np.random.Generator


# What is done to the bytes of a file


def _truncate(rng: Rng, content: bytes) -> bytes:
    return content and content[: int(rng.integers(len(content)))]


def _overwrite(rng: Rng, content: bytes) -> bytes:
    begin = int(rng.integers(len(content)))
    end = min(len(content), begin + int(rng.integers(1, 20_000)))
    filler = rng.bytes(end - begin) if rng.random() < 0.5 else bytes(end - begin)
    return content[:begin] + filler + content[end:]


def _flip(rng: Rng, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 12))):
        changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _replace(rng: Rng, content: bytes) -> bytes:
    signatures = [b"\x89HDF\r\n\x1a\n", b"CDF\x01"]
    pages = [b"", bytes(len(content)), b"<html>Please log in</html>", b'{"error": "busy"}', *signatures]
    return pages[int(rng.integers(len(pages)))]


BYTES: tuple[Callable[[Rng, bytes], bytes], ...] = (_truncate, _overwrite, _flip, _replace)


def damaged(rng: Rng, content: bytes) -> bytes:
    """Return a damaged copy of a file; an empty one stays as it is."""
    return content and BYTES[int(rng.integers(len(BYTES)))](rng, content)


# What else may lie in a folder


@dataclass(frozen=True)
class Place:
    """A folder feed, and one of its files."""

    feed: Path
    file: Path

    def beside(self, rng: Rng) -> Path:
        """Return a name that stands for the same day, and sorts before or after the file's."""
        number = f"{int(rng.integers(10**6)):06d}"
        return self.file.with_name(self.file.name.replace("013507", number))


def _pipe(rng: Rng, place: Place) -> None:
    os.mkfifo(place.beside(rng))


def _sparse(rng: Rng, place: Place) -> None:
    junk = place.beside(rng)
    junk.touch()
    os.truncate(junk, int(rng.integers(1, 400)) << 20)


def _link_to_nothing(rng: Rng, place: Place) -> None:
    place.beside(rng).symlink_to(place.feed / "nowhere.nc4")


def _link_to_itself(rng: Rng, place: Place) -> None:
    link = place.beside(rng)
    link.symlink_to(link)


def _unreadable(rng: Rng, place: Place) -> None:
    place.beside(rng).symlink_to("/proc/self/mem")  # chmod stops nobody who is root


def _folder_like_a_file(rng: Rng, place: Place) -> None:
    place.beside(rng).mkdir()


def _loop(rng: Rng, place: Place) -> None:
    (place.feed / f"loop{int(rng.integers(100))}").symlink_to(place.feed)


def _odd_name(rng: Rng, place: Place) -> None:
    (place.feed / os.fsdecode(b"caf\xe9" + str(rng.integers(100)).encode())).mkdir(exist_ok=True)


def _lost_and_found(rng: Rng, place: Place) -> None:
    (place.feed / "lost+found").mkdir(mode=0, exist_ok=True)


def _half_copied(rng: Rng, place: Place) -> None:
    partial = place.feed / (".rsync-partial", ".~tmp~")[int(rng.integers(2))]
    partial.mkdir(exist_ok=True)
    (partial / place.beside(rng).name).write_bytes(_truncate(rng, place.file.read_bytes()))


def _copy_in_a_folder(rng: Rng, place: Place) -> None:
    other = place.feed / f"copy{int(rng.integers(3))}"
    other.mkdir(exist_ok=True)
    content = place.file.read_bytes()
    (other / place.file.name).write_bytes(content if rng.random() < 0.5 else damaged(rng, content))


def _damaged_beside(rng: Rng, place: Place) -> None:
    place.beside(rng).write_bytes(damaged(rng, place.file.read_bytes()))


THINGS: tuple[Callable[[Rng, Place], None], ...] = (
    *(_pipe, _sparse, _link_to_nothing, _link_to_itself, _unreadable, _folder_like_a_file),
    *(_loop, _odd_name, _lost_and_found, _half_copied, _copy_in_a_folder, _damaged_beside),
)


def disturb_folder(rng: Rng, place: Place) -> str:
    """Put one thing that is no granule, or a second file of a day, into a folder; return what it is."""
    thing = THINGS[int(rng.integers(len(THINGS)))]
    try:
        thing(rng, place)
    except FileExistsError:
        return "nothing"
    return thing.__name__.strip("_").replace("_", " ")


# What a server may answer

ANSWERS: tuple[int | str, ...] = (404, 429, 500, 503, "truncated", "short", "html", "json", "redirect")
"""Answers of `tests.support.earthdata.Server` that are over soon."""


def disturb_server(rng: Rng, faults: dict[str, list[Any]], names: list[str]) -> str:
    """Let a server give wrong answers to the next requests for some files and for searches; return what they are."""
    told = []
    for name in [*names, "search"]:
        if rng.random() < 0.3:
            count = int(rng.integers(1, 6))
            answers = [ANSWERS[int(rng.integers(len(ANSWERS)))] for _ in range(count)]
            faults[name] = [a for a in answers if name != "search" or isinstance(a, int)]
            told.append(f"{name}: {faults[name]}")
    return "; ".join(told)


# What happens to fetched files and published days


def disturb_disk(rng: Rng, archive: Path) -> str:
    """Damage or delete copies in the inbox, or the file of a published day; return what was done."""
    copies = sorted((archive / ".inbox").rglob("*.nc4"))
    days = sorted(archive.glob("[0-9]*/*.nc"))[-8:]
    told = []
    for path in [*(p for p in copies if rng.random() < 0.3), *(p for p in days if rng.random() < 0.1)]:
        if rng.random() < 0.5 or path in days:
            path.unlink()
            told.append(f"{path.name} deleted")
        else:
            path.write_bytes(damaged(rng, path.read_bytes()))
            told.append(f"{path.name} damaged")
    return ", ".join(told)
