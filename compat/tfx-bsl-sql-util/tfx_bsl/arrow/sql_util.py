"""Stand-in for a module of tfx-bsl 1.16 that tensorflow-data-validation 1.16.1 imports at start-up.

tfx-bsl 1.21 no longer has slicing by SQL, and vision-tfx does not use it: only the import has to work.
"""


class RecordBatchSQLSliceQuery:
    """Placeholder for slicing by SQL, which tfx-bsl 1.21 does not have; raises when it is created."""

    def __init__(self, sql: str, schema: object) -> None:
        raise NotImplementedError(
            "slicing statistics by SQL needs tfx-bsl 1.16, but 1.21 is installed; slice by feature value instead"
        )
