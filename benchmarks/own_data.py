"""Tables that nobody here made, from `viaduct new NAME --data` to an answered prediction, beside scikit-learn.

For each set: `new`, `run`, a server, `predict --rows` with the evaluation split's raw features. The same answers are
scored as those of scikit-learn's linear model and of its boosted trees, fitted to the rows of our training split. AUC
for two classes, accuracy for more, R2 for numbers; none of these rows was looked at by `new`.
Figures: `<set>_gain` (ours minus the linear model's, larger is better), `<set>_noise` (a standard error of that
difference, by a bootstrap over rows), `<set>_vs_trees`, `adult_seconds` and `adult_cpu_s` (from the command to the
answer to a typed row). Penguins, Adult and taxi trips need VIADUCT_REAL_DATA; the other sets come with scikit-learn.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[0] = str(CHECKOUT)

from benchmarks.local_run import PR_SET_CHILD_SUBREAPER, cpu_seconds, reap  # noqa: E402
from benchmarks.report import arguments, finish, table  # noqa: E402

REAL = {
    "penguins": ("palmer_penguins/penguins.csv", None),
    "adult": ("uci_adult/adult.csv.gz", None),
    "taxi": ("chicago_taxi/data.csv.gz", "tips"),
}
SHIPPED = ("wine", "breast_cancer", "diabetes", "digits")
QUICK = ("wine",)
RESAMPLES, SEED = 1_000, 5
# What a copy of the code needs, so that new projects appear in none of ours.
ROOMS = ("pipelines", "components", "bridges", "serving", "dags", "dashboards")
CODE = (*ROOMS, "pyproject.toml", "setup.py")
PORTS = ("--port=0", "--rest_api_port=0")


def workspace(folder: Path) -> Path:
    """A copy of the code."""
    folder.mkdir()
    for name in CODE:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    return folder


def write_shipped(name: str, folder: Path) -> Path:
    """One of scikit-learn's sets as a CSV file, its label called `target`."""
    from sklearn import datasets

    file = folder / f"{name}.csv"
    getattr(datasets, f"load_{name}")(as_frame=True).frame.to_csv(file, index=False)
    return file


class Command:
    """`viaduct ...` of the copy, under a HOME of its own; what it prints goes to a log as well."""

    def __init__(self, code: Path, home: Path) -> None:
        self.home, self.log = home, home.with_name(f"{home.name}.log")
        self._code = code
        self._environment = {**os.environ, "VIADUCT_HOME": str(home), "PYTHONPATH": str(code)}

    def __call__(self, *arguments: str, allowed: tuple[int, ...] = (0,)) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "pipelines", *arguments],
            env=self._environment,
            cwd=self._code,
            capture_output=True,
            text=True,
            check=False,
        )
        with self.log.open("a") as log:
            log.write(f"$ viaduct {' '.join(arguments)[:200]}\n{done.stdout[-20_000:]}{done.stderr}\n")
        if done.returncode not in allowed:
            raise SystemExit(f"viaduct {arguments[0]} ended with {done.returncode}; see {self.log}")
        return done.stdout

    def serve(self, name: str, base: Path) -> tuple[subprocess.Popen[str], str]:
        """A model server and its gRPC address."""
        command = [sys.executable, "-m", "serving.main", f"--model_name={name}", f"--model_base_path={base}"]
        server = subprocess.Popen(
            [*command, *PORTS],
            env=self._environment,
            cwd=self._code,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert server.stdout is not None
        for line in server.stdout:
            if line.startswith("viaduct-serving ready"):
                return server, next(part for part in line.split() if part.startswith("grpc="))[5:]
        raise SystemExit(f"the server of {name} did not start")


def measure(name: str, source: Path, label: str | None, folder: Path) -> dict[str, Any]:
    """Our answers and times on one set, beside scikit-learn's answers on the same rows."""
    from pipelines.base.newdata import baseline, findings, reading, target

    project = f"own_{name}"  # one set is called as a project of ours is
    data = reading.read(source)
    found = findings.find(project, data, target.choose(data, label, None))
    train, evaluation = findings.split(data, found.columns)
    command = Command(workspace(folder / f"code-{name}"), folder / f"home-{name}")
    before, started = cpu_seconds(), time.perf_counter()
    command("new", project, "--data", str(source), *(["--label", label] if label else []))
    command("run", project, "--plain")
    server, address = command.serve(project, command.home / "serving" / project)
    try:
        command("predict", project, "--server", address, "--row", json.dumps(typed_row(evaluation, found)))
        seconds = time.perf_counter() - started
        file = folder / f"{name}.jsonl"
        rows = evaluation.select([column.name for column in found.features]).to_pylist()
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        answered = command("predict", project, "--server", address, "--rows", str(file)).splitlines()
    finally:
        server.terminate()
        server.wait()
        command("host", "stop")
        reap()
    truth = baseline.label_of(evaluation, found.target)
    answers = {"ours": ours(found, answered)}
    for rival, make in (("linear", baseline.linear), ("trees", baseline.trees)):
        model = make(found.features, found.target)
        model.fit(baseline.frame(train, found.features), baseline.label_of(train, found.target))
        answers[rival] = baseline.answers(model, found.target, baseline.frame(evaluation, found.features))
    return {
        "task": found.target.task,
        "rows": len(truth),
        "variant": found.default,
        **{who: quality(found.target.task, truth, given) for who, given in answers.items()},
        "noise": noise(found.target.task, truth, answers["ours"], answers["linear"]),
        "noise_trees": noise(found.target.task, truth, answers["ours"], answers["trees"]),
        "seconds": seconds,
        "cpu_s": cpu_seconds() - before,
    }


def typed_row(evaluation: Any, found: Any) -> dict[str, Any]:
    """The first row, without its last feature."""
    return {column.name: evaluation.column(column.name)[0].as_py() for column in found.features[:-1]}


def ours(found: Any, lines: list[str]) -> Any:
    """The command's answers as scikit-learn's would look."""
    import numpy as np

    rows = [json.loads(line) for line in lines]
    if found.target.task == "regression":
        return np.array([row["prediction"] for row in rows])
    if found.target.task == "binary":
        second = np.array([row["probability"] for row in rows])
        return np.stack([1 - second, second], axis=1)
    return np.array([[row["probabilities"][name] for name in found.target.classes] for row in rows])


def quality(task: str, truth: Any, answers: Any) -> float:
    """AUC, accuracy or R2."""
    import numpy as np
    from sklearn.metrics import r2_score, roc_auc_score

    if task == "regression":
        return float(r2_score(truth, answers))
    return float(
        roc_auc_score(truth, answers[:, 1]) if task == "binary" else np.mean(answers.argmax(1) == truth)
    )


def noise(task: str, truth: Any, one: Any, other: Any) -> float:
    """A standard error of the difference of two qualities on the same rows."""
    import numpy as np

    random, differences = np.random.default_rng(SEED), []
    for _ in range(RESAMPLES if len(truth) < 2_000 else RESAMPLES // 5):
        drawn = random.integers(0, len(truth), len(truth))
        if task == "regression" or len(np.unique(truth[drawn])) > 1:
            differences.append(
                quality(task, truth[drawn], one[drawn]) - quality(task, truth[drawn], other[drawn])
            )
    return float(np.std(differences))


def main() -> None:
    """Measures the sets that are there and prints the figures."""
    parser = arguments(__doc__ or "")
    parser.add_argument("sets", nargs="*", help=f"of {', '.join([*REAL, *SHIPPED])} (all)")
    options = parser.parse_args()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    real = Path(os.environ.get("VIADUCT_REAL_DATA", CHECKOUT.parent / "shared" / "data"))
    chosen = options.sets or (QUICK if options.quick else [*REAL, *SHIPPED])
    # Kept on failure, so that the logs can be read.
    folder = Path(tempfile.mkdtemp(prefix="own-data-"))
    results: dict[str, dict[str, Any]] = {}
    for name in chosen:
        source, label = (real / REAL[name][0], REAL[name][1]) if name in REAL else (None, None)
        if source is not None and not source.exists():
            print(f"{name} is left out: there is no {source}")
            continue
        results[name] = measure(name, source or write_shipped(name, folder), label, folder)
        print(f"{name}: {results[name]}", file=sys.stderr, flush=True)
    columns = (
        "task",
        "rows",
        "variant",
        "ours",
        "linear",
        "noise",
        "trees",
        "noise_trees",
        "seconds",
        "cpu_s",
    )
    table(["set", *columns], [(name, *(found[c] for c in columns)) for name, found in results.items()])
    figures = {}
    for name, found in results.items():
        figures[f"{name}_gain"] = found["ours"] - found["linear"]
        figures[f"{name}_noise"] = found["noise"]
        figures[f"{name}_vs_trees"] = found["ours"] - found["trees"]
    if "adult" in results:
        figures["adult_seconds"] = results["adult"]["seconds"]
        figures["adult_cpu_s"] = results["adult"]["cpu_s"]
    finish("own_data", figures)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
