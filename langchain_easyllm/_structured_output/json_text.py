"""The JSON of an answer as the answer's text, whatever surrounds it or holds it."""

from __future__ import annotations

import json

from .._tool_formats.call_syntax import JsonScan
from .growing_json import NOTHING
from .json_in_text import find_json


class JsonText:
    """Reduces an answer to its JSON while the answer grows.

    JSON at the beginning is shown as it comes, and nothing after its end. Another answer is held
    back until it is whole.
    """

    def __init__(self, *, arrays: bool) -> None:
        self._first = "{[" if arrays else "{"
        self._text = ""
        self._scan: JsonScan | None = None  # of JSON that is shown as it comes
        self._is_held = False  # whether the answer begins with something else

    def feed(self, text: str) -> str:
        """Take more of the answer, and return what can be shown of it."""
        if self._scan is None:
            self._text = (self._text + text) if self._is_held else (self._text + text).lstrip()
            if self._is_held or not self._text:
                return ""
            if self._text[0] not in self._first:
                self._is_held = True
                return ""
            self._scan, text, self._text = JsonScan(0), self._text, ""
        if self._scan.end is not None:
            return ""
        start = len(self._text)
        self._text += text
        self._scan.scan(self._text)
        return self._text[start : self._scan.end]

    def close(self, arguments: str = "", reasoning: str = "") -> str:
        """Return what of a whole answer has not been shown.

        Args:
            arguments: The arguments of the call that is the answer, if it is one.
            reasoning: What the server takes for reasoning, which may be all that there is.
        """
        if self._scan is not None:
            return ""
        text = arguments or self._text
        value = find_json(text if text.strip() else reasoning)
        return text if value is NOTHING else json.dumps(value, ensure_ascii=False)
