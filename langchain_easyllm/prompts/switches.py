"""What a caller may switch in a template: thinking, the effort of reasoning, the date."""

from __future__ import annotations

import datetime as dt

from .._nearest import nearest_effort
from ..errors import PromptError
from .base import Switches
from .spec import ChatTemplateSpec, RenderOptions

_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)


def read_options(
    family: ChatTemplateSpec, switches: Switches, answer: bool = True
) -> RenderOptions:
    """Return what a family's template is given, where it has a switch for all that is set."""
    check_switches(family.name, family.switches, switches)
    effort = switches.get("reasoning_effort")
    check_effort(family.name, family.efforts, effort)
    return RenderOptions(answer, switches.get("thinking"), effort, _date(family, switches))


def check_switches(name: str, has: frozenset[str], switches: Switches) -> None:
    """Refuse a value that a template has no switch for, or that is of a wrong kind."""
    for switch, value in switches.items():
        if value is not None and switch not in has:
            raise PromptError(
                f"The prompt {name!r} has no switch for {switch}; these have: "
                f"{', '.join(_with_switch(switch))}."
            )
    thinking = switches.get("thinking")
    if thinking is not None and not isinstance(thinking, bool):
        raise PromptError(f"thinking is True or False, not {thinking!r}.")


def check_effort(name: str, efforts: tuple[str, ...], effort: str | None) -> None:
    """Refuse an effort that a template does not have."""
    if effort is None or effort in efforts:
        return
    known = " or ".join(repr(one) for one in efforts)
    hint = nearest_effort(effort, efforts)
    raise PromptError(f"reasoning_effort is {known} in the {name} prompt, not {effort!r}{hint}")


def _with_switch(switch: str) -> list[str]:
    from .families import FAMILIES  # noqa: PLC0415 - for errors only

    return sorted(name for name, family in FAMILIES.items() if switch in family.switches)


def to_date(value: dt.date | str) -> dt.date:
    if isinstance(value, dt.date):
        return value
    try:
        return dt.date.fromisoformat(value)
    except (TypeError, ValueError):
        raise PromptError(
            f'date is a datetime.date or a text such as "2026-02-03", not {value!r}.'
        ) from None


def _date(family: ChatTemplateSpec, switches: Switches) -> str:
    value = switches.get("date")
    if not family.date_format or (value is None and family.fixed_date):
        return family.fixed_date
    return format_date(dt.date.today() if value is None else to_date(value), family.date_format)


def format_date(date: dt.date, pattern: str) -> str:
    """Write a date as `strftime` does in English, whatever the locale."""
    month = _MONTHS[date.month - 1]
    parts = {
        "%Y": f"{date.year:04}",
        "%m": f"{date.month:02}",
        "%d": f"{date.day:02}",
        "%B": month,
        "%b": month[:3],
    }
    for part, text in parts.items():
        pattern = pattern.replace(part, text)
    return pattern
