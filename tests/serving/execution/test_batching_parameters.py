"""The parameter file of batching: the original's keys, and mistakes named."""

import pytest

from serving.execution.batching_parameters import BatchingParameters


def test_the_file_of_the_original_is_read(tmp_path):
    path = tmp_path / "batching.txt"
    path.write_text(
        """
        max_batch_size { value: 64 }        # a comment
        batch_timeout_micros { value: 1500 }
        max_enqueued_batches { value: 7 }
        num_batch_threads { value: 3 }
        thread_pool_name { value: "mine" }
        allowed_batch_sizes: 8
        allowed_batch_sizes: [16, 64]
        pad_variable_length_inputs: true
        """
    )
    assert BatchingParameters.from_file(path) == BatchingParameters(
        max_batch_size=64,
        batch_timeout_micros=1500,
        max_enqueued_batches=7,
        num_batch_threads=3,
        thread_pool_name="mine",
        allowed_batch_sizes=(8, 16, 64),
        pad_variable_length_inputs=True,
    )


def test_an_empty_file_means_the_originals_defaults(tmp_path):
    path = tmp_path / "batching.txt"
    path.write_text("")
    read = BatchingParameters.from_file(path)
    assert (read.max_batch_size, read.batch_timeout_micros, read.max_enqueued_batches) == (1000, 0, 10)
    assert not read.run_idle_inline


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("max_batch_sise { value: 3 }", "Did you mean 'max_batch_size'"),
        ("max_batch_size: 3", "batching.txt"),
        ("max_batch_size { value: 0 }", "max_batch_size must be positive; was 0"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: [8, 4]", "increasing order"),
        (
            "max_batch_size { value: 8 } allowed_batch_sizes: [2, 4]",
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 8",
        ),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros must be non-negative; was -1"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path, text, says):
    path = tmp_path / "batching.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"batching\.txt") as caught:
        BatchingParameters.from_file(path)
    assert says in str(caught.value)
    with pytest.raises(ValueError, match=r"missing\.txt"):
        BatchingParameters.from_file(tmp_path / "missing.txt")
