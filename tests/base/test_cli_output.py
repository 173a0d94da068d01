"""Commands whose reader goes away say nothing; servers outlive clients that do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import cli_output as output
from pipelines.base.paths import CHECKOUT


def run(*arguments: str, home: Path, **streams: object) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "VIADUCT_HOME": str(home), "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=env, text=True, cwd=CHECKOUT, check=False, **streams)  # type: ignore[call-overload,no-any-return]


@pytest.fixture
def unread() -> int:
    """A pipe that nobody reads any more."""
    read, write = os.pipe()
    os.close(read)
    return write


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "command", ["list", "show digits", "runs", "--help", "run --help", "status --help", "rnu", ""]
)
def test_a_command_whose_reader_is_gone_says_nothing(
    command: str, unbuffered: str, unread: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    done = run("-m", "pipelines", *command.split(), home=tmp_path, stdout=unread, stderr=subprocess.PIPE)
    os.close(unread)
    if command == "rnu":
        assert done.returncode == 2 and "Did you mean" in done.stderr
    else:
        assert (done.returncode, done.stderr) == (output.READER_GONE, "")


def test_errors_that_nobody_reads_are_no_traceback(unread: int, tmp_path: Path) -> None:
    done = run("-m", "pipelines", "show", "no_such", home=tmp_path, stdout=subprocess.PIPE, stderr=unread)
    os.close(unread)
    assert (done.returncode, done.stdout) == (output.READER_GONE, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_the_output_is_said_in_a_sentence(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = run("-m", "pipelines", "list", home=tmp_path, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.startswith("viaduct: the output could not be written: ")
    assert done.stderr.count("\n") == 1


def test_closed_output_is_no_error(tmp_path: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m pipelines list >&-", shell=True, capture_output=True, text=True, cwd=CHECKOUT,
        env={**os.environ, "VIADUCT_HOME": str(tmp_path)}, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


PROBE = """
import socket, sys
from pipelines import cli

def main(argv):
    for _ in range(300):
        ours, client = socket.socketpair()
        client.close()
        try:
            ours.sendall(b"answer")
        except BrokenPipeError:
            pass
    print("still there")
    if argv:
        ours.sendall(b"answer")

sys.modules["probe"] = sys.modules["__main__"]
cli.PASSED_ON["probe"] = ("probe:main", "")
sys.exit(cli.main(["probe", *sys.argv[1:]]))
"""


def test_clients_that_hang_up_do_not_end_a_server(tmp_path: Path) -> None:
    done = run("-c", PROBE, home=tmp_path, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "still there\n", "")


def test_a_broken_pipe_that_is_not_the_outputs_is_not_swallowed(tmp_path: Path) -> None:
    done = run("-c", PROBE, "more", home=tmp_path, capture_output=True)
    assert done.returncode == 1 and "BrokenPipeError" in done.stderr


def test_a_run_whose_reader_goes_is_cancelled_once(unread: int, tmp_path: Path) -> None:
    program = (
        "from pipelines import cli, cli_output\nimport sys\n"
        "def main(argv):\n    console = cli_output.console()\n    try:\n        console.print('x')\n"
        "    except KeyboardInterrupt:\n        console.print('cancelled')\n"
        "        print('cancelled', console.quiet, file=sys.stderr)\n        raise\n"
        "sys.modules['probe'] = sys.modules['__main__']\ncli.PASSED_ON['probe'] = ('probe:main', '')\n"
        "sys.exit(cli.main(['probe']))"
    )
    done = run("-c", program, home=tmp_path, stdout=unread, stderr=subprocess.PIPE)
    os.close(unread)
    assert (done.returncode, done.stderr) == (output.READER_GONE, "cancelled True\n")


SIGTERM_COMES = """
import os, signal, sys, time
from pipelines import cli
def work():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(30)
sys.exit(cli._guarded(work))
"""


def test_sigterm_ends_a_command_as_ctrl_c_does() -> None:
    done = subprocess.run([sys.executable, "-c", SIGTERM_COMES], capture_output=True, text=True, cwd=CHECKOUT)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_a_sigterm_that_is_ignored_stays_so() -> None:
    ignored = SIGTERM_COMES.replace("def work", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ndef work")
    done = subprocess.run([sys.executable, "-c", ignored.replace("30", "0.1")], cwd=CHECKOUT)
    assert done.returncode == 0
