"""How long something is kept that is costly to make."""

import pytest

from services.reporting.kept import Kept


def test_it_is_made_once_in_a_while() -> None:
    """Anew after its time, not before; who comes while it is made gets the former."""
    kept, made = Kept[str](300.0), iter("abc")

    def making() -> str:
        assert kept.get(400.0, lambda: next(made)) == "a"
        return next(made)

    assert [kept.get(now, lambda: next(made)) for now in (100.0, 399.9)] == ["a", "a"]
    assert kept.get(400.0, making) == "b"
    assert [kept.get(now, lambda: next(made)) for now in (401.0, 700.0)] == ["b", "c"]


def test_a_failure_is_not_kept() -> None:
    """Whoever comes next tries again."""
    kept = Kept[str](300.0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            kept.get(100.0, lambda: str(1 // 0))
    assert kept.get(100.0, lambda: "made") == "made"
