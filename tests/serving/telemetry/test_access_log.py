"""The access log, also with several writers of one file."""

import json
import subprocess
import sys

from serving.telemetry.access_log import AccessLog

WRITER = """
import sys
from serving.telemetry.access_log import AccessLog
log = AccessLog(sys.argv[1], queue_size=100_000)
for number in range(3000):
    log.write(entry="gRPC", method=sys.argv[2] * 40, model="m", status=number, seconds=0.001)
log.close()
"""


def test_lines_of_several_processes_in_one_file_stay_whole(tmp_path):
    path = tmp_path / "access.json"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), letter]) for letter in "ab"]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for letter in "ab":
        assert [x["status"] for x in lines if x["method"] == letter * 40] == list(range(3000))
    assert len(lines) == 6000
    assert lines[0]["ms"] == 1.0


def test_lines_that_cannot_be_written_are_counted():
    log = AccessLog("/dev/full")
    log.write(entry="REST", method="GET /", seconds=0.0)
    log.close()
    assert log.dropped == 1
