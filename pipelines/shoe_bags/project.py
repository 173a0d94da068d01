"""The card of shoe_bags: what is asked, of which data, with which hyper-parameters and bars. Facts only."""

from pipelines.base.project import Bar, DataSource, Evaluation, Profile, Project, Scalar, Variant

# Photographs of edges2shoes (50,025 pairs, 2 GB) and edges2handbags (138,767 pairs, 8 GB), for the variant `photos`.
PHOTOGRAPHS = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/"
TRAINING: dict[str, Scalar] = {"reconstruction_weight": 10.0, "batch_size": 64}


def _bars(taken: float, reconstruction: float, diversity: float, frechet: float) -> tuple[Bar, ...]:
    """Both ways; evaluate.py says what each is measured in. None may be met by a rival."""
    return (
        *(Bar(f"{domain}_taken", at_least=taken, max_loss=0.03) for domain in ("bag", "shoe")),
        *(
            Bar(f"{domain}_reconstruction", at_most=reconstruction, max_loss=0.05)
            for domain in ("shoe", "bag")
        ),
        *(Bar(f"{domain}_diversity", at_least=diversity) for domain in ("bag", "shoe")),
        *(Bar(f"{domain}_frechet_share", at_most=frechet) for domain in ("bag", "shoe")),
        Bar("rivals_passing", at_most=0),
    )


PROJECT = Project(
    name="shoe_bags",
    title="Shoes and bags",
    question="Which bag goes with this shoe, and which shoe with this bag?",
    model="DiscoGAN: two translators and two critics, trained on two heaps of pictures without pairs",
    data=DataSource(
        title="Fashion-MNIST (Xiao, Rasul, Vollgraf): bags, and sandals, sneakers and ankle boots",
        url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        licence="MIT",
        size="31 MB, 24,000 + 4,000 of 70,000 images",
        command="viaduct data shoe_bags",
        sha256={
            "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
    ),
    variants=(
        Variant(
            "discogan",
            "32 x 32 grey, no normalisation in the translators",
            {
                "side": 32,
                "channels": 1,
                "width": 32,
                "normalisation": "none",
                "learning_rate": 4e-4,
                "steps": 100,
                "epochs": 40,
                **TRAINING,
            },
        ),
        Variant(
            "photos",
            "64 x 64 in colour, four convolutions of 64 to 512 filters with batch normalisation",
            {
                "side": 64,
                "channels": 3,
                "width": 64,
                "normalisation": "batch",
                "learning_rate": 2e-4,
                "steps": 500,
                "epochs": 40,
                **TRAINING,
            },
        ),
    ),
    quick=Profile(
        bars=_bars(taken=0.80, reconstruction=0.50, diversity=0.5, frechet=0.6),
        sample_rows=3_000,
        parameters={"width": 16, "learning_rate": 1e-3, "epochs": 12},
        variant_parameters={"photos": {"width": 8, "steps": 50}},
    ),
    full=Profile(
        bars=_bars(taken=0.90, reconstruction=0.35, diversity=0.6, frechet=0.5),
        sample_rows=12_000,
    ),
    evaluation=Evaluation(task="own", function="pipelines.shoe_bags.evaluate.evaluate", slices=(("kind",),)),
    to_beat="pictures",
    rivals={
        "bag_taken_identity": "the shoe itself",
        "shoe_taken_identity": "the bag itself",
        "shoe_reconstruction_mean_image": "the mean picture",
        "bag_reconstruction_mean_image": "the mean picture",
        "shoe_reconstruction_nearest": "the nearest picture",
        "bag_reconstruction_nearest": "the nearest picture",
    },
    spans="counter",
    tags=("images", "adversarial"),
)
