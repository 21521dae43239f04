"""Settings of the model server, with TensorFlow Serving's names and defaults. Standard library only."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class ServerConfig:
    """Settings of a model server; every field is an option of `vision-tfx serve`.

    Names and defaults are those of `tensorflow_model_server`. Settings that it lacks are marked *.

    Args:
        port: Port for gRPC; 0 for none, -1 for any free port.
        rest_api_port: Port for REST; 0 for none, -1 for any free port.
        host: * Address to listen on; the default accepts connections from this machine only.
        model_name: Name of the model in `model_base_path`.
        model_base_path: Folder or URI with one sub-folder per version.
        model_config_file: `ModelServerConfig` in protobuf's text format: several models, version policies, labels.
        model_roots: * Comma-separated folders or URIs, one of which must contain every base path and version, also
            those of a reload; empty allows any path.
        model_config_file_poll_wait_seconds: Seconds between two readings of the model config file; 0 reads it once.
        file_system_poll_wait_seconds: Seconds between two searches for new versions; 0 searches once, a negative
            number never.
        rest_api_timeout_in_ms: Longest duration of a REST request, in milliseconds.
        rest_api_enable_cors_support: Whether web pages of other origins may call REST.
        threads: * Number of model calls that run at the same time; 0 means four per core, as in TensorFlow Serving.
        enable_batching: Whether concurrent requests are run together as one batch.
        batching_parameters_file: `BatchingParameters` in protobuf's text format; without it, batching tunes itself.
        enable_per_model_batching_parameters: Whether `batching_params.pbtxt` in a version's folder is used.
        batching_latency_ms: * Longest time that self-tuned batching delays a request, in milliseconds.
        enable_model_warmup: Whether a version's stored requests are run before it becomes available.
        num_request_iterations_for_warmup: Number of times that each stored request is run.
        synthetic_warmup: * Whether a model without stored requests is warmed up with requests made from its signatures.
        max_num_load_retries: Number of further attempts after a failed load.
        load_retry_interval_micros: Microseconds between these attempts.
        num_load_threads: Number of versions that load at the same time; 0 means four per core.
        allow_version_labels_for_unavailable_models: Whether a new label may name a version that is not loaded yet.
        saved_model_tags: Comma-separated tags of the graph to load.
        tensorflow_intra_op_parallelism: Number of threads for one operation; 0 lets TensorFlow choose.
        monitoring_config_file: `MonitoringConfig` in protobuf's text format, which names the path of the metrics.
        ssl_config_file: `SSLConfig` in protobuf's text format; it secures both ports, in TensorFlow Serving only gRPC.
        bearer_token_file: * File whose only line is the bearer token that every request must send.
        grpc_socket_path: Unix socket on which gRPC listens as well; empty for none.
        grpc_channel_arguments: Comma-separated key=value pairs of gRPC channel arguments.
        max_body_bytes: * Largest size of a request in bytes, after decompression.
        max_image_pixels: * Largest number of pixels of one encoded image, as its header states it.
        max_batch_rows: * Largest number of rows of one request.
        max_concurrent_requests: * Number of requests in progress from which on new ones are refused.
        shutdown_grace_seconds: * Seconds that requests in progress have to finish after SIGTERM.
        access_log: * JSON Lines file with one line per request; "-" for standard error, empty for none.
        request_log_dir: * Folder for PredictionLog records of sampled requests; empty for none.
        request_log_sampling_rate: * Fraction of the requests to log, 0 to 1.
        mlflow_url: * Address of MLflow to which the demo page links; empty for none.

    Example:
        >>> ServerConfig(model_roots="/models, gs://bucket/models").roots
        ('/models', 'gs://bucket/models')
    """

    port: int = 8500
    rest_api_port: int = 8501
    host: str = "127.0.0.1"
    model_name: str = "default"
    model_base_path: str = ""
    model_config_file: str = ""
    model_roots: str = ""
    model_config_file_poll_wait_seconds: float = 0
    file_system_poll_wait_seconds: float = 1
    rest_api_timeout_in_ms: int = 30000
    rest_api_enable_cors_support: bool = False
    threads: int = 0
    enable_batching: bool = False
    batching_parameters_file: str = ""
    enable_per_model_batching_parameters: bool = False
    batching_latency_ms: float = 10
    enable_model_warmup: bool = True
    num_request_iterations_for_warmup: int = 1
    synthetic_warmup: bool = True
    max_num_load_retries: int = 5
    load_retry_interval_micros: int = 60_000_000
    num_load_threads: int = 0
    allow_version_labels_for_unavailable_models: bool = False
    saved_model_tags: str = "serve"
    tensorflow_intra_op_parallelism: int = 0
    monitoring_config_file: str = ""
    ssl_config_file: str = ""
    bearer_token_file: str = ""
    grpc_socket_path: str = ""
    grpc_channel_arguments: str = ""
    max_body_bytes: int = 100 * 1024 * 1024
    max_image_pixels: int = 50_000_000
    max_batch_rows: int = 10_000
    max_concurrent_requests: int = 1000
    shutdown_grace_seconds: float = 30
    access_log: str = ""
    request_log_dir: str = ""
    request_log_sampling_rate: float = 0.01
    mlflow_url: str = ""

    @property
    def inference_threads(self) -> int:
        """Number of model calls that run at the same time."""
        return self.threads or 4 * (os.cpu_count() or 1)

    @property
    def roots(self) -> tuple[str, ...]:
        """Folders or URIs that may contain models; empty for any."""
        return _split(self.model_roots)

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags of the graph to load."""
        return _split(self.saved_model_tags)


def _split(words: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in words.split(",") if word.strip())
