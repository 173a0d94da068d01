"""`python -m pipelines` is `viaduct`."""

import sys

from pipelines.cli import main

sys.exit(main())
