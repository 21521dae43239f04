import pytest

from serving.batching.parameters import BatchingParameters
from serving.errors import Code, ServingError


def read(tmp_path, text):
    path = tmp_path / "batching.config"
    path.write_text(text)
    return BatchingParameters.read(str(path))


def refused(tmp_path, text):
    with pytest.raises(ServingError) as caught:
        read(tmp_path, text)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert "batching.config" in str(caught.value)
    return str(caught.value)


def test_every_field_is_read(tmp_path):
    text = """
        max_batch_size { value: 128 }
        batch_timeout_micros { value: 2000 }
        max_enqueued_batches { value: 4 }
        num_batch_threads { value: 3 }
        thread_pool_name { value: "pool" }
        allowed_batch_sizes: 32
        allowed_batch_sizes: 64
        pad_variable_length_inputs: true
        enable_large_batch_splitting { value: true }
        max_execution_batch_size { value: 64 }
    """
    assert read(tmp_path, text) == BatchingParameters(128, 2000, 4, 3, "pool", (32, 64), True, True, 64)


def test_defaults_are_those_of_tensorflow_serving(tmp_path):
    parameters = read(tmp_path, "")
    assert parameters == BatchingParameters()
    assert (parameters.max_batch_size, parameters.batch_timeout_micros, parameters.max_enqueued_batches) == (
        1000,
        0,
        10,
    )


def test_a_wrapped_zero_is_zero(tmp_path):
    assert read(tmp_path, "batch_timeout_micros { } thread_pool_name { }") == BatchingParameters()
    assert "max_batch_size must be positive; was 0" in refused(tmp_path, "max_batch_size { }")


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("num_batch_threads { value: 0 }", "num_batch_threads must be positive; was 0"),
        ("max_enqueued_batches { value: -1 }", "max_enqueued_batches must be positive; was -1"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros must be non-negative; was -1"),
        ("max_batch_size { value: 4 } allowed_batch_sizes: [4, 2]", "monotonically increasing"),
        (
            "max_batch_size { value: 4 } allowed_batch_sizes: [2, 8]",
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 8; expected 4",
        ),
        (
            "max_batch_size { value: 8 } enable_large_batch_splitting { value: true } "
            "max_execution_batch_size { value: 4 } allowed_batch_sizes: [2, 8]",
            "Last entry in allowed_batch_sizes must be equal to max_execution_batch_size; last entry was 8; expected 4",
        ),
        (
            "max_batch_size { value: 4 } enable_large_batch_splitting { value: true } "
            "max_execution_batch_size { value: 8 }",
            "When enable_large_batch_splitting is true, input_batch_size_limit must be greater than or equal to",
        ),
        ("max_batch_size: 4", "Error parsing text-format tensorflow.serving.BatchingParameters"),
        ("max_batch_sizes { value: 4 }", "max_batch_sizes"),
    ],
)
def test_errors_name_the_field(tmp_path, text, phrase):
    assert phrase in refused(tmp_path, text)


def test_a_missing_file(tmp_path):
    with pytest.raises(ServingError, match="cannot read"):
        BatchingParameters.read(str(tmp_path / "none"))


def test_threads_are_shared():
    own = BatchingParameters(max_batch_size=7, num_batch_threads=1)
    shared = BatchingParameters(max_batch_size=9, num_batch_threads=5, thread_pool_name="all")
    both = own.with_threads_of(shared)
    assert (both.max_batch_size, both.num_batch_threads, both.thread_pool_name) == (7, 5, "all")


def test_the_size_that_a_batch_is_padded_to():
    parameters = BatchingParameters(max_batch_size=4, allowed_batch_sizes=(1, 3, 4))
    assert [parameters.allowed_size(rows) for rows in (1, 2, 3, 4)] == [1, 3, 3, 4]
    assert BatchingParameters().allowed_size(5) == 5
