"""The lock files of the images name every package that pyproject.toml asks for, in a version that fits, with hashes."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
IMAGES = {
    "requirements.lock": ("3.11", ["openvino", "service", "earthdata", "cds"]),
    "requirements-gpu.lock": ("3.11", ["cuda", "tensorrt-rtx", "service", "earthdata", "cds"]),
    "requirements-tensorrt.lock": ("3.12", ["tensorrt-image", "service", "earthdata", "cds"]),
}


def _locked(name: str, python: str) -> dict[str, str]:
    """Return the version of each package that this Python on Linux would get."""
    found = {}
    for line in re.sub(r"\\\n", " ", (ROOT / name).read_text()).splitlines():
        if line and not line.lstrip().startswith("#"):
            text, *hashes = line.split("--hash=")
            assert hashes, f"{line}: has no hash"
            assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each.split("#")[0].strip()) for each in hashes)
            requirement = Requirement(text)
            environment = {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": "linux"}
            if requirement.marker is None or requirement.marker.evaluate(environment):
                (version,) = requirement.specifier
                assert version.operator == "=="
                found[requirement.name.lower().replace("_", "-")] = version.version
    return found


@pytest.mark.parametrize("name", IMAGES)
def test_a_lock_file_has_what_its_image_needs(name: str) -> None:
    python, extras = IMAGES[name]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = _locked(name, python)
    for text in (*project["dependencies"], *(each for e in extras for each in project["optional-dependencies"][e])):
        requirement = Requirement(text)
        version = locked.get(requirement.name.lower().replace("_", "-"))
        assert version, f"{name} has no {requirement.name}; run scripts/lock.sh"
        assert requirement.specifier.contains(version), f"{name} has {requirement.name} {version}; run scripts/lock.sh"
    assert not {"torch", "pytest"} & set(locked)


def test_the_images_install_from_the_lock_files() -> None:
    stages = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(), flags=re.M)
    for target, name in zip(("cpu", "gpu", "tensorrt"), IMAGES, strict=True):
        (packages,) = (stage for stage in stages if re.match(rf"\S+ AS {target}-packages\n", stage))
        (image,) = (stage for stage in stages if re.match(rf"\S+ AS {target}\n", stage))
        assert f"--require-hashes -r /{name}" in packages
        assert f"COPY --from={target}-packages" in image
        assert "--no-deps" in image


def test_the_base_image_is_named_by_its_digest() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^ARG PYTHON_IMAGE=python:[\w.-]+@sha256:[0-9a-f]{64}$", text, flags=re.M)
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", text, flags=re.M)
    assert {base for base, _ in stages} <= {"${PYTHON_IMAGE}", *(name for _, name in stages)}


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_has_one_onnxruntime_and_a_gpu_image_the_libraries_that_it_links(name: str) -> None:
    locked = _locked(name, IMAGES[name][0])
    assert len({"onnxruntime", "onnxruntime-gpu"} & set(locked)) == 1
    cuda = {package for package in locked if package.startswith("nvidia-")}
    if name == "requirements-gpu.lock":  # onnxruntime-gpu 1.31 links libraries of CUDA 13 and cuDNN 9
        assert {"nvidia-cublas", "nvidia-cuda-runtime", "nvidia-cudnn-cu13", "nvidia-cufft", "nvidia-curand"} <= cuda
        assert {locked[each].split(".")[0] for each in ("nvidia-cublas", "nvidia-cuda-runtime")} == {"13"}
    else:
        assert cuda == set()
