"""`python -m tests.bench`: how fast Relais is, beside peers that do the same by hand."""

import warnings

# nameko is given, and eventlet with it: its advice to migrate is not for whoever measures.
warnings.filterwarnings("ignore", message="\\s*Eventlet is deprecated")

from tests.bench.commands import app  # noqa: E402

app()
