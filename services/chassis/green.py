"""Import this before anything else in a process that serves: it makes the standard library cooperative.

nameko runs on eventlet's green threads. psycopg's C wait function would block all of them (4.1 s against 0.6 s for
eight parallel queries), so its Python one is chosen before psycopg is first imported.
"""

import os
import warnings

os.environ.setdefault("PSYCOPG_WAIT_FUNC", "wait_selector")

# nameko is given, and eventlet with it: its advice to migrate is not for whoever runs Relais.
warnings.filterwarnings("ignore", message="\\s*Eventlet is deprecated")

import eventlet  # noqa: E402
from eventlet import debug  # noqa: E402

eventlet.monkey_patch()

# A green thread that dies would print a traceback, whose last line may quote what a person told: ours is logged.
debug.hub_exceptions(state=False)
