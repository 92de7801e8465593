"""The manifests are what Kubernetes' own schemas say, fit each other, and hold what the service needs."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.app.support import ROOT
from tests.deploy.support import assert_probe, assert_settings, assert_time_to_end, one

KUBERNETES = ROOT / "deploy" / "kubernetes"
BASE, OVERLAY = KUBERNETES / "base", KUBERNETES / "overlays" / "postgres"
VERSIONS = ("1.30", "1.34", "1.37")
LABELS = {"app.kubernetes.io/name": "review-lm"}
FILES = sorted(path for path in BASE.glob("*.yaml") if path.name != "kustomization.yaml")

Manifest = dict[str, Any]


def read(path: Path) -> Manifest:
    manifest: Manifest = yaml.safe_load(path.read_text())
    return manifest


def built(folder: Path) -> dict[str, Manifest]:
    """What kustomize makes of a folder, by kind."""
    if not shutil.which("kubectl"):
        if os.environ.get("KUSTOMIZE_TESTS") == "required":
            pytest.fail("kubectl is not installed")
        pytest.skip("kubectl is not installed; KUSTOMIZE_TESTS=required makes this a failure")
    ran = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return {manifest["kind"]: manifest for manifest in yaml.safe_load_all(ran.stdout)}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_manifest_is_as_the_schema_says(path: Path, version: str) -> None:
    kubernetes_validate.validate(read(path), version, strict=True)


def test_a_slip_of_the_pen_is_found() -> None:
    deployment = read(BASE / "deployment.yaml")
    deployment["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readinesProbe"):
        kubernetes_validate.validate(deployment, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("folder", [BASE, OVERLAY], ids=lambda folder: folder.name)
def test_what_kustomize_makes_is_as_the_schema_says(folder: Path) -> None:
    manifests = built(folder)
    assert len(manifests) == len(FILES)
    for manifest in manifests.values():
        kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)


def test_no_manifest_is_forgotten() -> None:
    assert set(read(BASE / "kustomization.yaml")["resources"]) == {path.name for path in FILES}


def test_all_of_them_mean_the_same_pods() -> None:
    deployment = read(BASE / "deployment.yaml")
    assert deployment["spec"]["template"]["metadata"]["labels"] == LABELS
    assert deployment["spec"]["selector"] == {"matchLabels": LABELS}
    assert read(BASE / "service.yaml")["spec"]["selector"] == LABELS
    assert read(BASE / "disruption-budget.yaml")["spec"]["selector"] == {"matchLabels": LABELS}
    assert read(BASE / "network-policy.yaml")["spec"]["podSelector"] == {"matchLabels": LABELS}
    scaled = read(BASE / "autoscaler.yaml")["spec"]["scaleTargetRef"]
    assert scaled == {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment["metadata"]["name"]}


def test_ports_are_the_ones_that_the_image_listens_on() -> None:
    (port,) = container(read(BASE / "deployment.yaml"))["ports"]
    assert f"EXPOSE {port['containerPort']}\n" in (ROOT / "Dockerfile").read_text()
    assert read(BASE / "service.yaml")["spec"]["ports"][0]["targetPort"] == port["name"]
    assert read(BASE / "network-policy.yaml")["spec"]["ingress"] == [{"ports": [{"port": port["name"]}]}]


def test_the_service_starts_and_ends_with_what_it_is_told() -> None:
    pod = read(BASE / "deployment.yaml")["spec"]["template"]["spec"]
    variables = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}
    assert_settings(variables)
    assert_time_to_end(variables, pod["terminationGracePeriodSeconds"])
    assert pod["enableServiceLinks"] is False  # of a Service named review-lm they would set REVIEW_LM_PORT
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert_probe(pod["containers"][0][probe]["httpGet"]["path"])


def test_the_pod_is_restricted_and_can_write_where_the_image_does() -> None:
    """The fields of the Pod Security Standards' level `restricted`."""
    pod = read(BASE / "deployment.yaml")["spec"]["template"]["spec"]
    image = (ROOT / "Dockerfile").read_text()
    own = pod["containers"][0]["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert f"useradd --system --uid {pod['securityContext']['runAsUser']} " in image
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    log = one(pod["containers"][0]["volumeMounts"], name="log")
    assert f"VOLUME {log['mountPath']}\n" in image
    assert all("sizeLimit" in volume["emptyDir"] for volume in pod["volumes"])


def test_the_autoscaler_has_what_it_measures_by() -> None:
    (metric,) = read(BASE / "autoscaler.yaml")["spec"]["metrics"]
    assert metric["resource"]["name"] in container(read(BASE / "deployment.yaml"))["resources"]["requests"]


def test_the_overlay_has_one_log_for_all_and_asks_for_keys() -> None:
    manifests = built(OVERLAY)
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    variables = {each["name"]: each for each in pod["containers"][0]["env"]}
    assert_settings({name: each["value"] for name, each in variables.items() if "value" in each})
    secret = one(pod["volumes"], name="keys")["secret"]
    assert variables["DATABASE_URL"]["valueFrom"]["secretKeyRef"]["name"] == secret["secretName"]
    mounted = one(pod["containers"][0]["volumeMounts"], name="keys")["mountPath"]
    assert variables["REVIEW_LM_API_KEYS_FILE"]["value"] == f"{mounted}/{secret['items'][0]['path']}"
    assert "REVIEW_LM_LOG_MAX_ROWS" not in variables, "every pod would delete from the log of all"
    base = {each["name"] for each in container(read(BASE / "deployment.yaml"))["env"]}
    assert {"REVIEW_LM_DRAIN_SECONDS", "REVIEW_LM_SHUTDOWN_SECONDS"} <= base & variables.keys()


def test_pods_reach_the_database_and_nothing_else() -> None:
    assert read(BASE / "network-policy.yaml")["spec"]["egress"] == []
    policy = built(OVERLAY)["NetworkPolicy"]["spec"]
    assert policy["podSelector"] == {"matchLabels": LABELS}
    assert policy["ingress"] == read(BASE / "network-policy.yaml")["spec"]["ingress"]
    assert {port["port"] for port in policy["egress"][0]["ports"]} == {5432, 53}


def container(deployment: Manifest) -> Manifest:
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    found: Manifest = only
    return found
