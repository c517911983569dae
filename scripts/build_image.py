"""Build an image of the Dockerfile without a Docker engine and without a registry of images.

It needs root, and buildah and debootstrap of Debian:

    python scripts/build_image.py [--target cpu|gpu|tensorrt]

The base image, `localhost/python:3.11-slim-bookworm`, is Debian with Python, and is made once. pip uses this machine's
settings and certificates. They are mounted during the build and do not become part of the image.
"""

import argparse
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BASE = "localhost/python:3.11-slim-bookworm"
PACKAGES = "ca-certificates,python3,python3-pip,python3-venv"


def build(target: str = "cpu", storage: Path | None = None) -> str:
    """Build a target of the Dockerfile, and its base if there is none.

    Parameters
    ----------
    target : str
        Stage of the Dockerfile: ``cpu``, ``gpu`` or ``tensorrt``.
    storage : Path, optional
        Folder for images; None is Buildah's own.

    Returns
    -------
    str
        Name of the image.
    """
    buildah = ["buildah", *storage_options(storage)]
    image = f"localhost/seamless-sm:{target}"
    if not _run(*buildah, "images", "--filter", f"reference={BASE}", "--quiet"):
        _make_base(buildah)
    with tempfile.TemporaryDirectory() as folder:
        options = ["--format", "docker", "--isolation", "chroot", "--pull=never"]
        command = [*buildah, "build", *options, *_pip_settings(Path(folder)), "--build-arg", f"PYTHON_IMAGE={BASE}"]
        subprocess.run([*command, "--target", target, "--tag", image, ROOT], check=True, stdout=sys.stderr)
    return image


def storage_options(storage: Path | None) -> list[str]:
    """Return the options of Buildah and Podman for a folder of images.

    Parameters
    ----------
    storage : Path, optional
        The folder; None is their own.

    Returns
    -------
    list of str
        The options.
    """
    return ["--root", f"{storage}/images", "--runroot", f"{storage}/run"] if storage else []


def _make_base(buildah: list[str]) -> None:
    container = _run(*buildah, "from", "scratch")
    try:
        folder = Path(_run(*buildah, "mount", container))
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm"]
        subprocess.run([*command, folder], check=True, stdout=sys.stderr)
        waste = ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man")
        subprocess.run(["find", *(folder / each for each in waste), "-type", "f", "-delete"], check=True)
        _run(*buildah, "config", "--cmd", "python3", container)
        _run(*buildah, "commit", "--format", "docker", container, BASE)
    finally:
        _run(*buildah, "rm", container)


def _pip_settings(folder: Path) -> list[str]:
    """Return the options that mount this machine's pip settings and its certificates into a build."""
    settings: dict[str, str] = {}
    for line in _run(sys.executable, "-m", "pip", "config", "list").splitlines():
        key, _, value = line.partition("=")
        settings.setdefault(key.rsplit(".")[-1], value.strip("'"))  # the environment comes first, and wins in pip too
    volumes = [f"--volume={folder}/pip.conf:/etc/pip.conf:ro"]
    if certificates := settings.get("cert") or ssl.get_default_verify_paths().cafile:
        settings["cert"] = certificates
        volumes.append(f"--volume={certificates}:{certificates}:ro")
    (folder / "pip.conf").write_text("[global]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items()))
    return volumes


def _run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="cpu", choices=["cpu", "gpu", "tensorrt"])
    parser.add_argument("--storage", type=Path, help="folder for images; unless given, Buildah's own")
    arguments = parser.parse_args()
    print(build(arguments.target, arguments.storage))
