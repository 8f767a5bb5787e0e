"""The reference printed for a person: it finds the case again at any site, and authorises nothing."""

# Without I, L, O and Z, which copies by hand take for 1, 0 and 2, and without U; 31 of them, a prime, so that the check
# character notices every single error and every swap of neighbours.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXY"
REFERENCE_LENGTH = 12


def new_reference(random: bytes) -> str:
    """A reference out of 7 random bytes: 11 characters (54 bits) and one of check, `K7M2-Q4XD-1B9Y`."""
    number = int.from_bytes(random[:7], "big")
    digits = ""
    for _ in range(REFERENCE_LENGTH - 1):
        number, rest = divmod(number, len(_ALPHABET))
        digits += _ALPHABET[rest]
    return shown_reference(digits + _check(digits))


def shown_reference(normalised: str) -> str:
    """A normalised reference as it is printed: `K7M2-Q4XD-1B9Y`."""
    return "-".join(normalised[start : start + 4] for start in range(0, REFERENCE_LENGTH, 4))


def normalised_reference(text: str) -> str | None:
    """A reference as it is indexed, whatever its case, dashes or look-alike letters; None when mistyped."""
    digits = text.upper().replace("O", "0").replace("I", "1").replace("L", "1").replace("Z", "2")
    digits = "".join(character for character in digits if character in _ALPHABET)
    if len(digits) != REFERENCE_LENGTH or _check(digits[:-1]) != digits[-1]:
        return None
    return digits


def _check(digits: str) -> str:
    """A weighted sum modulo 31: no weight is 0, and no two neighbours' are equal."""
    return _ALPHABET[sum((place + 1) * _ALPHABET.index(digit) for place, digit in enumerate(digits)) % len(_ALPHABET)]
