"""ModelServerConfig: read from protobuf text, checked, and turned into what the source watches.

Refuses what TensorFlow Serving refuses, with its texts: a model listed twice, a relative path, another
platform. It does not apply a configuration (`serving.models.models`) and does not poll files (`serving.main`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from google.protobuf import text_format

from serving.core.policy import VersionPolicy
from serving.core.source import Monitored
from serving.errors import InvalidArgument, NotFound
from serving.wire import protos

PLATFORM = "tensorflow"

ModelServerConfig = protos.model_server_config_pb2.ModelServerConfig


def read(path: str) -> Any:
    """The configuration in a file. Raises InvalidArgument that names the file and the place, or NotFound."""
    return parse_text(path, ModelServerConfig())


def parse_text(path: str, message: Any) -> Any:
    """Fills `message` from a file of protobuf text. Raises InvalidArgument, or NotFound where there is none."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        return text_format.Parse(text, message)
    except FileNotFoundError as error:
        raise NotFound(f"{path}; {error.strerror}") from None
    except OSError as error:
        raise InvalidArgument(f"Cannot read {path!r}: {error.strerror or error}") from None
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"Invalid protobuf file: '{path}' ({error})") from None


def single(name: str, base_path: str) -> Any:
    """What `--model_name` and `--model_base_path` mean."""
    config = ModelServerConfig()
    config.model_config_list.config.add(
        name=name,
        base_path=base_path if "://" in base_path else os.path.abspath(base_path),
        model_platform=PLATFORM,
    )
    return config


def validate(config: Any) -> None:
    """Raises InvalidArgument for a list of models that can never be served."""
    names: set[str] = set()
    for model in config.model_config_list.config:
        if not model.name:
            raise InvalidArgument("A model in the config list has no name")
        if model.name in names:
            raise InvalidArgument(f"Illegal to list model {model.name} multiple times in config list")
        names.add(model.name)
        if not os.path.isabs(local_path(model)):
            raise InvalidArgument(
                f"Expected model {model.name} to have an absolute path or URI; "
                f"got base_path()={model.base_path}"
            )
        _check_platform(model)


def local_path(model: Any) -> str:
    """The folder of a model's base path, which may be a file:// URI. Raises InvalidArgument for other schemes."""
    scheme, sign, rest = model.base_path.partition("://")
    if not sign:
        return str(model.base_path)
    if scheme.lower() != "file":
        raise InvalidArgument(
            f"Model {model.name} has the base path {model.base_path!r}, but only local folders are served here. Mount "
            f"the {scheme}:// location (s3fs, gcsfuse, a CSI volume) or copy it, and give its folder"
        )
    host, slash, path = rest.partition("/")
    if host not in ("", "localhost"):
        raise InvalidArgument(
            f"Model {model.name} has the base path {model.base_path!r}: a file:// URI of another host; "
            "expected file:///folder"
        )
    folder: str = slash + unquote(path)
    return folder


def _check_platform(model: Any) -> None:
    if model.model_type and model.model_platform:
        raise InvalidArgument("Illegal setting both model_type(deprecated) and model_platform.")
    if not model.model_type and not model.model_platform:
        raise InvalidArgument("Illegal setting neither model_type(deprecated) nor model_platform.")
    platform = model.model_platform or (PLATFORM if model.model_type == 1 else "other")
    if platform != PLATFORM:
        raise InvalidArgument(f"Model {model.name} requests unsupported platform {platform}")


def _policy(model: Any) -> VersionPolicy:
    policy = model.model_version_policy
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return VersionPolicy("all")
    if choice == "specific":
        return VersionPolicy("specific", specific=frozenset(policy.specific.versions))
    # The proto's default is 1; an explicit 0 means the same to the original.
    return VersionPolicy("latest", count=max(1, policy.latest.num_versions))


def monitored(config: Any) -> list[Monitored]:
    return [Monitored(m.name, local_path(m), _policy(m)) for m in config.model_config_list.config]


def labels(config: Any) -> dict[str, dict[str, int]]:
    """Version labels by model."""
    return {m.name: dict(m.version_labels) for m in config.model_config_list.config if m.version_labels}
