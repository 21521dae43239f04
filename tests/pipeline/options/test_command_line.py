"""The command line of all verbs: spellings, values, one-sentence errors, the help page."""

import pytest

from components.errors import UsageError
from pipeline.options.command_line import CommandLine
from serving.config import ServerConfig


@pytest.fixture
def server() -> CommandLine:
    line = CommandLine("serve", "Serves models.")
    line.add_fields(ServerConfig)
    line.add_home()
    return line


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("--rest-api-port 80", {"rest_api_port": 80}),
        ("--rest_api_port=80", {"rest_api_port": 80}),
        ("--port -1", {"port": -1}),
        ("--file_system_poll_wait_seconds=-1", {"file_system_poll_wait_seconds": -1.0}),
        ("--batching-latency-ms 1e-1", {"batching_latency_ms": 0.1}),
        ("--enable-batching", {"enable_batching": True}),
        ("--enable_batching --port 1", {"enable_batching": True, "port": 1}),
        ("--enable_batching=true", {"enable_batching": True}),
        ("--enable_batching 1", {"enable_batching": True}),
        ("--enable_batching=False", {"enable_batching": False}),
        ("--enable-model-warmup 0", {"enable_model_warmup": False}),
        ("--model_name 2024", {"model_name": "2024"}),
        ("--model-name none", {"model_name": "none"}),
        ("--mlflow-url=", {"mlflow_url": ""}),
        ("--access-log -", {"access_log": "-"}),
        ("--saved_model_tags serve,gpu", {"saved_model_tags": "serve,gpu"}),
        ("--grpc_channel_arguments a.b=1,c=2", {"grpc_channel_arguments": "a.b=1,c=2"}),
        ("--model-base-path s3://bucket/m", {"model_base_path": "s3://bucket/m"}),
        ("", {}),
    ],
)
def test_options_of_tensorflow_serving(server: CommandLine, words: str, given: dict):
    assert server.read(words.split(), defaults=False).as_dict() == given
    assert ServerConfig(**given)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--prot 80", "there is no option --prot; did you mean --port?"),
        ("--rest-api_prot=80", "there is no option --rest-api-prot; did you mean --rest-api-port?"),
        ("--port x", "port must be a whole number, not 'x'"),
        ("--enable-batching maybe", "enable_batching must be true or false, not 'maybe'"),
        ("--port", "--port requires a value (see `vision-tfx serve --help`)"),
        ("models", "unrecognized arguments: models (see `vision-tfx serve --help`)"),
    ],
)
def test_errors_are_one_sentence(server: CommandLine, words: str, message: str):
    with pytest.raises(UsageError) as error:
        server.read(words.split())
    assert str(error.value) == message


def test_help_shows_spellings_of_the_command_line(server: CommandLine, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as leaving:
        server.read(["--prot", "--help"])
    shown = capsys.readouterr().out
    assert leaving.value.code == 0
    assert shown.startswith("usage: vision-tfx serve")
    assert "--rest-api-port" in shown
    assert not any(word in shown for word in ("rest_api_port", "null", "default: )", "default: False"))


def test_flags_pairs_and_positional_arguments():
    line = CommandLine("predict", "Prints answers.")
    line.add("images", "Images.", nargs="+")
    line.add("--client-certificate", "Certificate and key.", nargs=2)
    form = line.exclusive_group()
    line.add("--json", "JSON.", to=form, dest="form", action="store_const", const="json")
    line.add("--csv", "CSV.", to=form, dest="form", action="store_const", const="csv")
    given = line.read(["--json", "a.png", "7", "--client-certificate", "c.pem", "k.pem"])
    assert (given.images, given.form, given.client_certificate) == (["a.png", "7"], "json", ["c.pem", "k.pem"])
    with pytest.raises(UsageError, match="not allowed with argument --json"):
        line.read(["a.png", "--json", "--csv"])
    with pytest.raises(UsageError, match="arguments are required: images"):
        line.read(["--json"])
    line.add("--as", "Name.", required=True)
    with pytest.raises(UsageError, match="arguments are required: --as"):
        line.read(["a.png"])


def test_home_of_the_environment(server: CommandLine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VISION_TFX_HOME", "/srv/models")
    line = CommandLine("ui", "Opens MLflow.")
    line.add_home()
    assert line.read([]).home == "/srv/models"
    assert line.read(["--home=here"]).home == "here"
