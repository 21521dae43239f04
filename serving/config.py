"""All that `vision-tfx serve` can be told, with TensorFlow Serving's names and defaults. Standard library only."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class ServerConfig:
    """A model server.

    Names and defaults are those of `tensorflow_model_server` where it has them; what it lacks is marked *.

    Args:
        port: Port of gRPC; 0 for none, -1 for any that is free.
        rest_api_port: Port of REST; 0 for none, -1 for any that is free.
        host: * Address to listen on; loopback unless told otherwise.
        model_name: Name of the model in `model_base_path`.
        model_base_path: Folder, or URI, with one sub-folder per version.
        model_config_file: Text proto of a `ModelServerConfig`: several models, version policies, labels.
        model_roots: * Comma-separated folders or URIs, one of which every base path and version must lie in, also those
            that a reload names; empty allows any.
        model_config_file_poll_wait_seconds: Seconds between readings of that file; 0 reads it once.
        file_system_poll_wait_seconds: Seconds between looks for new versions; 0 looks once, negative never.
        rest_api_timeout_in_ms: Longest time of a REST request, in milliseconds.
        rest_api_enable_cors_support: Whether pages from elsewhere may call REST.
        threads: * Calls of models that run at the same time; 0 means four per core, as TensorFlow Serving has them.
        enable_batching: Whether requests are run together.
        batching_parameters_file: Text proto of `BatchingParameters`; without it batching tunes itself.
        enable_per_model_batching_parameters: Whether `batching_params.pbtxt` in a version's folder counts.
        batching_latency_ms: * What self-tuning may add to a request, in milliseconds.
        enable_model_warmup: Whether stored requests are run before a version is available.
        num_request_iterations_for_warmup: How often each of them.
        synthetic_warmup: * Whether requests made from the signature warm up a model that stores none.
        max_num_load_retries: How often a failed load is tried again.
        load_retry_interval_micros: Microseconds between these.
        num_load_threads: Versions that load at the same time; 0 means four per core.
        allow_version_labels_for_unavailable_models: Whether a new label may name a version that is not loaded yet.
        saved_model_tags: Comma-separated tags of the graph to load.
        tensorflow_intra_op_parallelism: Threads for one operation; 0 lets TensorFlow choose.
        monitoring_config_file: Text proto of a `MonitoringConfig`, which names the path of the metrics.
        ssl_config_file: Text proto of an `SSLConfig`; here it secures both ports.
        bearer_token_file: * File whose only line every request must send as bearer token.
        grpc_socket_path: Unix socket that gRPC listens on, too; empty for none.
        grpc_channel_arguments: Comma-separated key=value pairs for gRPC.
        max_body_bytes: * Largest request, after decompression.
        max_image_pixels: * Most pixels of one encoded image, by its header.
        max_batch_rows: * Most rows of one request.
        max_concurrent_requests: * Requests in progress beyond which new ones are refused.
        shutdown_grace_seconds: * Time that requests in progress have after SIGTERM.
        access_log: * File of JSON lines, one per request; "-" for standard error, empty for none.
        request_log_dir: * Folder of PredictionLog records of sampled requests; empty for none.
        request_log_sampling_rate: * Share of the requests to log, 0 to 1.
        mlflow_url: * Address of MLflow that the demo page links to; empty for none.
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
        """Calls of models that run at the same time."""
        return self.threads or 4 * (os.cpu_count() or 1)
