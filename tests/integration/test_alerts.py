"""The alert rules of `deploy/prometheus`, tried by Prometheus's own tool."""

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # nameko’s own; it has no types

from tests.support.prometheus import promtool

RULES = Path(__file__).parents[2] / "deploy" / "prometheus"


def rules() -> list[dict[str, Any]]:
    """Each rule as it stands in the file."""
    text = (RULES / "alerts.yml").read_text(encoding="utf-8")
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def test_prometheus_takes_the_configuration_and_its_rules() -> None:
    """`promtool check config` looks into the rule files, too."""
    assert "SUCCESS: 1 rule files found" in promtool("check", "config", "prometheus.yml", at=RULES)


def test_each_alert_speaks_up_when_it_should_and_not_before() -> None:
    """The moments of `alerts_test.yml`, in which each rule has one at which it does."""
    assert promtool("test", "rules", "alerts_test.yml", at=RULES).endswith("SUCCESS\n\n")
    tests = yaml.safe_load((RULES / "alerts_test.yml").read_text(encoding="utf-8"))["tests"]
    heard = {moment["alertname"] for test in tests for moment in test["alert_rule_test"] if moment.get("exp_alerts")}
    assert heard == {rule["alert"] for rule in rules()}


def test_a_rule_that_never_speaks_is_found(tmp_path: Path) -> None:
    """The moments above can fail: with rules that hold never, each is missed."""
    (tmp_path / "alerts_test.yml").write_bytes((RULES / "alerts_test.yml").read_bytes())
    silent = [{**rule, "expr": "vector(1) < 0"} for rule in rules()]
    groups = {"groups": [{"name": "relais", "rules": silent}]}
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(groups), encoding="utf-8")
    said = promtool("test", "rules", "alerts_test.yml", at=tmp_path)
    assert [rule["alert"] for rule in rules() if f"alertname: {rule['alert']}," not in said] == []
