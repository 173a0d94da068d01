"""Starts and stops all of Airflow on this machine: PostgreSQL, tables, users, then the supervised services.

Both are idempotent. Everything listens on 127.0.0.1 alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from dags import supervisor
from dags.cluster import binaries, free_port
from dags.installation import ADMIN, Installation, python, require_python
from dags.rest import Api
from pipelines.base import whole
from pipelines.base.errors import ViaductError
from pipelines.base.forkserver import client as forkserver
from pipelines.base.paths import working_folder

READY_TIMEOUT_S = 300.0
HEALTHY = ("scheduler", "dag_processor", "triggerer")
STOP_TIMEOUT_S = 60.0


def up(installation: Installation, say: Callable[[str], None]) -> None:
    """Brings everything up and returns when all of Airflow's services report themselves healthy.

    Raises ViaductError if PostgreSQL is not installed or something does not come up; it names the log.
    """
    binaries()
    require_python()
    installation.complete()
    values, cluster = installation.values, installation.cluster
    if not supervisor.running(installation.folder):
        _start_cluster(installation, say)
        cluster = installation.cluster
        for name in ("airflow", "viaduct"):
            cluster.database(values["postgres_password"], name, values[f"{name}_password"])
        _prepare_database(installation, say)
        _start_supervisor(installation)
    else:
        cluster.start()
    whole.write(installation.folder / "admin-password", values[f"{ADMIN}_password"] + "\n", private=True)
    say("Waiting for API server, scheduler, DAG processor and triggerer ...")
    _wait_until_healthy(installation)


def _start_cluster(installation: Installation, say: Callable[[str], None]) -> None:
    cluster = installation.cluster
    if not cluster.exists():
        say(f"Making a PostgreSQL cluster in {cluster.folder} ...")
        cluster.create(installation.values["postgres_password"])
    try:
        cluster.start()
    except ViaductError:
        # The port may have been taken since; a fresh one costs nothing, because every address is derived from it.
        installation.values.update(postgres_port=free_port())
        installation.save()
        installation.cluster.start()


def _prepare_database(installation: Installation, say: Callable[[str], None]) -> None:
    say("Airflow's tables, pool and admin user ...")
    log = installation.folder / "prepare.log"
    with log.open("wb") as output:
        done = subprocess.run(
            [python(), "-m", "dags.prepare_database"],
            input=installation.values[f"{ADMIN}_password"].encode(),
            env=installation.environment(),
            cwd=working_folder(),
            stdout=output,
            stderr=output,
            check=False,
        )
    if done.returncode != 0:
        raise ViaductError(f"Airflow's database could not be prepared; see {log}")


def _start_supervisor(installation: Installation) -> None:
    command = [sys.executable, "-m", "dags.supervisor", str(installation.folder)]
    with (installation.folder / "supervisor.log").open("ab") as log:
        subprocess.Popen(
            command,
            env=installation.environment(),
            cwd=working_folder(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _wait_until_healthy(installation: Installation) -> None:
    api = Api.of(installation)
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        health = {}
        with contextlib.suppress(ViaductError):
            health = api.health()
        if all(health.get(name, {}).get("status") == "healthy" for name in HEALTHY):
            return
        time.sleep(0.5)
    raise ViaductError(
        f"Airflow did not become healthy in {READY_TIMEOUT_S:.0f} s; logs: {installation.folder}/*.log"
    )


def down(installation: Installation) -> list[str]:
    """Ends services, warm host and cluster; returns what was running. Data, tables and users stay."""
    ended = []
    pid = supervisor.running(installation.folder) if installation.folder.exists() else 0
    if pid:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while supervisor.running(installation.folder):
            if time.monotonic() > deadline:
                raise ViaductError(
                    f"The supervisor (process {pid}) does not end; its log: {installation.folder}/supervisor.log"
                )
            time.sleep(0.2)
        ended.append("Airflow")
    if supervisor.end_leftovers(installation.folder):
        ended.append("services without a supervisor")
    if forkserver.stop(installation.home):
        ended.append("warm host")
    if installation.values and installation.cluster.stop():
        ended.append("PostgreSQL")
    return ended
