"""Bytes as they lie on a disk or travel on a wire, and words looked for in them."""

from collections.abc import Iterable, Iterator
from pathlib import Path


def files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file below a folder that can be read, and its bytes."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            try:
                yield path, path.read_bytes()
            except FileNotFoundError:  # a server cleans up behind itself
                continue


def found_in(raw: bytes, words: Iterable[str]) -> list[str]:
    """Those words that can be read there: as text of any case, in UTF-16, as PostgreSQL or JSON writes bytes."""
    folded = raw.lower()
    found = []
    for word in words:
        low = word.lower()
        forms = (low.encode(), low.encode("utf-16-le"), low.encode().hex().encode(), word.encode().hex().encode())
        if any(form in folded for form in forms):
            found.append(word)
    return found
