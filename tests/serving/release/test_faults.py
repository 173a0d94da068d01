"""What goes wrong around a release on a real server: in each case traffic ends on a version that works, no request
fails because of the release, and the journal says what happened."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from serving.release import plan as plans
from serving.release.folder import lives
from serving.release.plan import Plan
from serving.telemetry.request_log import frame
from serving.wire import protos
from tests.serving.fixtures_requests import predict_request
from tests.serving.processes import ServerProcess, until
from tests.serving.release.conftest import Callers, asked, versions_of

pytestmark = pytest.mark.slow
KEYS = [f"key-{n}" for n in range(60)]
LONG = ("--step", "1000", "--limit", "1000")
QUICK = ("--step", "1", "--limit", "100", "--tolerable", "0.02")


def killed_and_started(server, model):
    """Kills it when it has told that the candidate is loaded: ends before that are the candidate's fault, and two are
    enough."""

    def told():
        release = model.release()
        reports = model.folder.reports(release.number) if release.in_flight else {}
        here = [report["candidate"] for name, report in reports.items() if lives(name)]
        return not release.in_flight or here == ["AVAILABLE"]

    until(told)
    server.kill()
    return ServerProcess(*model.flags())


def test_a_server_that_is_killed_in_any_state_goes_on_where_it_was(model):
    server = ServerProcess(*model.flags())
    try:
        assert model.command("--plan", "shadow,100", *LONG) == 0
        model.push(2, "better")
        model.becomes("shadow")
        server = killed_and_started(server, model)
        assert set(versions_of(server, KEYS)) == {"1"}
        assert model.release().state == "shadow"
        assert model.command("--promote") == 0
        until(lambda: set(versions_of(server, KEYS)) == {"2"})
        server = killed_and_started(server, model)
        assert set(versions_of(server, KEYS)) == {"2"}
        assert model.command("--plan", "30,100", *LONG) == 0
        model.push(3, "good")
        model.becomes("canary")
        until(lambda: set(versions_of(server, KEYS)) == {"2", "3"})
        before = versions_of(server, KEYS)
        server = killed_and_started(server, model)
        until(lambda: versions_of(server, KEYS) == before)
        assert model.command("--hold") == 0
        server = killed_and_started(server, model)
        until(lambda: versions_of(server, KEYS) == before)
        assert model.release().state == "held"
        assert model.command("--rollback") == 0
        until(lambda: set(versions_of(server, KEYS)) == {"2"})
        server = killed_and_started(server, model)
        assert set(versions_of(server, KEYS)) == {"2"}
        assert [line["state"] for line in model.release().journal] == ["canary", "held", "rolled_back"]
    finally:
        server.kill()


def test_a_candidate_that_hangs_takes_no_answer_with_it(model):
    model.folder.path.mkdir()
    model.folder.lay_down(Plan(shares=plans.shares("30,100"), patience_s=0.3), 1)
    with ServerProcess(*model.flags(), "--drain_seconds=1") as server:
        with Callers(server.url) as callers:
            model.push(2, "hanging")
            release = model.becomes("rolled_back")
            callers.settle_on("1")
            assert callers.failed == {}
        assert release.journal[-1]["why"].startswith(("five answers in a row", "errors: "))


def test_a_baseline_that_is_the_bad_one_is_replaced(model):
    shutil.rmtree(model.base / "1")
    model.push(1, "failing")
    with ServerProcess(*model.flags()) as server, Callers(server.url) as callers:
        assert model.command("--plan", "shadow,20,50,100", *QUICK) == 0
        model.push(2, "good")
        model.becomes("promoted", 100)
        until(lambda: asked(server)[0] == "2")
        callers.settle_on("2")


def test_a_version_that_is_deleted_on_canary_is_rolled_back_and_nobody_notices(model):
    with ServerProcess(*model.flags()) as server, Callers(server.url) as callers:
        assert model.command("--plan", "50,100", *LONG) == 0
        model.push(2, "better")
        until(lambda: callers.answers[200, "2"] > 20)
        shutil.rmtree(model.base / "2")
        release = model.becomes("rolled_back")
        assert release.journal[-1]["why"] == "the folder of version 2 is gone"
        callers.settle_on("1")


def test_a_baseline_that_is_deleted_on_canary_goes_on_from_memory(model):
    with ServerProcess(*model.flags()) as server, Callers(server.url) as callers:
        assert model.command("--plan", "50,100", *LONG) == 0
        model.push(2, "better")
        until(lambda: callers.answers[200, "2"] > 20)
        shutil.rmtree(model.base / "1")
        callers.answers.clear()
        until(lambda: callers.answers[200, "1"] > 300 and callers.answers[200, "2"] > 300)
        assert callers.failed == {}


def test_torn_release_files_change_nothing_for_callers(model):
    with ServerProcess(*model.flags()) as server, Callers(server.url) as callers:
        assert model.command("--plan", "50,100", *LONG) == 0
        model.push(2, "better")
        until(lambda: callers.answers[200, "2"] > 20)
        (file,) = (model.folder.path / "releases").glob("*.json")
        file.write_text(file.read_text()[:200])
        until(lambda: model.folder.whole(model.release()))
        file.write_text(file.read_text().replace('"canary"', '"promoted"'))
        until(lambda: model.folder.whole(model.release()))
        assert model.release().state == "canary"
        callers.answers.clear()
        until(lambda: callers.answers[200, "1"] > 50 and callers.answers[200, "2"] > 50)
        assert callers.failed == {}
        told = [line["why"] for line in model.release().journal]
        assert sum("went on from the copy" in why for why in told) == 2


@pytest.fixture(scope="module")
def crasher(tmp_path_factory):
    """A library that ends the process which loads it."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is missing")
    folder = tmp_path_factory.mktemp("crasher")
    (folder / "c.c").write_text(
        "#include <stdlib.h>\n__attribute__((constructor)) static void end(void) { abort(); }\n"
    )
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", folder / "c.so", folder / "c.c"], check=True)
    return folder / "c.so"


def push_crashing(model, version, crasher):
    """A version whose loading ends the process."""
    aside = model.base / ".push.crash"
    shutil.copytree(model.base / "1", aside)
    extra = aside / "assets.extra"
    extra.mkdir()
    shutil.copy(crasher, extra / "ops.so")
    (extra / "op_libraries.txt").write_text("assets.extra/ops.so\n")
    aside.rename(model.base / str(version))


def test_a_candidate_that_ends_the_process_that_loads_it_is_given_up_at_the_second_time(model, crasher):
    assert model.command("--plan", "50,100", *LONG) == 0
    starts = 0
    push_crashing(model, 2, crasher)
    while starts < 4:
        starts += 1
        try:
            server = ServerProcess(*model.flags())
        except RuntimeError:
            continue  # it ended before it had said that it was ready
        try:
            until(lambda server=server: server.process.poll() is not None or model.release_is("rolled_back"))
            if server.process.poll() is None:
                assert set(versions_of(server, KEYS)) == {"1"}
                break
        finally:
            server.kill()
    assert starts == 3
    assert model.release().journal[-1]["why"] == "2 servers ended while they loaded version 2"


def test_with_workers_keys_divide_alike_counts_add_up_and_a_bad_version_is_rolled_back(model):
    with ServerProcess(*model.flags(), "--workers=2") as server:
        assert model.command("--plan", "30,100", *LONG) == 0
        model.push(2, "better")
        model.becomes("canary")
        until(lambda: set(versions_of(server, KEYS)) == {"1", "2"})
        with Callers(server.url, threads=6) as callers:
            until(lambda: sum(callers.answers.values()) > 2000)
            assert callers.failed == {}
            assert all(len(versions) == 1 for versions in callers.versions_by_key.values())
        assert model.command("--rollback") == 0
        with Callers(server.url, threads=6) as callers:
            assert model.command("--plan", "30,100", *QUICK) == 0
            model.push(3, "failing")
            until(lambda: model.release().candidate == 3)
            release = model.becomes("rolled_back")
            callers.settle_on("1")
            assert callers.failed == {}
        assert release.journal[-1]["why"].startswith(("errors: ", "five answers"))


def test_with_workers_a_candidate_that_ends_those_that_load_it_is_given_up(model, crasher):
    with ServerProcess(*model.flags(), "--workers=2") as server:
        assert model.command("--plan", "50,100", *LONG) == 0
        push_crashing(model, 2, crasher)
        release = model.becomes("rolled_back")
        assert release.journal[-1]["why"].endswith("servers ended while they loaded version 2")
        until(lambda: "serves after" in server.output)
        assert set(versions_of(server, KEYS)) == {"1"}


def test_a_command_while_the_server_is_stopped_is_done_by_the_command(model, capsys):
    model.push(2, "better")
    assert model.command("--to", "2", "--plan", "50,100", *LONG) == 0
    assert model.command("--status", "--json") == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["release"]["baseline"], told["release"]["candidate"]) == (1, 2)
    with ServerProcess(*model.flags()) as server:
        until(lambda: set(versions_of(server, KEYS)) == {"1", "2"})
        assert model.command("--to", "1") == 1
        assert "is being released" in capsys.readouterr().err


def test_a_candidate_that_hangs_while_it_loads_is_given_up_at_the_limit_and_callers_never_notice(
    model, kinds
):
    with ServerProcess(*model.flags(), "--drain_seconds=1") as server, Callers(server.url) as callers:
        assert model.command("--plan", "50,100", "--step", "1", "--limit", "4") == 0
        aside = model.base / ".push.hanging"
        shutil.copytree(kinds / "hanging", aside)
        warm_up(aside)
        aside.rename(model.base / "2")
        release = model.becomes("rolled_back", 120)
        assert release.journal[-1]["why"].startswith("version 2 was not available within")
        assert callers.failed == {}
        # The next one is released although the thread that loads the hanging one never comes back.
        assert model.command("--plan", "50,100", *LONG) == 0
        model.push(3, "better")
        until(lambda: callers.answers[200, "3"] > 20, 120)
        assert callers.failed == {}
        assert {version for _, version in callers.answers} == {"1", "3"}


def warm_up(version):
    """Makes loading a version run it once."""
    log = protos.prediction_log_pb2.PredictionLog()
    log.predict_log.request.MergeFromString(predict_request("m", {"x": [[1.0, 2.0]]}).SerializeToString())
    file = version / "assets.extra" / "tf_serving_warmup_requests"
    file.parent.mkdir()
    file.write_bytes(frame(log.SerializeToString()))


def test_a_push_during_a_release_waits_on_the_disk_until_the_one_in_flight_has_ended(model):
    with ServerProcess(*model.flags()) as server, Callers(server.url) as callers:
        assert model.command("--plan", "50,100", *LONG) == 0
        model.push(2, "better")
        until(lambda: callers.answers[200, "2"] > 20, 120)
        model.push(3, "good")
        callers.answers.clear()
        until(lambda: min(callers.answers[200, "1"], callers.answers[200, "2"]) > 30, 120)
        assert set(callers.answers) == {(200, "1"), (200, "2")}
        assert model.command("--promote") == 0
        until(lambda: model.release().candidate == 3, 120)
        until(lambda: callers.answers[200, "3"] > 20, 120)
        assert model.release().baseline == 2
        assert callers.failed == {}
