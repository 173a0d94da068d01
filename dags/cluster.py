"""A PostgreSQL cluster of our own under HOME/airflow: made, started, stopped. Loopback only, passwords only.

PostgreSQL refuses to run as root, so under root it runs as the system's `postgres` user; a HOME which that user
cannot reach puts the data into /var/lib/postgresql. Other clusters of the machine are left alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.base.errors import ViaductError

SYSTEM_USER = "postgres"
INSTALLED = Path("/usr/lib/postgresql")
START_TIMEOUT_S = 60


def binaries() -> Path:
    """The folder of `initdb` and `pg_ctl`: the newest Debian package's, else what PATH has."""
    versions = sorted(INSTALLED.glob("*/bin/pg_ctl"), key=lambda file: float(file.parts[-3]))
    pg_ctl = str(versions[-1]) if versions else shutil.which("pg_ctl")
    if not pg_ctl:
        raise ViaductError("PostgreSQL is not installed. On Debian or Ubuntu: apt-get install postgresql")
    return Path(pg_ctl).parent


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_as() -> str | None:
    """The user PostgreSQL runs as: None for oneself, `postgres` for root."""
    return SYSTEM_USER if os.geteuid() == 0 else None


def data_folder(folder: Path) -> Path:
    """`folder`, or one in /var/lib/postgresql where PostgreSQL's user cannot reach `folder`'s parent."""
    user = run_as()
    if user is None:
        return folder
    reached = subprocess.run(["test", "-x", str(folder.parent)], user=user, group=user, cwd="/", check=False)
    if reached.returncode == 0:
        return folder
    return Path("/var/lib/postgresql") / f"viaduct-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Cluster:
    """One cluster: its data folder and the port it listens on at 127.0.0.1."""

    folder: Path
    port: int

    def exists(self) -> bool:
        return self._run(["test", "-f", str(self.folder / "PG_VERSION")]).returncode == 0

    def create(self, password: str) -> None:
        """Makes the cluster with a superuser `postgres` that has `password`; nothing if it is there already."""
        if self.exists():
            return
        self._own_folder()
        with _readable_file(password) as file:
            options = ["--auth=scram-sha-256", "--username=postgres", f"--pwfile={file}", "--encoding=UTF8"]
            done = self._run(
                [str(binaries() / "initdb"), "-D", str(self.folder), "--locale=C.UTF-8", *options]
            )
        if done.returncode != 0:
            raise ViaductError(f"initdb failed in {self.folder}: {done.stderr.strip()}")

    def start(self) -> None:
        """Starts it and waits until it answers; nothing if it runs."""
        if self.running():
            return
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
        log = self.folder / "server.log"
        done = self._pg_ctl("start", "-w", "-t", str(START_TIMEOUT_S), "-l", str(log), "-o", options)
        if done.returncode != 0:
            raise ViaductError(
                f"PostgreSQL did not start on port {self.port}; its log: {log}. {done.stderr.strip()}"
            )

    def stop(self, mode: str = "fast") -> bool:
        """Stops it; False if it did not run. `mode` is pg_ctl's: smart, fast or immediate."""
        return self.running() and self._pg_ctl("stop", "-w", "-m", mode).returncode == 0

    def restart(self) -> None:
        """Breaks every connection and comes back on the same port."""
        self.stop()
        self.start()

    def running(self) -> bool:
        return self.exists() and self._pg_ctl("status").returncode == 0

    def url(self, user: str, password: str, database: str, scheme: str = "postgresql") -> str:
        return f"{scheme}://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def database(self, superuser_password: str, name: str, password: str) -> None:
        """A database `name` owned by a role of the same name with `password`; kept if it exists."""
        import psycopg2
        from psycopg2 import sql

        connection = psycopg2.connect(self.url("postgres", superuser_password, "postgres"))
        connection.autocommit = True
        identifier = sql.Identifier(name)
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,))
            verb = sql.SQL("ALTER" if cursor.fetchone() else "CREATE")
            statement = sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
                verb, identifier, sql.Literal(password)
            )
            cursor.execute(statement)
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if not cursor.fetchone():
                cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(identifier, identifier))

    def _own_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ViaductError(
                f"{self.folder} cannot be made: {error}. Set VIADUCT_HOME to another."
            ) from error
        user = run_as()
        if user is not None:
            try:
                shutil.chown(self.folder, user, user)
            except LookupError as error:
                raise ViaductError(
                    "There is no user `postgres`. Install Debian's postgresql package."
                ) from error

    def _pg_ctl(self, action: str, *options: str) -> subprocess.CompletedProcess[str]:
        return self._run([str(binaries() / "pg_ctl"), action, "-D", str(self.folder), *options])

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        # Output goes to files: a server that stays would hold a pipe open for ever.
        user = run_as()
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            done = subprocess.run(
                command, stdout=out, stderr=err, cwd="/", user=user, group=user, check=False
            )
            out.seek(0), err.seek(0)
            return subprocess.CompletedProcess(command, done.returncode, out.read(), err.read() or "")


@contextlib.contextmanager
def _readable_file(text: str) -> Iterator[Path]:
    """A file that only PostgreSQL's user can read, gone afterwards."""
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(text + "\n")
        file.flush()
        user = run_as()
        if user is not None:
            shutil.chown(file.name, user, user)
        yield Path(file.name)
