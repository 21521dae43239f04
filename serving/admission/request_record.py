"""Record of one request, for the metrics and the access log."""

from dataclasses import dataclass

from serving.errors import Code


@dataclass(slots=True)
class RequestRecord:
    """Facts about one request, filled in while the request is handled.

    Args:
        api: Name of the API, such as "Predict" over gRPC and "predict" over REST; empty for an unknown route.
        entrypoint: Protocol, "GRPC" or "REST".
        model: Model name in the request.
        version: Version that answers; None until it is known.
        signature: Name of the signature that is run.
        rows: Number of examples, or of rows in the batch.
        code: Outcome.
    """

    api: str
    entrypoint: str
    model: str = ""
    version: int | None = None
    signature: str = ""
    rows: int = 0
    code: Code = Code.OK
