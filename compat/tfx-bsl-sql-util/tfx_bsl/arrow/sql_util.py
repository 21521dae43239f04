"""Stands in for a module of tfx-bsl 1.16 that tensorflow-data-validation 1.16.1 imports at start-up.

tfx-bsl 1.21 dropped slicing by SQL, and nothing in vision-tfx uses it; the import alone has to work.
"""


class RecordBatchSQLSliceQuery:
    """Refuses slicing by SQL, which tfx-bsl 1.21 cannot do."""

    def __init__(self, sql: str, schema: object) -> None:
        raise NotImplementedError(
            "Slicing statistics by SQL needs tfx-bsl 1.16; tfx-bsl 1.21 is installed. Slice by feature value instead."
        )
