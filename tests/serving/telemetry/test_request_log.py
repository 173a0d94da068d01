"""The request log: nothing written is lost or half, and serving never waits for it."""

import io
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from serving.client.request_logs import as_examples, examples, prediction_logs, records
from serving.client.tensors import encode, example
from serving.telemetry.request_log import RequestLogger, frame
from serving.wire import protos
from tests.serving.processes import ROOT


def predict_log(model="m", **inputs):
    log = protos.prediction_log_pb2.PredictionLog()
    log.log_metadata.model_spec.name = model
    for name, array in inputs.items():
        log.predict_log.request.inputs[name].CopyFrom(encode(np.asarray(array)))
    return log


def written(directory):
    return sorted(Path(directory).glob("*.tfrecord"))


def contents(directory):
    return [record for path in written(directory) for record in records(path)]


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "waited 30 s"
        time.sleep(0.005)


def test_what_is_logged_comes_back_in_order(tmp_path):
    logger = RequestLogger("digits", tmp_path)
    given = [b"", b"one", b"x" * 100_000]
    assert all(logger.log(lambda data=data: data) for data in given)
    logger.close()
    assert contents(tmp_path) == given
    assert (logger.sampled, logger.written, logger.dropped, logger.failed) == (3, 3, 0, 0)
    assert [path.name.split("-")[0] for path in written(tmp_path)] == ["digits"]
    assert not list(tmp_path.glob("*.part"))


def test_the_rate_draws_a_share_of_the_requests(tmp_path):
    logger = RequestLogger("m", tmp_path, rate=0.25, queue_size=10_000)
    queued = sum(logger.log(lambda: b"x") for _ in range(8000))
    logger.close()
    assert 1700 < queued < 2300
    assert len(contents(tmp_path)) == queued == logger.written


def test_a_rate_of_zero_starts_nothing_and_writes_nothing(tmp_path):
    before = threading.active_count()
    logger = RequestLogger("m", tmp_path / "logs", rate=0)
    assert not logger.log(lambda: b"x")
    assert threading.active_count() == before
    logger.close()
    assert not (tmp_path / "logs").exists()


def test_a_full_queue_drops_and_counts_and_does_not_wait(tmp_path):
    entered, gate = threading.Event(), threading.Event()

    def slow():
        entered.set()
        assert gate.wait(30)
        return b"slow"

    logger = RequestLogger("m", tmp_path, queue_size=3)
    assert logger.log(slow)
    assert entered.wait(30)
    assert [logger.log(lambda: b"x") for _ in range(5)] == [True, True, True, False, False]
    gate.set()
    logger.close()
    assert contents(tmp_path) == [b"slow", b"x", b"x", b"x"]
    assert (logger.sampled, logger.written, logger.dropped) == (6, 4, 2)


def test_files_are_finished_by_size(tmp_path):
    logger = RequestLogger("m", tmp_path, max_bytes=1000)
    for number in range(10):
        assert logger.log(lambda number=number: bytes([number]) * 300)
    logger.close()
    assert [path.stat().st_size for path in written(tmp_path)] == [948, 948, 948, 316]
    assert sorted(contents(tmp_path)) == [bytes([number]) * 300 for number in range(10)]


def test_files_are_finished_by_age_without_further_requests(tmp_path):
    logger = RequestLogger("m", tmp_path, max_age_s=0.05)
    assert logger.log(lambda: b"x")
    until(lambda: written(tmp_path))
    assert contents(tmp_path) == [b"x"]
    logger.close()


def test_a_file_that_is_being_written_is_not_listed(tmp_path):
    logger = RequestLogger("m", tmp_path)
    logger.log(lambda: b"x")
    until(lambda: logger.written == 1)
    assert not written(tmp_path)
    assert len(list(tmp_path.glob("*.part"))) == 1
    logger.close()
    assert len(written(tmp_path)) == 1


def test_a_record_that_cannot_be_made_is_counted_and_harms_no_other(tmp_path, caplog):
    logger = RequestLogger("m", tmp_path)
    logger.log(lambda: 1 / 0)
    logger.log(lambda: b"good")
    logger.close()
    assert contents(tmp_path) == [b"good"]
    assert (logger.written, logger.failed) == (1, 1)
    assert "division by zero" in caplog.text


def test_a_folder_that_vanishes_costs_records_and_not_the_logger(tmp_path):
    folder = tmp_path / "logs"
    logger = RequestLogger("m", folder, max_bytes=1)
    folder.rmdir()
    folder.write_text("in the way")
    logger.log(lambda: b"lost")
    until(lambda: logger.failed == 1)
    folder.unlink()
    logger.log(lambda: b"kept")
    logger.close()
    assert contents(folder) == [b"kept"]


def test_what_a_killed_server_left_is_cut_to_whole_records_and_kept(tmp_path):
    program = f"""
        import os, sys, time
        sys.path.insert(0, {str(ROOT)!r})
        from serving.telemetry.request_log import RequestLogger
        logger = RequestLogger("m", {str(tmp_path)!r})
        for number in range(3):
            logger.log(lambda number=number: b"record %d" % number)
        while logger.written < 3:
            time.sleep(0.01)
        os.kill(os.getpid(), 9)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
    (part,) = tmp_path.glob("*.part")
    with open(part, "ab") as file:
        file.write(frame(b"half a record")[:-3])
    assert not written(tmp_path)
    RequestLogger("other", tmp_path).close()
    assert part.exists()
    RequestLogger("m", tmp_path).close()
    assert contents(tmp_path) == [b"record 0", b"record 1", b"record 2"]
    assert not list(tmp_path.glob("*.part"))


def test_a_second_logger_of_this_process_leaves_the_first_ones_file_alone(tmp_path):
    first = RequestLogger("m", tmp_path)
    first.log(lambda: b"first")
    until(lambda: first.written == 1)
    second = RequestLogger("m", tmp_path)
    second.log(lambda: b"second")
    second.close()
    first.close()
    assert sorted(contents(tmp_path)) == [b"first", b"second"]


def test_a_model_name_with_slashes_stays_inside_the_folder(tmp_path):
    logger = RequestLogger("../../evil/model", tmp_path)
    logger.log(lambda: b"x")
    logger.close()
    assert len(written(tmp_path)) == 1


def test_many_threads_log_and_every_record_is_counted_once(tmp_path):
    logger = RequestLogger("m", tmp_path, queue_size=50, max_bytes=5000)

    def client(number):
        for index in range(200):
            logger.log(lambda index=index: b"%d:%d" % (number, index))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logger.close()
    assert logger.sampled == 1200
    assert logger.written + logger.dropped == 1200
    assert len(contents(tmp_path)) == logger.written


@pytest.mark.parametrize(
    "settings", [{"rate": 1.5}, {"rate": -0.1}, {"max_bytes": 0}, {"max_age_s": 0}, {"queue_size": 0}]
)
def test_senseless_settings_are_refused(tmp_path, settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        RequestLogger("m", tmp_path, **settings)


def test_a_broken_file_is_named_with_the_place(tmp_path):
    path = tmp_path / "m.tfrecord"
    good = frame(b"good")
    path.write_bytes(good + frame(b"bad")[:-1] + b"!")
    reading = records(path)
    assert next(reading) == b"good"
    with pytest.raises(ValueError, match=rf"m\.tfrecord is broken at byte {len(good)}"):
        next(reading)


def test_rows_of_every_kind_of_log_become_examples(tmp_path):
    rows = [example({"a": 1.5}), example({"a": 2.5})]
    serialized = np.array([row.SerializeToString() for row in rows], dtype=object)
    assert examples(predict_log(examples=serialized)) == list(serialized)

    classify = protos.prediction_log_pb2.PredictionLog()
    classify.classify_log.request.input.example_list.examples.extend(rows)
    assert examples(classify) == list(serialized)

    regress = protos.prediction_log_pb2.PredictionLog()
    given = regress.regress_log.request.input.example_list_with_context
    given.examples.extend(rows)
    given.context.CopyFrom(example({"a": 9.0, "b": "shared"}))
    assert [protos.example_pb2.Example.FromString(row) for row in examples(regress)] == [
        example({"a": 1.5, "b": "shared"}),
        example({"a": 2.5, "b": "shared"}),
    ]

    columns = predict_log(x=np.ones((2, 3), np.float32), word=np.array([b"u", b"v"], dtype=object))
    assert [protos.example_pb2.Example.FromString(row) for row in examples(columns)] == [
        example({"x": [1.0, 1.0, 1.0], "word": "u"}),
        example({"x": [1.0, 1.0, 1.0], "word": "v"}),
    ]


@pytest.mark.slow
def test_tf_data_and_tfdv_read_the_logs(tmp_path):
    logger = RequestLogger("m", tmp_path / "logs")
    for value in range(20):
        logger.log(predict_log(x=np.full((1, 1), value, np.float32)).SerializeToString)
    logger.close()
    rows = tmp_path / "rows.tfrecord"
    assert as_examples(prediction_logs(tmp_path / "logs", "m"), rows) == 20
    assert as_examples(prediction_logs(tmp_path / "logs", "another"), tmp_path / "none.tfrecord") == 0
    program = f"""
        import os
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
        import tensorflow as tf
        from tensorflow_serving.apis import prediction_log_pb2
        Log = prediction_log_pb2.PredictionLog
        files = tf.io.gfile.glob({str(tmp_path / "logs")!r} + "/*.tfrecord")
        logs = [Log.FromString(r.numpy()) for r in tf.data.TFRecordDataset(files)]
        assert [tf.make_ndarray(l.predict_log.request.inputs["x"])[0, 0] for l in logs] == list(range(20))
        import tensorflow_data_validation as tfdv
        from apache_beam.options.pipeline_options import PipelineOptions
        stats = tfdv.generate_statistics_from_tfrecord(
            {str(rows)!r}, pipeline_options=PipelineOptions(["--runner=DirectRunner"]))
        (feature,) = stats.datasets[0].features
        print(feature.path.step[0], feature.num_stats.common_stats.num_non_missing, feature.num_stats.mean)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.stdout.split() == ["x", "20", "9.5"], done.stderr[-2000:]


def test_what_a_full_disk_loses_is_told_as_lost(tmp_path):
    """Records that were only buffered when the disk filled up never counted as written."""
    told = []
    gate = threading.Event()
    logger = RequestLogger("m", tmp_path, on_outcome=lambda status, records: told.append((status, records)))

    class Full(io.BytesIO):
        def flush(self):
            raise OSError(28, "No space left on device")

        def write(self, data):
            return len(data)

        def close(self):
            pass

    logger.log(lambda: b"kept")
    until(lambda: logger.written == 1)

    def first():
        logger._file = Full()
        gate.wait(20)
        return b"lost"

    logger.log(first)
    logger.log(lambda: b"lost too")
    gate.set()
    until(lambda: logger.written + logger.failed == 3)
    logger.log(lambda: b"kept again")
    logger.close()
    assert (logger.written, logger.failed) == (2, 2)
    assert sum(records for status, records in told if status == "OK") == 2
    assert sum(records for status, records in told if status == "DATA_LOSS") == 2
    assert contents(tmp_path) == [b"kept", b"kept again"]
