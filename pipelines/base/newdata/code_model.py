"""What fills model.py and report.py: the task's fragments, and embeddings where there are categories."""

from __future__ import annotations

from pipelines.base.newdata.code_tasks import TASKS
from pipelines.base.newdata.columns import Role
from pipelines.base.newdata.findings import Findings
from pipelines.base.newdata.layout import block, docstring

# Points of the learning curve.
EPOCHS = 12
EMBEDDINGS = """
for key in CATEGORIES:
    inputs[xf(key)] = keras.Input((1,), name=xf(key), dtype="int64")
    width = max($LEAST_WIDTH, round(sizes[xf(key)] ** 0.5))
    parts.append(layers.Flatten()(layers.Embedding(sizes[xf(key)], width)(inputs[xf(key)])))
"""
SIZES = """
# A place more for what is not in the vocabulary.
sizes = {xf(key): run.transformed.vocabulary_size_by_name(xf(key)) + 1 for key in CATEGORIES}
"""
USAGE = """
categories = [tfdf.keras.FeatureUsage(xf(key), tfdf.keras.FeatureSemantic.CATEGORICAL) for key in CATEGORIES]
"""
SCALE = """
rows = training.dataset(fn_args.train_files, run.spec, LABEL_KEY, 4_096)
labels = np.concatenate([label.numpy().ravel() for _, label in rows])
"""


def label_id(found: Findings) -> str:
    """The name of the label as a number, which is what the Evaluator compares."""
    return f"{found.target.name}_id"


def model(found: Findings) -> dict[str, str]:
    """Values for the template model.py."""
    task, categories = TASKS[found.target.task], bool(found.of(Role.CATEGORY))
    units = len(found.target.classes) if found.target.task == "multiclass" else 1
    imports = ["LABEL_KEY", "VECTORS", *(["CATEGORIES", "xf"] if categories else [])]
    embeddings = EMBEDDINGS.replace("$LEAST_WIDTH", str(max(2, min(units, 8))))
    inputs = "[*VECTORS, *map(xf, CATEGORIES)]" if categories else "VECTORS"
    served = f"inputs = {{name: features[name] for name in {inputs}}}\n{task.served.strip()}"
    by = f"By serialized tf.Examples, by features under their names, for {task.method}"
    return {
        **_network(found, categories),
        "NUMPY": "" if found.target.classes else "import numpy as np\n",
        "FEATURES": ", ".join([*imports, *(["CLASSES"] if found.target.classes else [])]),
        "EPOCHS": str(EPOCHS),
        "ANSWERS": task.answers.replace("$UNITS", str(units)),
        "SIZES_DOC": " `sizes` are those of the vocabularies by feature." if categories else "",
        "EMBEDDINGS": block(embeddings, 4) if categories else "",
        "UNITS": str(units),
        # The penalty is in the units of the loss.
        "PENALTY": 'parameters["l2"]' + ("" if found.target.classes else " * deviation**2"),
        "OUTPUT": task.last,
        "LOSS": task.loss,
        "TASK": task.forest,
        "USAGE": block(USAGE, 4) if categories else "",
        "USED": "        features=categories,\n" if categories else "",
        "CLIENTS": docstring(f"A module: transformed features -> what clients see, {task.clients}."),
        "SERVED": block(served, 12),
        "SIGNATURES_DOC": docstring(
            f"{by}{', and labels for the Evaluator' if found.target.classes else ''}."
        ),
        "SIGNATURES": block(task.signature, 8).replace("$ID", repr(label_id(found))),
    }


def _network(found: Findings, categories: bool) -> dict[str, str]:
    """Arguments of build_model, and what fit_network does for them."""
    arguments, given, prepare = ["parameters: dict[str, Any]"], ["parameters"], ""
    if categories:
        arguments.append("sizes: dict[str, int]")
        given.append("sizes")
        prepare += block(SIZES, 4)
    if not found.target.classes:
        arguments += ["mean: float", "deviation: float"]
        given += ["float(labels.mean())", "float(labels.std())"]
        prepare += block(SCALE, 4)
    prepare += f"    model = build_model({', '.join(given)})\n"
    return {"ARGUMENTS": ", ".join(arguments), "PREPARE": prepare}


def report(found: Findings) -> dict[str, str]:
    """Values for the template report.py."""
    task = TASKS[found.target.task]
    raw = "int64" if found.of(Role.LABEL)[0].type == "INT" else "float32"
    return {
        "FEATURES": "CLASSES" if found.target.classes else "LABEL_KEY",
        "WRITES": task.writes,
        "READ": block(task.read, 4).replace("$RAW", raw),
        "COLLECT": block(task.collect, 8).replace("$ID", repr(label_id(found))),
        "DRAW": block(task.draw, 4),
    }
