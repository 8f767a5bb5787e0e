"""Make a virtual environment with pip in it, also where Debian's python3-venv, and so ensurepip, is missing.

Then pip installs itself from its own wheel beside this file: no index is asked, and nothing needs root.
"""

import importlib.util
import subprocess
import sys
import venv
from pathlib import Path

OLDEST = (3, 11)


def main(folder: Path) -> None:
    """Create the environment. Exits with a message when this Python is too old or its pip does not install."""
    if sys.version_info < OLDEST:
        raise SystemExit(f"Relais needs Python 3.11 or newer; this is {sys.version.split()[0]} (make PYTHON=...)")
    has_ensurepip = importlib.util.find_spec("ensurepip") is not None
    venv.create(folder, with_pip=has_ensurepip, symlinks=True)
    if not has_ensurepip:
        (wheel,) = (Path(__file__).parent / "bootstrap").glob("pip-*.whl")
        command = [folder / "bin" / "python", f"{wheel}/pip", "install", "--quiet", "--no-index", "--no-deps", wheel]
        if subprocess.run(command, check=False).returncode:  # noqa: S603
            raise SystemExit("pip could not be installed; as root, `apt install python3-venv` helps")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
