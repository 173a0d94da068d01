"""Airflow's REST API as this project uses it: health, unpause, trigger, states. Any Airflow 2, here or elsewhere.

Standard library only. The address and account are the local installation's, or VIADUCT_AIRFLOW_URL
(http://user:password@host:port).
"""

from __future__ import annotations

import base64
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.base.project import ProjectError

if TYPE_CHECKING:
    from dags.installation import Installation

URL_VARIABLE = "VIADUCT_AIRFLOW_URL"
TIMEOUT_S = 30


@dataclass(frozen=True)
class Api:
    """One Airflow's API. Raises ProjectError for whatever does not work, with the server's own words."""

    url: str
    user: str
    password: str

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
        """The decoded answer of `method` on /api/v1/`path`."""
        return self._send(method, f"{self.url}/api/v1/{path}", body)

    def _send(self, method: str, url: str, body: Any) -> Any:
        account = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        headers = {"Authorization": f"Basic {account}"}
        data = None
        if body is not None:  # Airflow answers 400 to a type without a body
            headers["Content-Type"], data = "application/json", json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                text = response.read()
        except urllib.error.HTTPError as error:
            raise ApiError(error.code, f"Airflow refused {method} {url}: {_words(error)}") from error
        except (OSError, ValueError) as error:
            raise ProjectError(
                f"Airflow at {self.url} does not answer: {error}. Start it: make airflow"
            ) from error
        return json.loads(text) if text else {}

    def health(self) -> dict[str, Any]:
        """State of scheduler, triggerer and database."""
        return self._send("GET", f"{self.url}/health", None)

    def unpause(self, dag: str) -> bool:
        """Lets the DAG run; True if it was paused."""
        paused = self.call("GET", f"dags/{dag}")["is_paused"]
        if paused:
            self.call("PATCH", f"dags/{dag}?update_mask=is_paused", {"is_paused": False})
        return bool(paused)

    def trigger(self, dag: str, conf: dict[str, Any], run_id: str | None = None) -> str:
        """Starts a run; returns its Airflow run id."""
        body = {"conf": conf, **({"dag_run_id": run_id} if run_id else {})}
        return self.call("POST", f"dags/{dag}/dagRuns", body)["dag_run_id"]

    def run(self, dag: str, run_id: str) -> dict[str, Any]:
        return self.call("GET", f"dags/{dag}/dagRuns/{urllib.parse.quote(run_id, safe='')}")

    def tasks(self, dag: str, run_id: str) -> list[dict[str, Any]]:
        """Task instances of a run."""
        path = f"dags/{dag}/dagRuns/{urllib.parse.quote(run_id, safe='')}/taskInstances?limit=100"
        return self.call("GET", path)["task_instances"]

    def deliver(self, uri: str, extra: dict[str, Any]) -> None:
        """Says that a Dataset was updated."""
        self.call("POST", "datasets/events", {"dataset_uri": uri, "extra": extra})


class ApiError(ProjectError):
    """Airflow answered with an error; `status` is the HTTP code."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def _words(error: urllib.error.HTTPError) -> str:
    try:
        told = json.loads(error.read())
        return f"{error.code} {told.get('title', '')}: {told.get('detail', '')}"
    except (OSError, ValueError, AttributeError):
        return f"{error.code} {error.reason}"
