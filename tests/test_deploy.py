"""The examples in `deploy/` are valid, and give the container no more rights than it needs."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from runtime.config import load_config

DEPLOY = Path(__file__).parents[1] / "deploy"
Node = dict[str, Any]
FOLDERS = {"/config", "/archive", "/state", "/inbox"}


@pytest.fixture(scope="module")
def manifests() -> Node:
    """The Kubernetes objects, by kind."""
    return {each["kind"]: each for each in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())}


@pytest.fixture(scope="module")
def pods(manifests: Node) -> list[Node]:
    """The pods of the Deployment and of the CronJob."""
    job = manifests["CronJob"]["spec"]["jobTemplate"]["spec"]
    return [manifests["Deployment"]["spec"]["template"]["spec"], job["template"]["spec"]]


@pytest.fixture(scope="module")
def service() -> Node:
    """The service of the compose file."""
    return yaml.safe_load((DEPLOY / "docker-compose.yml").read_text())["services"]["seamless-sm"]


def test_the_compose_file_follows_its_specification() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*check, DEPLOY / "docker-compose.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["ConfigMap", "PersistentVolumeClaim", "Deployment", "CronJob"])
def test_kubernetes_objects_follow_their_schemas_without_unknown_fields(manifests: Node, kind: str) -> None:
    kubernetes_validate.validate(manifests[kind], "1.31", strict=True)


def test_the_configuration_in_the_kubernetes_example_is_valid(manifests: Node, tmp_path: Path) -> None:
    (tmp_path / "seamless-sm.toml").write_text(manifests["ConfigMap"]["data"]["seamless-sm.toml"])
    load_config(tmp_path / "seamless-sm.toml", environment={})


def test_containers_have_no_root_no_capabilities_and_a_read_only_file_system(service: Node, pods: list[Node]) -> None:
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    for pod in pods:
        (container,) = pod["containers"]
        rights = container["securityContext"]
        assert pod["securityContext"]["runAsUser"] == 10001
        assert rights["readOnlyRootFilesystem"]
        assert rights["capabilities"] == {"drop": ["ALL"]}


def test_every_folder_of_the_image_is_mounted(service: Node, pods: list[Node]) -> None:
    assert {mount.split(":")[1] for mount in service["volumes"]} >= FOLDERS
    assert "/tmp" in service["tmpfs"]
    for pod in pods:
        mounted = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        assert mounted == FOLDERS | {"/tmp"}
        assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == {v["name"] for v in pod["volumes"]}


def test_the_service_is_not_killed_while_it_stops(service: Node, pods: list[Node]) -> None:
    assert service["stop_grace_period"] == "90s"
    assert pods[0]["terminationGracePeriodSeconds"] == 90
