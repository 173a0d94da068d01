"""What model.py and report.py say differently for each task: loss, last layer, what clients see, pictures."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Task:
    """`$ID` in a fragment is the label's name as a number, `$RAW` the type of the label's column."""

    loss: str
    answers: str
    last: str
    forest: str
    output: str
    metrics: tuple[str, ...]
    clients: str
    served: str
    method: str
    signature: str
    writes: str
    read: str
    collect: str
    draw: str


CONFUSION = {
    "writes": "learning_curves and confusion_matrix",
    "read": """
names = ("serve_examples", "labels")
serve, labels = (reading.signature(context.model, name) for name in names)
counts = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
""",
    "draw": """
right = counts.trace() / max(1, counts.sum())
file = context.folder / "confusion_matrix.png"
pictures.confusion_matrix(counts, CLASSES, file, f"{right:.1%} right")
""",
}
LABELS = """
served_as.CLASSIFY: served_as.classify_signature(examples, "$OUTPUT", CLASSES),
served_as.LABELS: served_as.labels_signature(transformed, served, LABEL_KEY, $ID),
"""

TASKS = {
    "binary": Task(
        loss="binary_crossentropy",
        answers="probability [n, 1] of the second class",
        last='layers.Activation("sigmoid")(answer)',
        forest="CLASSIFICATION",
        output="probability",
        metrics=("AUC", "BinaryAccuracy", "Precision", "Recall"),
        clients="the likelier class's name, and the probability of the second class",
        served="""
probability = self.model(inputs)[:, 0]
label = tf.gather(list(CLASSES), tf.cast(probability >= 0.5, tf.int32))
return {"label": label, "probability": probability}
""",
        method="Classify",
        signature=LABELS.replace("$OUTPUT", "probability"),
        collect="""
answers = serve(examples=batch)["probability"].numpy() >= 0.5
np.add.at(counts, (labels(examples=batch)[$ID].numpy(), answers.astype(int)), 1)
""",
        **CONFUSION,
    ),
    "multiclass": Task(
        loss="sparse_categorical_crossentropy",
        answers="probabilities [n, $UNITS]",
        last='layers.Activation("softmax")(answer)',
        forest="CLASSIFICATION",
        output="probabilities",
        metrics=("SparseCategoricalAccuracy", "SparseCategoricalCrossentropy"),
        clients="the likeliest class's name, and the probabilities of all in the order of CLASSES",
        served="""
probabilities = self.model(inputs)
label = tf.gather(list(CLASSES), tf.argmax(probabilities, axis=1))
return {"label": label, "probabilities": probabilities}
""",
        method="Classify",
        signature=LABELS.replace("$OUTPUT", "probabilities"),
        collect="""
answers = serve(examples=batch)["probabilities"].numpy().argmax(axis=1)
np.add.at(counts, (labels(examples=batch)[$ID].numpy(), answers), 1)
""",
        **CONFUSION,
    ),
    "regression": Task(
        loss="mean_squared_error",
        answers="the label [n, 1]",
        last="layers.Rescaling(deviation, mean)(answer)",
        forest="REGRESSION",
        output="prediction",
        metrics=("RootMeanSquaredError", "MeanAbsoluteError"),
        clients="the prediction",
        served="""
return {"prediction": self.model(inputs)[:, 0]}
""",
        method="Regress",
        signature="""
served_as.REGRESS: served_as.regress_signature(examples, "prediction"),
""",
        writes="learning_curves and predictions",
        read="""
serve = reading.signature(context.model, "serve_examples")
spec = {LABEL_KEY: tf.io.FixedLenFeature([], tf.$RAW)}
answers, labels = [], []
""",
        collect="""
answers.append(serve(examples=batch)["prediction"].numpy())
labels.append(tf.io.parse_example(batch, spec)[LABEL_KEY].numpy())
""",
        draw="""
drawn = pictures.figure(5, 4.6)
axes = drawn.subplots()
axes.plot(np.concatenate(labels), np.concatenate(answers), ".", alpha=0.4)
axes.axline((0, 0), slope=1, color="black", linewidth=0.8)
axes.set(xlabel=f"{LABEL_KEY} as it was", ylabel="as predicted", title="Predictions")
pictures.save(drawn, context.folder / "predictions.png")
""",
    ),
}
