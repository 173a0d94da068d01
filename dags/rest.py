"""Airflow's REST API as this project uses it: health, unpause, trigger, states. Any Airflow 3, here or elsewhere.

Standard library only. The address and account are the local installation's, or VIADUCT_AIRFLOW_URL
(http://user:password@host:port).
"""

from __future__ import annotations

import datetime
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipelines.base.errors import ViaductError

if TYPE_CHECKING:
    from dags.installation import Installation

URL_VARIABLE = "VIADUCT_AIRFLOW_URL"
TIMEOUT_S = 30


@dataclass
class Api:
    """One Airflow's API. Raises ViaductError for whatever does not work, with the server's own words.

    A token is asked for when it is needed and again when the server takes it no more (it lasts a day).
    """

    url: str
    user: str
    password: str
    _token: str = field(default="", repr=False)

    @classmethod
    def of(cls, installation: Installation) -> Api:
        given = os.environ.get(URL_VARIABLE)
        if given:
            parts = urllib.parse.urlsplit(given)
            bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
            return cls(
                bare, urllib.parse.unquote(parts.username or ""), urllib.parse.unquote(parts.password or "")
            )
        installation.require()
        return cls(installation.url, "admin", installation.values["admin_password"])

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The decoded answer of `method` on /api/v2/`path`."""
        url = f"{self.url}/api/v2/{path}"
        fresh = not self._token
        try:
            return self._send(method, url, body, self._token or self._new_token())
        except ApiError as error:
            if error.status != 401 or fresh:
                raise
        return self._send(method, url, body, self._new_token())

    def _new_token(self) -> str:
        account = {"username": self.user, "password": self.password}
        self._token = self._send("POST", f"{self.url}/auth/token", account)["access_token"]
        return self._token

    def _send(self, method: str, url: str, body: Any, token: str = "") -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = None
        if body is not None:
            headers["Content-Type"], data = "application/json", json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                text = response.read()
        except urllib.error.HTTPError as error:
            raise ApiError(error.code, f"Airflow refused {method} {url}: {_words(error)}") from error
        except (OSError, ValueError) as error:
            raise ViaductError(
                f"Airflow at {self.url} does not answer: {error}. Start it: make airflow"
            ) from error
        return json.loads(text) if text else {}

    def health(self) -> dict[str, Any]:
        """State of scheduler, DAG processor, triggerer and database; needs no account."""
        return self._send("GET", f"{self.url}/api/v2/monitor/health", None)

    def unpause(self, dag: str) -> bool:
        """Lets the DAG run; True if it was paused."""
        paused = self.call("GET", f"dags/{dag}")["is_paused"]
        if paused:
            self.call("PATCH", f"dags/{dag}?update_mask=is_paused", {"is_paused": False})
        return bool(paused)

    def due(self, dag: str) -> dict[str, str]:
        """Logical date and interval of the scheduled run that would start at once if the paused DAG were unpaused.

        As the API wants them of a run that takes its place; {} where there is none.
        """
        told = self.call("GET", f"dags/{dag}")
        after = told.get("next_dagrun_run_after")
        late = after and _date(after) <= datetime.datetime.now(datetime.UTC)
        if not (told["is_paused"] and late and told.get("next_dagrun_logical_date")):
            return {}
        names = ("logical_date", "data_interval_start", "data_interval_end")
        return {name: told[f"next_dagrun_{name}"] for name in names}

    def trigger(
        self,
        dag: str,
        conf: dict[str, Any],
        run_id: str | None = None,
        place: dict[str, str] | None = None,
    ) -> str:
        """Starts a run; returns its Airflow run id. It takes `place` (see `due`) unless another run has it."""
        path = f"dags/{dag}/dagRuns"
        body = {"conf": conf, "logical_date": None, **({"dag_run_id": run_id} if run_id else {})}
        if place:
            made_up = f"manual__{datetime.datetime.now(datetime.UTC).isoformat()}"
            try:
                return self.call("POST", path, {"dag_run_id": made_up, **body, **place})["dag_run_id"]
            except ApiError as error:
                if error.status != 409:
                    raise
        return self.call("POST", path, body)["dag_run_id"]

    def run(self, dag: str, run_id: str) -> dict[str, Any]:
        return self.call("GET", run_path(dag, run_id))

    def tasks(self, dag: str, run_id: str) -> list[dict[str, Any]]:
        """Task instances of a run."""
        return self.call("GET", f"{run_path(dag, run_id)}/taskInstances?limit=100")["task_instances"]

    def deliver(self, uri: str, extra: dict[str, Any]) -> None:
        """Says that an asset was updated. Raises ViaductError where no DAG knows it."""
        found = self.call("GET", f"assets?uri_pattern={urllib.parse.quote(uri, safe='')}")["assets"]
        ids = [asset["id"] for asset in found if asset["uri"] == uri]
        if not ids:
            raise ViaductError(f"Airflow at {self.url} knows no asset {uri!r}; is its project's DAG there?")
        self.call("POST", "assets/events", {"asset_id": ids[0], "extra": extra})


def run_path(dag: str, run_id: str) -> str:
    """The path of a run in the API."""
    return f"dags/{dag}/dagRuns/{urllib.parse.quote(run_id, safe='')}"


class ApiError(ViaductError):
    """Airflow answered with an error; `status` is the HTTP code."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def _date(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def _words(error: urllib.error.HTTPError) -> str:
    try:
        told = json.loads(error.read())
        return f"{error.code} {error.reason}: {told.get('detail') or 'no reason given'}"
    except (OSError, ValueError, AttributeError):
        return f"{error.code} {error.reason}"
