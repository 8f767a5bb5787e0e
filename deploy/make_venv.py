"""Make a virtual environment with pip in it, also where Debian's python3-venv, and so ensurepip, is missing.

Then pip comes from Debian's python3-pip if that is there, else as pip's own wheel from the index named in
PIP_INDEX_URL, checked against the index's hash; proxies and SSL_CERT_FILE count as everywhere in Python.
"""

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
import venv
from pathlib import Path

OLDEST = (3, 11)
MISSING = f"""\
This Python cannot install packages yet. One of these helps, then start again:
  as root:  apt install python3-venv
  or set PIP_INDEX_URL to your package index, whose pip is then used
(Python {sys.version.split()[0]}, {sys.executable})"""


def main(folder: Path) -> None:
    """Create the environment, unless a working one is there."""
    if sys.version_info < OLDEST:
        raise SystemExit(f"Relais needs Python 3.11 or newer; this is {sys.version.split()[0]} (make PYTHON=...)")
    has_ensurepip = importlib.util.find_spec("ensurepip") is not None
    python = folder / "bin" / "python"
    venv.create(folder, with_pip=has_ensurepip, symlinks=True)
    if has_ensurepip:
        return
    if importlib.util.find_spec("pip") is not None:
        install(sys.executable, "-m", "pip", "--python", str(python), "install", "pip")
    elif index := os.environ.get("PIP_INDEX_URL"):
        with tempfile.TemporaryDirectory() as temporary:
            wheel = download(f"{index.rstrip('/')}/pip/", Path(temporary))
            install(str(python), f"{wheel}/pip", "install", "--no-index", "--no-deps", str(wheel))
    else:
        raise SystemExit(MISSING)


def install(*command: str) -> None:
    """Run one pip; its own words say what went wrong."""
    if subprocess.run([*command, "--quiet", "--disable-pip-version-check"], check=False).returncode:  # noqa: S603
        raise SystemExit(MISSING)


def download(page: str, folder: Path) -> Path:
    """Fetch the newest pip wheel that an index page lists with its hash."""
    listing = fetch(page).decode()
    found = re.findall(
        r'href="([^"#]*/)?(pip-(\d+)\.(\d+)(?:\.(\d+))?-py3-none-any\.whl)#sha256=([0-9a-f]{64})"', listing
    )
    if not found:
        raise SystemExit(f"{page} lists no pip\n{MISSING}")
    name: str
    base, name, *_, digest = max(found, key=lambda entry: [int(number or 0) for number in entry[2:5]])
    content = fetch(urllib.parse.urljoin(page, base + name))
    if hashlib.sha256(content).hexdigest() != digest:
        raise SystemExit(f"{name} from {page} does not have the hash it should have")
    wheel = folder / name
    wheel.write_bytes(content)
    return wheel


def fetch(url: str) -> bytes:
    """Read one address over HTTPS."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - the user's own index
            return bytes(answer.read())
    except OSError as error:
        raise SystemExit(f"{url}: {error}\n{MISSING}") from error


if __name__ == "__main__":
    main(Path(sys.argv[1]))
