"""Viaduct's pipelines. Importing this package sets what TensorFlow must find in the environment; nothing else.

TFX 1.16 needs Keras 2, which TensorFlow 2.16 gives only with TF_USE_LEGACY_KERAS=1, set before its import.
"""

import os

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
