"""What people write freely: never holding a social security number (NIR), which no service has a field for."""

import re
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

# Thirteen characters of a NIR (sex, year, month, département, commune, order), its key or not, separated or not.
_NIR = re.compile(
    r"(?<!\d)[1-478][\s.-]?\d{2}[\s.-]?(?:0[1-9]|1[0-2]|[2-9]\d)[\s.-]?(?:\d{2}|2[ABab])[\s.-]?\d{3}[\s.-]?\d{3}"
    r"(?:[\s.-]?\d{2})?(?!\d)"
)


def holds_nir(text: str) -> bool:
    """Whether a text holds something shaped like a social security number."""
    return _NIR.search(text) is not None


def without_nir(text: str) -> str:
    """The text itself. Raises ValueError, in French, when it looks as if it held a NIR."""
    if holds_nir(text):
        reason = "Ce texte contient ce qui ressemble à un numéro de sécurité sociale : retirez-le."
        raise ValueError(reason)
    return text


FreeText = Annotated[str, StringConstraints(max_length=4000), AfterValidator(without_nir)]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(without_nir)]
Story = Annotated[str, StringConstraints(max_length=20000), AfterValidator(without_nir)]
