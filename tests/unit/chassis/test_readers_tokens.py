"""Tokens by which a page asks another service as its reader: what takes them, and what refuses them."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from services.chassis import secrets
from services.chassis import tokens as module
from services.chassis.errors import Rejected
from services.chassis.http import entrypoints
from services.chassis.settings import Settings
from services.chassis.tokens import READERS, Caller, TokenError, Tokens, new_signing_key
from services.intake.service import IntakeService
from services.orientation.service import OrientationService
from services.referral.service import ReferralService
from services.reporting.service import ReportingService

ROOT = Path(__file__).parents[3]
CALLER = Caller("agent", "fs-moreuil", "invitation:x")


@pytest.fixture
def installation(tmp_path: Path) -> Callable[..., Tokens]:
    """Return a maker of checkers in a production installation; `reporting` alone has the readers' key."""
    folder = tmp_path / "secrets"
    secrets.make(folder, ROOT / "deploy" / "rabbitmq" / "definitions.json")

    def make(*, reporting: bool = False, signing: str | None = None) -> Tokens:
        return Tokens(
            Settings(
                state=tmp_path / "state",
                jwks=str(folder / "jwks.json"),
                reader_key_file=folder / "reader-key.json" if reporting else None,
                signing_key_file=folder / (signing or "signing-key.json"),
            )
        )

    return make


def refused(tokens: Tokens, token: str, *, reader: bool = True) -> str:
    """Check a token that must not pass."""
    with pytest.raises(Rejected) as caught:
        tokens.check(token, reader=reader)
    assert caught.value.status == 401
    return caught.value.detail


def test_who_says_so_takes_it_as_the_reader(installation: Callable[..., Tokens]) -> None:
    """Role, organisation and subject are those of whoever is logged in to the page."""
    token = installation(reporting=True).for_reader(CALLER)
    assert installation().check(token, reader=True) == CALLER


def test_nobody_else_takes_it(installation: Callable[..., Tokens]) -> None:
    """By its audience it is no bearer token elsewhere."""
    refused(installation(), installation(reporting=True).for_reader(CALLER), reader=False)


def test_its_key_signs_nothing_else(installation: Callable[..., Tokens]) -> None:
    """A token with the ordinary audience, or an invitation, signed by it is refused wherever it is shown."""
    holder = installation(reporting=True, signing="reader-key.json")
    forged = holder.sign("agent", "fs-moreuil")
    for reader in (False, True):
        refused(installation(), forged, reader=reader)
    assert installation().check_invitation(holder.invite("agent", "fs-moreuil", "intake"), service="intake") is None
    # The same by the right key passes.
    assert installation().check(installation().sign("agent", "fs-moreuil"), reader=True).org == "fs-moreuil"


def test_no_other_key_signs_it(installation: Callable[..., Tokens], tmp_path: Path) -> None:
    """Not even the one that signs everything else: whom it leaks to cannot read stories by it unnoticed."""
    ordinary = Settings(
        state=tmp_path, jwks="-", reader_key_file=tmp_path / "secrets" / "signing-key.json"
    )  # what is signed by it, as a reader's
    refused(installation(), Tokens(ordinary).for_reader(CALLER))
    stranger = tmp_path / "stranger.json"
    stranger.write_text(new_signing_key())
    refused(installation(), Tokens(Settings(state=tmp_path, jwks="-", reader_key_file=stranger)).for_reader(CALLER))


def test_it_is_over_after_a_minute(installation: Callable[..., Tokens], monkeypatch: pytest.MonkeyPatch) -> None:
    """And the clocks' difference; what it says then is that it has expired."""
    monkeypatch.setattr(module, "_READER_VALID", timedelta(seconds=60) - timedelta(seconds=91))
    assert refused(installation(), installation(reporting=True).for_reader(CALLER)) == "Le jeton a expiré."


def test_an_installation_of_an_earlier_release_has_none(installation: Callable[..., Tokens], tmp_path: Path) -> None:
    """Its key set names no readers: it starts, its own tokens pass, readers' do not; `relais secrets` adds one."""
    keys = tmp_path / "secrets" / "jwks.json"
    found = json.loads(keys.read_text())
    keys.write_text(json.dumps({"keys": found["keys"]}))
    before = installation()
    before.read_keys()
    refused(before, installation(reporting=True).for_reader(CALLER))
    assert before.check(before.sign("site", "hem"), reader=True).org == "hem"
    with pytest.raises(TokenError, match="RELAIS_READER_KEY_FILE: needed"):
        before.for_reader(CALLER)
    secrets.make(tmp_path / "secrets", ROOT / "deploy" / "rabbitmq" / "definitions.json")
    assert json.loads(keys.read_text()) == found
    assert installation().check(installation(reporting=True).for_reader(CALLER), reader=True) == CALLER


def test_a_key_file_that_cannot_be_read_is_named(installation: Callable[..., Tokens], tmp_path: Path) -> None:
    """Whoever runs Relais learns which setting it is; tokens are checked all the same."""
    missing = Tokens(Settings(state=tmp_path, reader_key_file=tmp_path / "nowhere.json"))
    with pytest.raises(TokenError, match=r"RELAIS_READER_KEY_FILE: .*nowhere\.json: FileNotFoundError"):
        missing.for_reader(CALLER)
    assert missing.check(missing.sign("site", "hem")).org == "hem"
    refused(installation(), "not.a.token")


def test_without_any_setting_the_installations_own_key_serves(tmp_path: Path) -> None:
    """`relais run` needs nothing: reporting asks intake by the one key that there is."""
    tokens = Tokens(Settings(state=tmp_path))
    assert Tokens(Settings(state=tmp_path)).check(tokens.for_reader(CALLER), reader=True) == CALLER
    refused(tokens, tokens.for_reader(CALLER), reader=False)


def test_a_leaked_key_is_replaced_by_deleting_it(tmp_path: Path) -> None:
    """`relais secrets` makes another one and trusts that one only; the ordinary keys stay."""
    definitions = ROOT / "deploy" / "rabbitmq" / "definitions.json"
    secrets.make(tmp_path, definitions)
    before = json.loads((tmp_path / "jwks.json").read_text())
    (tmp_path / "reader-key.json").unlink()
    assert secrets.make(tmp_path, definitions) == ["reader-key.json"]
    after = json.loads((tmp_path / "jwks.json").read_text())
    public = ECKey.import_key(json.loads((tmp_path / "reader-key.json").read_text())).as_dict(private=False)
    assert after == {"keys": before["keys"], READERS: [public]}
    assert after[READERS] != before[READERS]


def test_the_two_story_calls_alone_take_it() -> None:
    """Of all calls of all services."""
    services = (IntakeService, OrientationService, ReferralService, ReportingService)
    taking = {entry.url for service in services for _, entry in entrypoints(service) if entry.reader}
    assert taking == {"/v1/cases/<uuid:case>/story", "/v1/referrals/<uuid:referral_id>/story"}


def test_compose_gives_the_key_to_reporting_alone() -> None:
    """Mounted once, under the name that the setting says."""
    compose = (ROOT / "docker-compose.yml").read_text()
    services = dict.fromkeys(("intake", "orientation", "referral", "reporting", "nginx", "postgres", "rabbitmq"), "")
    for name in services:
        services[name] = compose.partition(f"\n  {name}:\n")[2].partition("\n\n")[0]
    assert [name for name, text in services.items() if "reader-key.json" in text] == ["reporting"]
    assert "RELAIS_READER_KEY_FILE: /run/secrets/reader-key.json" in compose
