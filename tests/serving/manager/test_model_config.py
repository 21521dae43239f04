"""Model config files and flags: the models that they name, and the errors of invalid ones."""

import pytest

pytest.importorskip("tensorflow_serving")

from serving.config import ServerConfig
from serving.errors import Code, ServingError
from serving.manager.model_config import ModelConfig, configured_models, reloaded_models
from serving.manager.version_policy import VersionPolicy


def read(tmp_path, text: str) -> list[ModelConfig]:
    file = tmp_path / "models.config"
    file.write_text(text)
    return configured_models(ServerConfig(model_config_file=str(file)))


def test_a_whole_config_file(tmp_path):
    models = read(
        tmp_path,
        """
        # a comment
        model_config_list {
          config {
            name: "a" base_path: "/models/a" model_platform: "tensorflow"
            model_version_policy { specific { versions: 1 versions: 20170111173521 } }
            version_labels { key: "stable" value: 1 }
            version_labels { key: "canary" value: 20170111173521 }
            logging_config { sampling_config { sampling_rate: 0.1 } }
          }
          config: { name: 'b', base_path: 'gs://bucket/b', model_platform: 'tensorflow',
                    model_version_policy: { all: {} } }
          config { name: "c" base_path: "/c" model_type: TENSORFLOW
                   model_version_policy { latest { num_versions: 3 } } }
          config { name: "d" base_path: "/d" model_platform: "tensorflow" model_version_policy { latest {} } }
          config { name: "e" base_path: "/e" model_platform: "tensorflow" model_version_policy { specific {} } }
        }
        """,
    )
    assert models == [
        ModelConfig(
            "a",
            "/models/a",
            VersionPolicy(specific=frozenset({1, 20170111173521})),
            {"stable": 1, "canary": 20170111173521},
        ),
        ModelConfig("b", "gs://bucket/b", VersionPolicy(newest=None)),
        ModelConfig("c", "/c", VersionPolicy(newest=3)),
        ModelConfig("d", "/d", VersionPolicy(newest=1)),
        ModelConfig("e", "/e", VersionPolicy(specific=frozenset())),
    ]
    assert models[0].policy.choose({1, 2}) == {1}
    assert models[4].policy.choose({1, 2}) == set()


def test_an_empty_file_serves_nothing(tmp_path):
    assert read(tmp_path, "") == read(tmp_path, "model_config_list {}") == []


ONE = 'model_config_list {{ config {{ name: "m" base_path: "/m" {} }} }}'


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (
            "model_config_list { config { nam",
            Code.INVALID_ARGUMENT,
            "Error parsing text-format tensorflow.serving.ModelS",
        ),
        ("nonsense: 1", Code.INVALID_ARGUMENT, "Error parsing text-format tensorflow.serving.ModelServerConfig: .*1:1"),
        ("\udcff", Code.INVALID_ARGUMENT, "Error parsing text-format"),
        ("custom_model_config {}", Code.FAILED_PRECONDITION, "Cannot transition to requested config"),
        (
            ONE.format(""),
            Code.INVALID_ARGUMENT,
            r"Illegal setting neither ModelServerConfig::model_type \(deprecated\) nor",
        ),
        (
            ONE.format('model_type: TENSORFLOW model_platform: "tensorflow"'),
            Code.INVALID_ARGUMENT,
            r"Illegal setting both ModelServerConfig::model_type \(deprecated\) and ModelServerConfig::model_platform.",
        ),
        (
            ONE.format("model_type: OTHER"),
            Code.INVALID_ARGUMENT,
            "ModelServerConfig::model_type choice 2 not supported",
        ),
    ],
)
def test_invalid_files(tmp_path, text, code, message):
    file = tmp_path / "models.config"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ServingError, match=message) as caught:
        configured_models(ServerConfig(model_config_file=str(file)))
    assert caught.value.code is code


def test_a_missing_file(tmp_path):
    with pytest.raises(ServingError, match="cannot read the model config file"):
        configured_models(ServerConfig(model_config_file=str(tmp_path / "none")))


def test_one_model_by_flags(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert configured_models(ServerConfig(model_base_path="m")) == [ModelConfig("default", str(tmp_path / "m"))]
    uri = "s3://bucket/m"
    assert configured_models(ServerConfig(model_base_path=uri, model_name="n")) == [ModelConfig("n", uri)]
    with pytest.raises(ServingError, match="nothing to serve"):
        configured_models(ServerConfig())


def test_only_a_list_can_be_reloaded():
    from tensorflow_serving.config import model_server_config_pb2

    config = model_server_config_pb2.ModelServerConfig()
    for _ in range(2):
        with pytest.raises(ServingError, match="ServerModelConfig type not supported by HandleReloadConfigRequest"):
            reloaded_models(config)
        config.custom_model_config.SetInParent()
    config.model_config_list.SetInParent()
    assert reloaded_models(config) == []
