"""Prometheus's own tool, and metrics read as it reads them."""

import shutil
import subprocess
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families


def promtool(*arguments: str, at: Path | None = None, said: str = "") -> str:
    """What `promtool` prints in the folder `at`, told `said` on standard input."""
    program = shutil.which("promtool")
    assert program is not None, "no promtool here: run tests/support/install.sh as root, or install Prometheus"
    done = subprocess.run(
        [program, *arguments], cwd=at, input=said, capture_output=True, text=True, timeout=30, check=False
    )
    return f"{done.stdout}{done.stderr}"


def complaints(exposition: str) -> str:
    """What `promtool check metrics` finds wrong with an exposition; nothing when all is well."""
    return promtool("check", "metrics", said=exposition)


def samples(exposition: str) -> dict[str, list[dict[str, str]]]:
    """The labels of every sample, by the sample's name."""
    found: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(dict(sample.labels))
    return found
