"""Real certificates for the tests: each authority is one of its own, which nobody trusts who is not told to."""

from pathlib import Path

from services.chassis.certificates import new_authority, new_certificate


class Authority:
    """A certificate authority whose files lie in a folder; `ca_path` is what a client trusts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._certificate, self._key = new_authority("Relais test authority")
        self.ca_path = folder / "ca.crt"
        self.ca_path.write_text(self._certificate)
        self._number = 0

    def certificate(self, *names: str) -> tuple[Path, Path]:
        """Issue a server certificate for these host names or IP addresses: the files of (certificate, key)."""
        self._number += 1
        files = tuple(self._folder / f"server-{self._number}.{kind}" for kind in ("crt", "key"))
        for file, text in zip(files, new_certificate(self._certificate, self._key, names), strict=True):
            file.write_text(text)
        return files[0], files[1]
