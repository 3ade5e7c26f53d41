"""What somebody may have meant by a name that there is not."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: object, known: Iterable[str], *, n: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return the known names that are spelled most like a word, the nearest first."""
    from difflib import get_close_matches  # noqa: PLC0415 - for errors only

    lower = {name.lower(): name for name in known}
    near = get_close_matches(str(word)[:200].lower(), list(lower), n=n, cutoff=cutoff)
    return [lower[name] for name in near]


def did_you_mean(
    word: object, known: Iterable[str], otherwise: str = "", *, cutoff: float = 0.6
) -> str:
    """Return the question for the nearest known name, or what to say where none is near."""
    near = nearest(word, known, cutoff=cutoff)
    return f"did you mean {near[0]!r}?" if near else otherwise


_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def nearest_effort(effort: object, known: Iterable[str]) -> str:
    """Return the end of a sentence that names the nearest effort: by how much, not by spelling."""
    word, efforts = str(effort).lower(), list(known)
    ranked = [one for one in efforts if one in _EFFORTS]
    if word in _EFFORTS and ranked:
        at = _EFFORTS.index(word)
        # Of two that are as near, more than nothing is meant.
        near = min(ranked, key=lambda one: (abs(_EFFORTS.index(one) - at), one == "none"))
        return f"; did you mean {near!r}?"
    hint = did_you_mean(word, efforts)
    return f"; {hint}" if hint else "."
