"""The card of faces: what is asked, of which data, with which hyper-parameters and bars. Facts only."""

from pipelines.base.project import Bar, DataSource, Evaluation, Profile, Project, Variant

_MTCNN = "https://raw.githubusercontent.com/ipazc/mtcnn/master/mtcnn/assets/weights/"
_FACE_API = "https://raw.githubusercontent.com/vladmandic/face-api/master/model/"
# Pretrained weights below a folder `weights`, and where their publishers have them; both under the MIT licence.
WEIGHT_URLS = {
    "mtcnn/pnet.lz4": f"{_MTCNN}pnet.lz4",
    "mtcnn/rnet.lz4": f"{_MTCNN}rnet.lz4",
    "mtcnn/onet.lz4": f"{_MTCNN}onet.lz4",
    "face_api_tfjs/face_recognition_model-weights_manifest.json": (
        f"{_FACE_API}face_recognition_model-weights_manifest.json"
    ),
    "face_api_tfjs/face_recognition_model.bin": f"{_FACE_API}face_recognition_model.bin",
}

PROJECT = Project(
    name="faces",
    title="Faces",
    question="Who is this, of the people whom the one who asks has enrolled?",
    model="MTCNN detection, alignment by five landmarks, an embedding trained with triplets or a pretrained descriptor",
    data=DataSource(
        title="The ORL Database of Faces (AT&T Laboratories Cambridge, 1992-1994)",
        url="https://www.cl.cam.ac.uk/Research/DTG/attarchive/pub/data/att_faces.zip",
        licence="free for research, with credit to AT&T Laboratories Cambridge",
        size="4 MB, 400 grey pictures of 40 people; weights 9 MB",
        command="viaduct data faces",
        sha256={
            "mtcnn/pnet.lz4": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
            "mtcnn/rnet.lz4": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
            "mtcnn/onet.lz4": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
            "face_api_tfjs/face_recognition_model-weights_manifest.json": (
                "cbaffa501b0b9275a12b63357a6843e7e30c054e1c9151e1a5f879b26e32986b"
            ),
            "face_api_tfjs/face_recognition_model.bin": (
                "b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589"
            ),
        },
    ),
    variants=(
        Variant(
            "triplet",
            "three convolutions, the detector's where its weights are named, and a projection trained with triplets",
            {
                "dimensions": 128,
                "margin": 0.5,
                "learning_rate": 3e-4,
                "people_a_batch": 12,
                "steps": 20,
                "epochs": 10,
                "weights": "",
            },
        ),
        Variant("descriptor", "a pretrained network that describes a face by 128 numbers", {"weights": ""}),
    ),
    quick=Profile(
        bars=(Bar("verification_auc", at_least=0.90, max_loss=0.03),),
        sample_rows=960,
        parameters={"learning_rate": 1e-3},
    ),
    full=Profile(
        bars=(
            Bar("verification_auc", at_least=0.97, max_loss=0.02),
            Bar("identification", at_least=0.95, max_loss=0.05),
            Bar("found_at_1_percent", at_least=0.85),
            Bar("detection_rate", at_least=0.97),
            Bar("verification_gain_on_best_rival", at_least=0.0),
        ),
        sample_rows=2_400,
        variant_bars={
            "descriptor": (
                Bar("verification_auc", at_least=0.995, max_loss=0.005),
                Bar("identification", at_least=0.95, max_loss=0.05),
                Bar("found_at_1_percent", at_least=0.85),
                Bar("detection_rate", at_least=0.97),
                Bar("verification_gain_on_best_rival", at_least=0.0),
            )
        },
    ),
    evaluation=Evaluation(
        task="own",
        function="pipelines.faces.evaluate.evaluate",
        slices=(("brightness",), ("contrast",), ("lighting",)),
    ),
    to_beat="OpenFace's pipeline",
    spans="counter",
    tags=("images", "metric learning"),
)
