"""The card of sentiment: what is asked, of which data, with which hyper-parameters and bars. Facts only."""

from pipelines.base.project import Bar, DataSource, Evaluation, Profile, Project, Variant

# `tfjs` adds the export for browsers to the pipeline; the first export installs the converter (see README.md).
SHARED = {
    "learning_rate": 5e-3,
    "batch_size": 64,
    "epochs": 20,
    "word_dropout": 0.25,
    "tfjs": False,
}

PROJECT = Project(
    name="sentiment",
    title="Sentiment of a sentence",
    question="Is this sentence positive or negative?",
    model="Words as 8 numbers each, then three recurrent layers; small enough for a web page",
    data=DataSource(
        title="Sentences about films and books from web logs (University of Michigan SI650)",
        url="https://raw.githubusercontent.com/PacktPublishing/TensorFlow-Machine-Learning-Projects/"
        "master/Chapter03/TensorflowJS/sentiment.txt",
        licence="MIT (the repository that holds the file)",
        size="0.4 MB, about 7,000 labelled sentences, one in five of them different",
    ),
    variants=(
        Variant("gru", "GRUs of 16, 8 and 4 units", SHARED),
        Variant("lstm", "LSTMs of 16, 8 and 4 units", SHARED),
    ),
    quick=Profile(
        bars=(Bar("accuracy", at_least=0.93, max_loss=0.03), Bar("auc", at_least=0.97)),
        sample_rows=3_000,
        parameters={"epochs": 8},
    ),
    full=Profile(
        bars=(Bar("accuracy", at_least=0.985, max_loss=0.01), Bar("auc", at_least=0.99)),
        sample_rows=7_000,
    ),
    evaluation=Evaluation(
        task="binary",
        label_key="label",
        prediction_key="score",
        metrics=('BinaryAccuracy:{"name": "accuracy"}', "AUC", "Precision", "Recall"),
        slices=(("sentence",), ("length",)),
    ),
    to_beat="4 sample sentences scored right",
    schedule="@weekly",
    spans="counter",
    tags=("text", "browser"),
)
