"""Programs of the tests that run on Node: `tests/node`, whose packages npm installs once, as its lock file says."""

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "node"


def copied(script: Path, folder: Path) -> list[str]:
    """The command that runs a copy of a script in `folder`, where it finds the same packages."""
    node = program("")[0]
    packages = folder / "node_modules"
    if not packages.exists():
        packages.symlink_to(FOLDER / "node_modules")
    return [node, str(shutil.copy(script, folder / script.name))]


def program(name: str) -> list[str]:
    """The command that runs one of them; installs their packages where that is not done."""
    node, npm = shutil.which("node"), shutil.which("npm")
    assert node is not None, "no Node here: run tests/support/install.sh as root, or install it yourself"
    assert npm is not None, "no npm here: run tests/support/install.sh as root, or install it yourself"
    lock = FOLDER / "package-lock.json"
    wanted, stamp = hashlib.sha256(lock.read_bytes()).hexdigest(), FOLDER / "node_modules" / ".installed"
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            command = [npm, "ci", "--no-audit", "--no-fund", "--silent"]
            subprocess.run(command, cwd=FOLDER, check=True, timeout=600)
            stamp.write_text(wanted)
    return [node, str(FOLDER / name)]
