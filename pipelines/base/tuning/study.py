"""The trials of one search in Optuna's journal: which parameters to try next, and whether a trial has fallen behind.

The first trial has the defaults. What a killed tuner left unfinished is given out again under its number. It trains
nothing and knows no files but its journal. One process at a time: whoever opens a study holds its folder's lock.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.base import whole
from pipelines.base.search import Between, Dimension, Search, Value
from pipelines.base.tuning.trial import COMPLETE, FAILED, PRUNED

JOURNAL, NAME, SEED = "journal.jsonl", "search", 20261
# Trials at random before the sampler has a model of the space; whole trials, and the step of one, before a median says
# anything.
AT_RANDOM, BEFORE_MEDIAN, FIRST_STEP = 6, 3, 2


class Study:
    """Trials are Optuna's; `search` is what they search, `defaults` the parameters of the first one."""

    def __init__(self, folder: Path, search: Search, defaults: Mapping[str, Value]) -> None:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.search, self._defaults, self._optuna = search, defaults, optuna
        journal = folder / JOURNAL
        _cut_unfinished_line(journal)
        self._study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(journal), lock_obj=_held(journal))),
            study_name=NAME,
            direction="maximize" if search.maximise else "minimize",
            pruner=optuna.pruners.MedianPruner(BEFORE_MEDIAN, FIRST_STEP),
            load_if_exists=True,
        )
        if not self._study.trials:
            self._study.enqueue_trial({name: defaults[name] for name in search.space})
        running = (optuna.trial.TrialState.RUNNING,)
        self._left = self._study.get_trials(deepcopy=False, states=running)[::-1]

    def begun(self) -> int:
        """Trials that have been given out, in this process or an earlier one."""
        waiting = self._optuna.trial.TrialState.WAITING
        return sum(one.state != waiting for one in self._study.get_trials(deepcopy=False))

    def next(self, most: int) -> tuple[Any, dict[str, Value]] | None:
        """A trial to run and its parameters: one that was left unfinished, else a new one; None after `most`."""
        if self._left and self._left[-1].number < most:
            trial = self._optuna.trial.Trial(self._study, self._left.pop()._trial_id)
        elif self.begun() < most:
            # Of the number of trials, so that a tuner that is started again goes on as the first would have.
            self._study.sampler = self._optuna.samplers.TPESampler(
                n_startup_trials=AT_RANDOM, constant_liar=True, seed=SEED + self.begun()
            )
            trial = self._study.ask()
        else:
            return None
        space = self.search.space
        return trial, {name: _suggest(trial, name, one, self._defaults[name]) for name, one in space.items()}

    def behind(self, trial: Any, told: list[tuple[int, float]]) -> bool:
        """Takes what a trial has told of its steps; whether it is below the median of the others at that step.

        The defaults are never ended early: they are what the choice is compared with.
        """
        known = self._study.get_trials(deepcopy=False)[trial.number].intermediate_values
        less = self.search.watch.endswith("loss")
        for step, value in told:
            if step not in known:
                # The pruner compares in the direction of the study.
                trial.report(-value if less == self.search.maximise else value, step)
        return bool(told) and trial.number > 0 and bool(trial.should_prune())

    def tell(self, trial: Any, key: str, result: Mapping[str, Any]) -> None:
        """Writes down what a trial came to."""
        states = self._optuna.trial.TrialState
        trial.set_user_attr("key", key)
        for name in ("error", "seconds"):
            if name in result:
                trial.set_user_attr(name, result[name])
        if result["state"] == COMPLETE:
            self._study.tell(trial, result["value"])
        else:
            self._study.tell(trial, state=states.PRUNED if result["state"] == PRUNED else states.FAIL)

    def trials(self) -> list[dict[str, Any]]:
        """Every trial in order: {'number', 'state', 'value', 'parameters', 'key', 'seconds', 'error', 'steps'}."""
        states = self._optuna.trial.TrialState
        names = {
            states.COMPLETE: COMPLETE,
            states.PRUNED: PRUNED,
            states.FAIL: FAILED,
            states.RUNNING: "running",
        }
        return [
            {
                "number": one.number,
                "state": names[one.state],
                "value": one.value if one.state == states.COMPLETE else None,
                "parameters": dict(one.params),
                "steps": len(one.intermediate_values),
                **{name: one.user_attrs.get(name) for name in ("key", "seconds", "error")},
            }
            for one in self._study.get_trials(deepcopy=False)
            if one.state in names
        ]

    def importances(self) -> dict[str, float]:
        """Each parameter's share of what the metric varies by (fANOVA, Hutter et al. 2014); {} where unknown."""
        whole_ones = [one["value"] for one in self.trials() if one["state"] == COMPLETE]
        if len(whole_ones) < 4 or len(set(whole_ones)) < 2:
            return {}
        evaluator = self._optuna.importance.FanovaImportanceEvaluator(seed=SEED)
        with warnings.catch_warnings(), contextlib.suppress(ValueError, RuntimeError):
            warnings.simplefilter("ignore")
            told = self._optuna.importance.get_param_importances(self._study, evaluator=evaluator)
            return {name: round(float(share), 4) for name, share in told.items()}
        return {}


def _suggest(trial: Any, name: str, dimension: Dimension, default: Value) -> Value:
    """The trial's value, a whole number where the default is; that of a trial given out before stays what it was."""
    value: Value
    if not isinstance(dimension, Between):
        value = trial.suggest_categorical(name, list(dimension.choices))
    elif isinstance(default, int):
        value = trial.suggest_int(name, int(dimension.low), int(dimension.high), log=dimension.log)
    else:
        value = trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)
    return value


def _cut_unfinished_line(journal: Path) -> None:
    """A writer that was killed may have left half a line, which the next one would continue."""
    if journal.exists():
        data = journal.read_bytes()
        kept = data[: data.rfind(b"\n") + 1]
        if len(kept) != len(data):
            whole.write(journal, kept)


def _held(journal: Path) -> Any:
    from optuna.storages.journal import JournalFileOpenLock

    class Held(JournalFileOpenLock):
        """The folder's lock is held already; Optuna's own would outlive a killed process by half a minute."""

        def acquire(self) -> bool:
            return True

        def release(self) -> None:
            return None

    return Held(str(journal))
