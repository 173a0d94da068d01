"""The card of book_scripts: what is asked, of which data, with which hyper-parameters and bars. Facts only."""

from pipelines.base.project import Bar, DataSource, Evaluation, Profile, Project, Variant

PROJECT = Project(
    name="book_scripts",
    title="Text in a book's style",
    question="How would this book go on?",
    model="Two-layer LSTM over words and punctuation tokens, mixed with a 5-gram and a cache of the text so far",
    data=DataSource(
        title="The manual of PostgreSQL 15, as plain prose",
        url="https://www.postgresql.org/docs/15/index.html",
        licence="PostgreSQL licence",
        size="1.1 MB, 174,000 words",
        command="viaduct run book_scripts --data BOOK.txt  # any text, one paragraph per line",
    ),
    variants=(
        Variant(
            "lstm",
            "two layers of 200 units, dropout 0.4",
            {
                "units": 200,
                "dropout": 0.4,
                "batch_size": 16,
                "steps": 32,
                "learning_rate": 3e-3,
                "weight_decay": 1e-4,
                "clip_norm": 1.0,
                "epochs": 14,
            },
        ),
    ),
    quick=Profile(
        bars=(
            Bar("perplexity_ratio_cached", at_most=1.0, max_loss=0.05, sure=True),
            Bar("perplexity_ratio_ngram", at_most=0.95),
        ),
        sample_rows=1_500,
        parameters={"units": 96, "epochs": 6, "dropout": 0.2, "learning_rate": 6e-3},
    ),
    full=Profile(
        bars=(
            Bar("perplexity_ratio_cached", at_most=1.0, max_loss=0.05, sure=True),
            Bar("perplexity_ratio_ngram", at_most=0.95),
        ),
        sample_rows=6_000,
    ),
    evaluation=Evaluation(
        task="own",
        function="pipelines.book_scripts.evaluate.evaluate",
        slices=(("word",), ("paragraph",)),
    ),
    to_beat="sample text",
    schedule="@monthly",
    spans="counter",
    tags=("text", "generation"),
)
