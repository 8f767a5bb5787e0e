"""Who may see whose figures."""

from datetime import date

import pytest

from services.chassis.errors import Rejected
from services.network import Charter, Network, Site
from services.reporting import queries


def test_steering_sees_its_own_sites() -> None:
    """A charter sees its sites, a site itself; an unknown organisation and another's site are refused."""
    site = {"commune": "80570", "label": "granted"}
    network = Network(
        rules_version=None,
        charters=(
            Charter(
                id="santerre",
                name="S",
                parties=("a",),
                sites=("fs-moreuil", "fs-roye"),
                department="80",
                signed=date(2022, 10, 24),
                ends=date(2023, 7, 1),
            ),
        ),
        sites=tuple(
            Site.model_validate({"id": each, "name": each, **site}) for each in ("fs-moreuil", "fs-roye", "hem")
        ),
        partners=(),
        contact_sheets=(),
        lines=(),
    )
    assert queries.sites_of(network, "santerre") == {"fs-moreuil", "fs-roye"}
    assert queries.sites_of(network, "santerre", "fs-roye") == {"fs-roye"}
    assert queries.sites_of(network, "hem") == {"hem"}
    for org, asked in (("santerre", "hem"), ("nobody", None), ("hem", "fs-roye")):
        with pytest.raises(Rejected) as refused:
            queries.sites_of(network, org, asked)
        assert refused.value.status == 403
