"""What pages need from elsewhere: plotly's script, and what the files of a report are called.

The script is that of an installed package, with the foreign addresses taken out that it would lead or point to;
serving it is app.py's, writing it into a page export.py's.
"""

from __future__ import annotations

import base64
import functools
import gzip
import importlib.util
import re
from pathlib import Path

from dashboards import bundle
from dashboards.readers.files import Missing

MEDIA = {".png": "image/png", ".jpg": "image/jpeg", ".svg": "image/svg+xml", ".gif": "image/gif",
         ".html": "text/html; charset=utf-8", ".txt": "text/plain; charset=utf-8"}  # fmt: skip
# The names of XML's vocabularies are no addresses: nothing is ever asked for there.
FOREIGN = re.compile(r"https?://(?!www\.w3\.org/)[\w.-]+\.\w+")


def plotly_file() -> Path:
    """plotly as it was installed: its basic bundle, else the whole. Raises Missing if there is neither."""
    basic = bundle.installed()
    if basic.is_file():
        return basic
    package = importlib.util.find_spec("plotly")
    if package is None or not package.submodule_search_locations:
        raise Missing("plotly is not installed, and charts need it: pip install 'tfx-viaduct[dashboards]'.")
    return Path(package.submodule_search_locations[0]) / "package_data" / "plotly.min.js"


@functools.cache
def plotly_script() -> str:
    """plotly as JavaScript that names no foreign host. Raises Missing."""
    return FOREIGN.sub("", plotly_file().read_text(encoding="utf-8"))


@functools.cache
def plotly_packed() -> str:
    """The same, gzipped and in base64: a third of its size; app.js unpacks it. Raises Missing."""
    return base64.b64encode(gzip.compress(plotly_script().encode(), 9, mtime=0)).decode()
