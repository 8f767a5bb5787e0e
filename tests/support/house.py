"""Relais as it runs in production: four processes on a real broker and four databases; killed and frozen at will."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from services.chassis.settings import Settings
from services.chassis.tokens import Role, Tokens
from services.contracts.topology import SERVICES
from tests.support.rabbit import free_ports

READY_SECONDS = 40.0
STOP_SECONDS = 20.0
# Nobody in tests grows out of their age band: whole years at the beginning of the visit's year, one more at its end.
_AGES = {"<16": 12, "16-17": 16, "18-20": 18, "21-25": 23, "26-29": 27, "30-54": 40, "55-64": 60, "65+": 70}
# The visit of the contract; tests change what they are about.
VISIT: dict[str, Any] = {
    "site": "fs-moreuil",
    "mode": "live",
    "channel": "desk",
    "duration_minutes": 20,
    "commune": "80570",
    "quarter": None,
    "age_band": "18-20",
    "sex": "F",
    "publics": ["neet"],
    "france_travail_registered": None,
    "regime": None,
    "needs": [
        {
            "code": "jeune-sans-emploi-ni-formation",
            "obstacles": ["mobilite"],
            "outcome": "to-refer",
            "operator": None,
            "recipient": None,
            "override_reason": None,
            "label": None,
            "note": "Préfère être rappelée l’après-midi.",
        }
    ],
    "person": {
        "family_name": "L’Hermitte-Da Silva",
        "given_name": "Zoé",
        "birth_date": f"{datetime.now(UTC).year - 19}-03-14",
        "phone": "01 99 00 12 34",
        "email": None,
    },
    "story": "Elle a quitté le lycée en mars et cherche une formation de cuisine.",
    "agreement": {
        "recipients": ["department", "operator", "mission-locale-santerre"],
        "sensitive": True,
        "form": "oral",
    },
    "case": None,
}


def visit(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - a field's value is of any type
    """A fresh visit of an hour ago; `changes` replace its fields, and the person is of the age that they say."""
    at = (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds")
    body = deepcopy(VISIT) | {"visit_id": str(uuid4()), "occurred_at": at} | changes
    year, age = body["occurred_at"][:4], _AGES.get(body["age_band"])
    if "person" not in changes and year.isdigit() and age:
        body["person"]["birth_date"] = f"{max(int(year) - age - 1, 1900)}-03-14"
    return body


def need(code: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - a field's value is of any type
    """A need to refer."""
    return {"code": code, "outcome": "to-refer"} | changes


def eventually(check: Callable[[], Any], within: float = 10.0, every: float = 0.05) -> Any:  # noqa: ANN401
    """What `check` returns once it is truthy; fails with its last value otherwise."""
    deadline = time.monotonic() + within
    while not (found := check()):
        assert time.monotonic() < deadline, f"not within {within:g} s; last seen: {found!r}"
        time.sleep(every)
    return found


class House:
    """The four services as processes of their own; `start`, `stop`, `kill`, `freeze` and `thaw` any of them."""

    def __init__(self, folder: Path, amqp_url: str, databases: dict[str, str], **environment: str) -> None:
        self.folder = folder
        self.ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "RELAIS_STATE": str(folder),
            "RELAIS_AMQP_URL": amqp_url,
            "RELAIS_AMQP_URL_INGEST": amqp_url,
            "RELAIS_AMQP_URL_PARTNERS": amqp_url,
            "RELAIS_LOG_FORMAT": "json",
            "RELAIS_RETRY_DELAYS": "0.2,0.4",
            **{f"RELAIS_DATABASE_URL_{name.upper()}": url for name, url in databases.items()},
            **{f"RELAIS_{name.upper()}_HTTP": f"127.0.0.1:{port}" for name, port in self.ports.items()},
            **environment,
        }
        self.databases = databases
        self.tokens = Tokens(Settings(state=folder))
        self.client = httpx.Client(timeout=20, trust_env=False)

    def start(self, *services: str, module: str = "services", ready: bool = True) -> None:
        """Start these services (all by default) and wait until they are `ready`; `module` stands for `relais`."""
        wanted = services or SERVICES
        for name in wanted:
            log = (self.folder / f"{name}.log").open("ab")
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", module, "run", "--service", name],
                env=self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
            log.close()
        for name in wanted if ready else ():
            self.wait_ready(name)

    def wait_ready(self, name: str) -> None:
        """Wait until a service answers /readyz with 200."""

        def ready() -> bool:
            assert self._processes[name].poll() is None, f"{name} died:\n{self.log(name)[-2000:]}"
            with suppress(httpx.HTTPError):
                return self.client.get(f"{self.url(name)}/readyz").status_code == httpx.codes.OK
            return False

        eventually(ready, READY_SECONDS)

    def stop(self, *services: str) -> dict[str, int]:
        """SIGTERM, and wait for the end; the exit codes."""
        wanted = {name: self._processes.pop(name) for name in services or list(self._processes)}
        for process in wanted.values():
            process.terminate()
        return {name: process.wait(STOP_SECONDS) for name, process in wanted.items()}

    def kill(self, *services: str) -> None:
        """SIGKILL: no last word."""
        for name in services or list(self._processes):
            process = self._processes.pop(name)
            process.kill()
            process.wait(STOP_SECONDS)

    def ended(self, name: str) -> int:
        """Wait for the end of a service that ends by itself; its exit code."""
        return self._processes.pop(name).wait(STOP_SECONDS)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal, such as SIGSTOP and SIGCONT."""
        self._processes[name].send_signal(number)

    def alive(self, name: str) -> bool:
        """Whether the process still runs."""
        return name in self._processes and self._processes[name].poll() is None

    def close(self) -> None:
        """End everything, kindly first."""
        for process in self._processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()
        self.client.close()

    def log(self, name: str) -> str:
        """What a service has logged so far."""
        return (self.folder / f"{name}.log").read_text(errors="backslashreplace")

    def url(self, service: str) -> str:
        """Origin of a service."""
        return f"http://127.0.0.1:{self.ports[service]}"

    def bearer(self, role: Role, org: str) -> dict[str, str]:
        """Authorization header."""
        return {"Authorization": f"Bearer {self.tokens.sign(role, org)}"}

    def post_visit(self, body: dict[str, Any]) -> httpx.Response:
        """Post as the visit's own site."""
        headers = self.bearer("site", body["site"])
        return self.client.post(f"{self.url('intake')}/v1/visits", json=body, headers=headers)

    def post_lines(self, site: str, bodies: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Post as a batch; the result lines."""
        answer = self.client.post(
            f"{self.url('intake')}/v1/visits/batch",
            content="\n".join(json.dumps(body) for body in bodies).encode(),
            headers=self.bearer("site", site) | {"Content-Type": "application/x-ndjson"},
        )
        assert answer.status_code == httpx.codes.OK, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    def referrals(self, role: Role, org: str, **query: str) -> list[dict[str, Any]]:
        """Every page of GET /v1/referrals."""
        found: list[dict[str, Any]] = []
        headers = self.bearer(role, org)
        while True:
            page = self.client.get(f"{self.url('referral')}/v1/referrals", headers=headers, params=query)
            assert page.status_code == httpx.codes.OK, page.text
            if not page.json()["referrals"]:
                return found
            found += page.json()["referrals"]
            query["after"] = page.json()["next"]

    def activity(self, org: str, **query: str) -> dict[str, Any]:
        """The totals of the activity report."""
        headers = self.bearer("steering", org)
        answer = self.client.get(f"{self.url('reporting')}/v1/reports/activity", headers=headers, params=query)
        assert answer.status_code == httpx.codes.OK, answer.text
        totals: dict[str, Any] = answer.json()["totals"]
        return totals

    def sent(self, body: dict[str, Any], number: int = 1) -> list[dict[str, Any]]:
        """Wait for the referrals of a visit: the first `number` of them, as its site sees them."""

        def mine() -> list[dict[str, Any]]:
            # What takes a step while the pages are read comes a second time.
            found = {
                one["referral_id"]: one
                for one in self.referrals("site", body["site"], limit="1000")
                if one["visit_id"] == body["visit_id"]
            }
            return list(found.values()) if len(found) >= number else []

        found: list[dict[str, Any]] = eventually(mine, within=30.0)  # no measure of speed: tests share a machine
        return found

    def timeline(self, case: str, site: str) -> list[dict[str, Any]]:
        """What reporting tells an agent of the site about a case; nothing before it knows the case."""
        headers = self.bearer("agent", site)
        answer = self.client.get(f"{self.url('reporting')}/v1/cases/{case}", headers=headers)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return []
        assert answer.status_code == httpx.codes.OK, answer.text
        entries: list[dict[str, Any]] = answer.json()["timeline"]
        return entries

    def search(self, site: str, sought: dict[str, Any]) -> httpx.Response:
        """What an agent of the site is shown for a `reference` or a `person`."""
        headers = self.bearer("agent", site)
        return self.client.post(f"{self.url('intake')}/v1/cases/search", json=sought, headers=headers)

    def events(self, partner: str, limit: int = 1000) -> list[dict[str, Any]]:
        """Every page of GET /v1/referrals/events: what a partner without a queue reads."""
        found: list[dict[str, Any]] = []
        query = {"limit": str(limit)}
        while True:
            url, headers = f"{self.url('referral')}/v1/referrals/events", self.bearer("partner", partner)
            page = self.client.get(url, headers=headers, params=query)
            assert page.status_code == httpx.codes.OK, page.text
            if not page.json()["events"]:
                return found
            found += page.json()["events"]
            query["after"] = page.json()["next"]

    def answer(self, partner: str, referral_id: str, **form: Any) -> httpx.Response:  # noqa: ANN401 - any field
        """A partner's answer to a referral; its `answer_id` is fresh unless given."""
        return self.client.post(
            f"{self.url('referral')}/v1/referrals/{referral_id}/answers",
            json={"answer_id": str(uuid4())} | form,
            headers=self.bearer("partner", partner),
        )

    def metrics(self, service: str) -> str:
        """A service's metrics as Prometheus reads them."""
        return self.client.get(f"{self.url(service)}/metrics").text

    def handled(self, service: str, outcome: str = "handled") -> int:
        """How many events a service has handled since it started, with this outcome."""
        lines = [line for line in self.metrics(service).splitlines() if line.startswith("relais_events_handled_total{")]
        return sum(int(float(line.rpartition(" ")[2])) for line in lines if f'outcome="{outcome}"' in line)

    def memory(self, service: str, *, peak: bool = False) -> float:
        """A service's resident memory in megabytes: now, or the most it ever was."""
        status = Path(f"/proc/{self._processes[service].pid}/status").read_text(encoding="ascii")
        name = "VmHWM:" if peak else "VmRSS:"
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(name)) / 1024

    def relais(self, *arguments: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
        """Run the `relais` command in this house's environment, changed by `environment` (None: without it)."""
        return self._python("-m", "services", *arguments, **environment)

    def python(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a Python script in this house's environment."""
        return self._python("-c", script)

    def _python(self, *arguments: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
        changed = {name: value for name, value in (self.environment | environment).items() if value is not None}
        command = [sys.executable, *arguments]
        return subprocess.run(command, env=changed, capture_output=True, text=True, timeout=60, check=False)
