"""Distribution `tfx-viaduct`, command `viaduct`.

`requirements.lock` is what a development machine installs; the ranges here are what the code needs.
The extras keep a server-only or client-only install small: the server never imports TFX.
"""

from pathlib import Path

from setuptools import find_packages, setup

CLIENT = [
    "grpcio>=1.60",
    "numpy>=1.24,<2",
    "protobuf>=3.20.3,<4",
    "httpx>=0.27",
    "tensorflow-serving-api>=2.16,<2.17",
]
SERVER = [
    *CLIENT,
    "tensorflow>=2.16,<2.17",
    "uvicorn>=0.30",
    "uvloop>=0.19",
    "httptools>=0.6",
    "watchfiles>=0.21",
    "prometheus-client>=0.20",
    "orjson>=3.9",
    "google-crc32c>=1.5",
    "grpcio-health-checking>=1.48",
    "grpcio-reflection>=1.48",
]
PIPELINES = [
    *SERVER,
    "tfx==1.16.0",
    "apache-beam==2.59.0",
    "ml-metadata>=1.16,<1.17",
    "tf-keras>=2.16,<2.17",
    "tensorflow-decision-forests>=1.9,<2",
    "tensorflow-probability==0.24.*",
    "gpflow>=2.9",
    "matplotlib>=3.8",
]
DASHBOARDS = [
    "fastapi>=0.110",
    "jinja2>=3.1",
    "plotly>=5.20",
    "python-multipart>=0.0.9",
    "ml-metadata>=1.16,<1.17",
]
AIRFLOW = ["apache-airflow[postgres]>=2.11,<3", "psycopg2-binary>=2.9"]

setup(
    name="tfx-viaduct",
    version="0.1.0",
    description="TFX pipelines from raw data to a blessed, served model, on a laptop or under Airflow",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.11",
    packages=find_packages(include=["pipelines*", "components*", "dags*", "serving*", "dashboards*"]),
    include_package_data=True,
    package_data={"": ["*.json", "*.pbtxt", "*.html", "*.css", "*.js", "*.svg", "*.md", "*.txt", "*.tmpl"]},
    install_requires=["rich>=13"],
    extras_require={
        "client": CLIENT,
        "server": SERVER,
        "pipelines": PIPELINES,
        "dashboards": DASHBOARDS,
        "airflow": AIRFLOW,
        "all": sorted({*PIPELINES, *DASHBOARDS, *AIRFLOW}),
    },
    entry_points={"console_scripts": ["viaduct = pipelines.cli:main"]},
)
