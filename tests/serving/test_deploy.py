"""Files in serving/deploy: each is valid for its reader, and they agree with each other."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "serving" / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


def manifest(name: str) -> Any:
    return yaml.safe_load((DEPLOY / "kubernetes" / f"{name}.yaml").read_text())


def container() -> Any:
    [only] = manifest("deployment")["spec"]["template"]["spec"]["containers"]
    return only


def options(words: list[str]) -> dict[str, str]:
    return dict(word.removeprefix("--").split("=", 1) for word in words)


def server_config(file: str) -> Any:
    pytest.importorskip("tensorflow")
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    return text_format.Parse((DEPLOY / file).read_text(), model_server_config_pb2.ModelServerConfig())


def test_models_config_is_a_model_server_config():
    [model] = server_config("models.config").model_config_list.config
    assert (model.name, model.model_platform) == ("digits-dbn", "tensorflow")
    assert model.base_path == "/models/digits-dbn"
    assert not model.HasField("model_version_policy")  # the newest, whatever its number


def test_canary_config_labels_the_versions_it_keeps():
    [model] = server_config("canary.config").model_config_list.config
    assert set(model.version_labels) == {"stable", "canary"}
    assert sorted(model.version_labels.values()) == sorted(model.model_version_policy.specific.versions)
    [stable] = server_config("models.config").model_config_list.config
    assert (model.name, model.base_path) == (stable.name, stable.base_path)


@pytest.mark.parametrize("file", ["models.config", "canary.config"])
def test_our_server_reads_them_too(file):
    from serving.config import ServerConfig
    from serving.manager.model_config import configured_models

    [model] = configured_models(ServerConfig(model_config_file=str(DEPLOY / file)))
    assert model.name == "digits-dbn"


def test_batching_config():
    pytest.importorskip("tensorflow")
    from serving.batching.parameters import BatchingParameters

    parameters = BatchingParameters.read(str(DEPLOY / "batching.config"))
    assert parameters.allowed_batch_sizes[-1] == parameters.max_batch_size == 64
    assert parameters.batch_timeout_micros == 2000


def test_monitoring_config():
    pytest.importorskip("tensorflow")
    from serving.rest.metrics_path import metrics_path

    annotations = manifest("deployment")["spec"]["template"]["metadata"]["annotations"]
    assert metrics_path(str(DEPLOY / "monitoring.config")) == annotations["prometheus.io/path"]


def test_compose():
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["model-server"]
    for value in options(service["command"]).values():
        if value.startswith("/config/"):
            assert (DEPLOY / Path(value).name).is_file()
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert all(volume.endswith(":ro") for volume in service["volumes"])
    assert service["healthcheck"]["test"][0] == "CMD"


def test_kustomization_names_every_manifest():
    kustomization = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())
    named = {DEPLOY / each for each in kustomization["resources"]}
    assert named == set(MANIFESTS) - {DEPLOY / "kubernetes" / "canary.yaml"}
    for generated in kustomization["configMapGenerator"]:
        for file in generated["files"]:
            assert (DEPLOY / file).is_file()


def test_deployment_mounts_what_its_options_name():
    kustomization = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())
    files = {each["name"]: each["files"] for each in kustomization["configMapGenerator"]}
    volumes = {each["name"]: each for each in manifest("deployment")["spec"]["template"]["spec"]["volumes"]}
    mounts = {each["mountPath"]: volumes[each["name"]] for each in container()["volumeMounts"]}
    for value in options(container()["args"]).values():
        if value.startswith("/"):
            path = Path(value)
            assert path.name in files[mounts[str(path.parent)]["configMap"]["name"]]
    assert mounts["/models"]["persistentVolumeClaim"]["claimName"] == manifest("models")["metadata"]["name"]


def test_health_resources_autoscaling():
    ports = {port["name"] for port in container()["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        [check] = {"tcpSocket", "httpGet"} & set(container()[probe])
        assert container()[probe][check]["port"] in ports
    assert {"cpu", "memory"} <= set(container()["resources"]["requests"])  # without them nothing is scaled
    scaler = manifest("autoscaling")["spec"]
    assert scaler["scaleTargetRef"]["name"] == manifest("deployment")["metadata"]["name"]
    assert "replicas" not in manifest("deployment")["spec"]


def test_selectors_agree():
    labels = manifest("deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        manifest("deployment")["spec"]["selector"]["matchLabels"],
        manifest("service")["spec"]["selector"],
        manifest("disruption")["spec"]["selector"]["matchLabels"],
        manifest("network")["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(selector.items() <= labels.items() for selector in selectors)
    for port in manifest("service")["spec"]["ports"]:
        assert port["targetPort"] in {each["name"] for each in container()["ports"]}


def test_canary_route_goes_where_the_labels_are():
    [model] = server_config("canary.config").model_config_list.config
    _, shared, _ = manifest("canary")["spec"]["rules"]
    weights = {}
    for backend in shared["backendRefs"]:
        [filtered] = backend["filters"]
        path = filtered["urlRewrite"]["path"]["replaceFullPath"]
        prefix, label = path.removesuffix(":predict").rsplit("/", 1)
        assert prefix == f"/v1/models/{model.name}/labels"
        weights[label] = backend["weight"]
        assert backend["name"] == manifest("service")["metadata"]["name"]
    assert weights == {"stable": 95, "canary": 5}
    assert set(weights) == set(model.version_labels)


def test_no_privileges():
    pod = manifest("deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container()["securityContext"]["readOnlyRootFilesystem"]
    assert container()["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container()["image"] in (DEPLOY / "compose.yaml").read_text()  # one version in both


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")
def test_kustomize_builds():
    done = subprocess.run(["kubectl", "kustomize", str(DEPLOY)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kinds = {each["kind"] for each in yaml.safe_load_all(done.stdout)}
    assert {"Deployment", "Service", "HorizontalPodAutoscaler", "ConfigMap", "NetworkPolicy"} <= kinds
