"""Distribution `tfx-viaduct`, command `viaduct`.

`requirements.lock` is what a development machine installs; the ranges here are what the code needs.
The extras keep a server-only or client-only install small: the server never imports TFX.
"""

from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

LOCKS = ("requirements.lock", "requirements-airflow.lock", "requirements-tfjs.lock")

# What is imported is named, also where another requirement would bring it along; tests/test_extras.py compares both.
# A package whose private names are used is capped at the versions that tests/serving/test_reach_ins.py has seen.
CLIENT = [
    "grpcio>=1.60,<2",
    "numpy>=1.24,<2",
    "protobuf>=4.25.2,<5",
    "httpx>=0.27",
    "ml-dtypes>=0.3",
    "google-crc32c>=1.5",
    # The messages of the protocol lie in the packages of these two; TensorFlow itself is never imported.
    "tensorflow>=2.16,<2.17",
    "tensorflow-serving-api>=2.16,<2.17",
]
SERVER = [
    *CLIENT,
    "uvicorn>=0.53,<0.55",
    "uvloop>=0.19",
    "httptools>=0.6.4,<1",
    "watchfiles>=0.21",
    "orjson>=3.9",
    "grpcio-health-checking>=1.48,<1.49",
    "grpcio-reflection>=1.48,<1.49",
]
PIPELINES = [
    *SERVER,
    "tfx==1.16.0",
    "ml-pipelines-sdk==1.16.0",
    "apache-beam==2.59.0",
    "ml-metadata>=1.16,<1.17",
    "tensorflow-metadata>=1.16,<1.17",
    "tensorflow-data-validation>=1.16,<1.17",
    "tensorflow-transform>=1.16,<1.17",
    "tensorflow-model-analysis>=0.47,<0.48",
    "tfx-bsl>=1.16,<1.17",
    "tf-keras>=2.16,<2.17",
    "tensorflow-decision-forests>=1.9,<1.10",
    "tensorflow-probability==0.24.*",
    "gpflow>=2.9",
    "openpyxl>=3.1",
    "gymnasium>=1.0,<2",
    "ale-py>=0.10,<1",
    "absl-py>=1.4",
    "matplotlib>=3.8",
    "pandas>=1.5,<2",
    "pillow>=10",
    "pyarrow>=10,<11",
    "scikit-learn>=1.3",
    "scipy>=1.9",
    "optuna>=5,<6",
    "threadpoolctl>=3",
    # A query's rows (`--data postgresql://...`).
    "psycopg2-binary>=2.9",
]
# Evaluations are read with TFMA's message definitions, which come with `pipelines`, and requests to a model server are
# sent with `client`; without these the pages say so.
DASHBOARDS = [
    "starlette>=1.6,<2",
    "uvicorn>=0.53,<0.55",
    "httpx>=0.27",
    "jinja2>=3.1",
    "plotly>=5.20",
    "markupsafe>=2.1",
    "python-multipart>=0.0.9",
    "numpy>=1.24,<2",
    "protobuf>=4.25.2,<5",
    "ml-metadata>=1.16,<1.17",
    "tensorflow-metadata>=1.16,<1.17",
    "tensorboard>=2.16,<2.17",
]
# Java is the system's. A worker loads models as the server does, so it needs what the engine needs.
SPARK = [
    "pyspark>=3.5,<3.6",
    "py4j>=0.10.9,<0.11",
    "pyarrow>=10,<11",
    "pandas>=1.5,<2",
    "numpy>=1.24,<2",
    "protobuf>=4.25.2,<5",
    "ml-dtypes>=0.3",
    "tensorflow>=2.16,<2.17",
    "tensorflow-serving-api>=2.16,<2.17",
    "psycopg2-binary>=2.9",
]
# What `viaduct airflow` and the nodes of a DAG need. Airflow itself has an environment of its own, which cannot hold
# TFX: requirements-airflow.lock. A project whose packages are not here is a broken DAG there.
AIRFLOW = PIPELINES


class WithLocks(build_py):
    """The locks lie in the repository's root; a wheel has them in pipelines/base/locks (`viaduct init`, tfjs)."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for name in LOCKS:
            target = Path(self.build_lib, "pipelines", "base", "locks", name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(Path(__file__).with_name(name).read_bytes())


setup(
    name="tfx-viaduct",
    version="0.1.0",
    description="TFX pipelines from raw data to a blessed, served model, on a laptop or under Airflow",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.12",
    # `dags` has no __init__.py: Airflow finds its files by their folder.
    packages=[
        *find_packages(include=["pipelines*", "components*", "bridges*", "serving*", "dashboards*"]),
        "dags",
        "dags.plugins",
    ],
    include_package_data=True,
    package_data={
        "": ["*.json", "*.pbtxt", "*.md"],
        # Folders of files that are no packages.
        "dags": [".airflowignore"],
        "dashboards": ["templates/*.html", "static/*"],
        "pipelines.base": ["template/*"],
        "pipelines.base.newdata": ["template/*"],
        "pipelines.base.workspace": ["template/*"],
        "pipelines.sentiment": ["web/*"],
    },
    install_requires=["rich>=13"],
    extras_require={
        "client": CLIENT,
        "server": SERVER,
        "pipelines": PIPELINES,
        "dashboards": DASHBOARDS,
        "spark": SPARK,
        "airflow": AIRFLOW,
        "all": sorted({*DASHBOARDS, *SPARK, *AIRFLOW}),
    },
    cmdclass={"build_py": WithLocks},
    entry_points={"console_scripts": ["viaduct = pipelines.cli:main"]},
)
