"""The blessing as TFX's Evaluator leaves it: the properties and the file that Pusher, resolver and lineage look for."""

from __future__ import annotations

import os

from tfx import types
from tfx.components.evaluator import constants
from tfx.dsl.io import fileio
from tfx.utils import io_utils


def bless(
    blessing: types.Artifact, blessed: bool, model: types.Artifact, last: types.Artifact | None
) -> None:
    """Writes BLESSED or NOT_BLESSED, in the place of the other, and the properties of `blessing`."""
    blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
    if last is not None:
        blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY, last.uri)
        blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY, last.id)
    names = [constants.NOT_BLESSED_FILE_NAME, constants.BLESSED_FILE_NAME]
    other = os.path.join(blessing.uri, names[not blessed])
    if fileio.exists(other):
        fileio.remove(other)
    io_utils.write_string_file(os.path.join(blessing.uri, names[blessed]), "")
    value = constants.BLESSED_VALUE if blessed else constants.NOT_BLESSED_VALUE
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, value)
