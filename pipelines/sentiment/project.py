"""The card of sentiment: what is asked, of which data, with which hyper-parameters and bars. Facts only."""

from pipelines.base.project import Bar, DataSource, Evaluation, Profile, Project, Variant

# `tfjs` adds the export for browsers to the pipeline; the first export installs the converter (see README.md).
RECURRENT = {
    "learning_rate": 5e-3,
    "batch_size": 64,
    "epochs": 20,
    "word_dropout": 0.25,
    "tfjs": False,
}
# Of texts that were never trained on. Not shown to be worse than the better of two regressions on words.
NOT_WORSE = Bar("accuracy_gain_on_best_upper", at_least=0.0)

PROJECT = Project(
    name="sentiment",
    title="Sentiment of a sentence",
    question="Is this sentence positive or negative?",
    model="A weight for every word, and a recurrent correction if asked for; small enough for a web page",
    data=DataSource(
        title="Sentences about films and books from web logs (University of Michigan SI650)",
        url="https://raw.githubusercontent.com/PacktPublishing/TensorFlow-Machine-Learning-Projects/"
        "master/Chapter03/TensorflowJS/sentiment.txt",
        licence="MIT (the repository that holds the file)",
        size="0.4 MB, about 6,000 labelled sentences, one in five or six of them different",
    ),
    variants=(
        Variant("linear", "a logistic regression's weight for every word", {"tfjs": False}),
        Variant("gru", "the same and a correction by GRUs of 16, 8 and 4 units", RECURRENT),
        Variant("lstm", "the same and a correction by LSTMs of 16, 8 and 4 units", RECURRENT),
    ),
    quick=Profile(
        bars=(
            Bar("accuracy", at_least=0.90, max_loss=0.03, sure=True),
            Bar("auc", at_least=0.97),
            NOT_WORSE,
        ),
        sample_rows=6_000,
        parameters={"epochs": 12},
    ),
    full=Profile(
        bars=(
            Bar("accuracy", at_least=0.90, max_loss=0.02, sure=True),
            Bar("auc", at_least=0.98),
            NOT_WORSE,
        ),
        sample_rows=7_000,
    ),
    evaluation=Evaluation(
        task="own",
        function="pipelines.sentiment.evaluate.evaluate",
        classes=("negative", "positive"),
        slices=(("length",),),
    ),
    to_beat="4 sample sentences scored right",
    schedule="@weekly",
    spans="counter",
    tags=("text", "browser"),
)
