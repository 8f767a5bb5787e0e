"""Run as a program of its own: a document as JSON on standard input, its PDF on standard output; no file is written.

Typst holds what it has set, a person's words and some 300 bytes for each letter, as long as its process lives.
"""

import os
import resource
import sys
from pathlib import Path

import typst

_TEMPLATE = Path(__file__).parent / "templates" / "export.typ"
# Three times what a million letters take.
_MOST_MEMORY = 2 << 30


def _main() -> None:
    os.nice(10)  # visits come first
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    document = sys.stdin.buffer.read().decode()
    sys.stdout.buffer.write(
        typst.compile(_TEMPLATE.read_bytes(), sys_inputs={"document": document}, ignore_system_fonts=True)
    )


if __name__ == "__main__":
    _main()
