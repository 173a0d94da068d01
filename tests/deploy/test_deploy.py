"""Compose, Kubernetes and Terraform files, checked as far as their tools install beside the code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from pipelines import cli
from pipelines.base.paths import CHECKOUT

DEPLOY = CHECKOUT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
KUBERNETES = "1.30"


def documents(file: Path) -> list[dict]:
    return [document for document in yaml.safe_load_all(file.read_text()) if document]


def every_document() -> list[dict]:
    return [d for file in MANIFESTS if file.name != "kustomization.yaml" for d in documents(file)]


@pytest.mark.parametrize(
    "file", [f for f in MANIFESTS if f.name != "kustomization.yaml"], ids=lambda f: f.name
)
def test_each_manifest_is_valid_for_its_kubernetes_version(file):
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    for document in documents(file):
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_the_worker_pod_is_a_valid_pod_with_the_container_that_airflow_expects():
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    (config,) = [d for d in every_document() if d["metadata"]["name"] == "worker-pod"]
    pod = yaml.safe_load(config["data"]["worker.yaml"])
    kubernetes_validate.validate(pod, KUBERNETES, strict=True)
    assert pod["spec"]["containers"][0]["name"] == "base" and pod["spec"]["restartPolicy"] == "Never"


def test_what_a_manifest_refers_to_is_there():
    found = {(d["kind"], d["metadata"]["name"]) for d in every_document()}
    text = "".join(file.read_text() for file in MANIFESTS)
    for kind, pattern in (
        ("ConfigMap", r"configMap(?:Ref)?: \{name: ([\w-]+)"),
        ("PersistentVolumeClaim", r"claimName: ([\w-]+)"),
        ("ServiceAccount", r"serviceAccountName: ([\w-]+)"),
    ):
        assert {(kind, name) for name in re.findall(pattern, text)} <= found
    listed = documents(DEPLOY / "kubernetes/kustomization.yaml")[0]["resources"]
    assert {f.name for f in MANIFESTS} == {"kustomization.yaml", *listed}


def test_services_find_their_pods():
    pods = [
        d["spec"]["template"]["metadata"]["labels"]
        for d in every_document()
        if "template" in d.get("spec", {})
    ]
    for service in (d for d in every_document() if d["kind"] == "Service"):
        assert service["spec"]["selector"] in pods, service["metadata"]["name"]


def test_the_terraform_module_parses_and_reads_manifests_that_exist():
    hcl2 = pytest.importorskip("hcl2")
    for file in sorted((DEPLOY / "terraform").glob("*.tf")):
        with file.open() as opened:
            assert hcl2.load(opened)
    main = (DEPLOY / "terraform/main.tf").read_text()
    names = re.search(r"files\s*=\s*\[([^\]]*)\]", main).group(1)
    listed = {name + ".yaml" for name in re.findall(r'"([\w-]+)"', names)}
    assert listed == {f.name for f in MANIFESTS} - {"kustomization.yaml", "namespace.yaml"}
    # Several documents are told apart by kind and name, so no two may share both.
    keys = [(d["kind"], d["metadata"]["name"]) for d in every_document()]
    assert len(keys) == len(set(keys))


def test_compose_asks_for_every_secret_by_name_and_the_example_lists_them():
    text = (DEPLOY / "compose/compose.yaml").read_text()
    asked = set(re.findall(r"\$\{(\w+)", text))
    example = (DEPLOY / "compose/.env.example").read_text()
    assert asked == set(re.findall(r"^(\w+)=$", example, re.MULTILINE))
    assert not re.search(r"PASSWORD: [^$\s]", text), "a password stands in the file"


def test_compose_publishes_ports_on_loopback_alone():
    services = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())["services"]
    for service in services.values():
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))


def test_images_are_pinned():
    for file in DEPLOY.rglob("*.y*ml"):
        for image in re.findall(r"^\s*(?:- )?image: (\S+)", file.read_text(), re.MULTILINE):
            assert ":" in image and not image.endswith(":latest"), (file, image)


def test_the_commands_that_containers_run_exist():
    text = "".join(file.read_text() for file in DEPLOY.rglob("*.yaml"))
    commands = set(re.findall(r'command: \["?viaduct"?, "?([a-z-]+)', text))
    assert commands == {"serve", "dashboard"} and commands <= set(cli.PASSED_ON)


def test_the_image_copies_what_the_repository_has():
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    copied = [part for line in lines if line.startswith("COPY") for part in line.split()[1:-1]]
    assert copied and all((CHECKOUT / name).exists() for name in copied)


def test_docker_compose_accepts_the_file():
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "compose", "version"], capture_output=True).returncode != 0:
        pytest.skip("docker compose is missing")
    example = (DEPLOY / "compose/.env.example").read_text()
    values = dict.fromkeys(re.findall(r"^(\w+)=$", example, re.MULTILINE), "x")
    command = [docker, "compose", "-f", str(DEPLOY / "compose/compose.yaml"), "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **values})
    assert done.returncode == 0, done.stderr


def test_beams_services_share_the_schedulers_network_and_home():
    """Nodes run in the scheduler's container and find the job service at localhost; both sides see the same files."""
    services = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())["services"]
    beam = {name: service for name, service in services.items() if service.get("profiles") == ["beam"]}
    assert set(beam) == {"beam-jobs", "beam-pool-1", "beam-pool-2", "beam-front"}
    for service in beam.values():
        assert service["network_mode"] == "service:scheduler" and service["volumes"] == [
            "home:/var/lib/viaduct"
        ]
    assert (CHECKOUT / beam["beam-front"]["command"][1]).is_file()
    pools = [f"localhost:{beam[f'beam-pool-{number}']['command'][-1]}" for number in (1, 2)]
    assert beam["beam-front"]["command"][-2:] == pools


def test_airflows_services_run_and_find_their_api_server_in_compose_and_kubernetes():
    services = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())["services"]
    compose = {name: s["command"] for name, s in services.items() if s.get("command", [""])[0] == "airflow"}
    pods = [d["spec"]["template"]["spec"] for d in every_document() if d["kind"] == "Deployment"]
    commands = [container["command"] for pod in pods for container in pod["containers"]]
    kubernetes = [command for command in commands if command[0] == "airflow"]
    expected = {"api-server", "scheduler", "dag-processor", "triggerer"}
    assert {command[1] for command in compose.values()} == {command[1] for command in kubernetes} == expected
    (settings,) = [d["data"] for d in every_document() if d["metadata"]["name"] == "airflow-settings"]
    names = {d["metadata"]["name"] for d in every_document() if d["kind"] == "Service"}
    for environment, known in ((services["scheduler"]["environment"], set(services)), (settings, names)):
        url = environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]
        assert re.fullmatch(r"http://([\w-]+):8080/execution/", url).group(1) in known
        assert environment["AIRFLOW__CORE__AUTH_MANAGER"].endswith("FabAuthManager")
    # Whoever signs a task's token and whoever checks it share the secret.
    assert "AIRFLOW__API_AUTH__JWT_SECRET" in services["scheduler"]["environment"]
    for file in (DEPLOY / "README.md", DEPLOY / "terraform/main.tf"):
        assert "AIRFLOW__API_AUTH__JWT_SECRET" in file.read_text(), file
