"""Any number of texts as jobs of a bounded size, which are read as they are needed."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

from .._protocols.texts import prepare_texts
from ..errors import EasyLLMError
from .embedding import ArrayJob

BATCHES = 32
"""Batches that are read ahead at a time, and whose vectors make one array."""

MOST_TEXTS = 4096
"""The most texts of them, and the most that are read before the first have their vectors."""

WINDOW_CHARACTERS = 4 * 1024 * 1024
"""What ends a job of long texts sooner."""


class Windows:
    """Cuts texts into jobs, in their order."""

    def __init__(self, batch_size: int, prompt: str, *, return_exceptions: bool) -> None:
        self._size = min(max(MOST_TEXTS // batch_size, 1), BATCHES) * batch_size
        self._prompt = prompt
        self._return_exceptions = return_exceptions
        self._texts: list[str] = []
        self._characters = 0
        self._first = 0

    def ahead(self, texts: int) -> int:
        """How many jobs are to be under way, so that so many texts are in flight."""
        return max(min(texts, MOST_TEXTS) // self._size, 1)

    def jobs(self, texts: Iterable[str]) -> Iterator[ArrayJob]:
        for text in texts:
            if self._is_full_with(text):
                yield self._job()
        if self._texts:
            yield self._job()

    async def ajobs(self, texts: Iterable[str] | AsyncIterable[str]) -> AsyncIterator[ArrayJob]:
        if isinstance(texts, Iterable):
            for job in self.jobs(texts):
                yield job
            return
        async for text in texts:
            if self._is_full_with(text):
                yield self._job()
        if self._texts:
            yield self._job()

    def _is_full_with(self, text: str) -> bool:
        self._texts.append(text)
        self._characters += len(text) if isinstance(text, str) else 0
        return len(self._texts) >= self._size or self._characters >= WINDOW_CHARACTERS

    def _job(self) -> ArrayJob:
        errors: dict[int, EasyLLMError] | None = {} if self._return_exceptions else None
        given, first = self._texts, self._first
        self._texts, self._characters, self._first = [], 0, first + len(given)
        return ArrayJob(prepare_texts(given, self._prompt, first, errors), first, errors=errors)
