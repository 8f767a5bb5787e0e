"""The compose file, as far as a promise rests on it."""

from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # nameko’s own; it has no types

COMPOSE: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_no_log_grows_without_end(name: str) -> None:
    """Docker's own default keeps all of it."""
    logging = COMPOSE["services"][name]["logging"]
    assert logging["driver"] == "json-file"
    assert logging["options"]["max-size"] == "20m"
    assert 1 < int(logging["options"]["max-file"]) <= 10
