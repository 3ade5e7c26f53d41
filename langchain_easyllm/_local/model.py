"""A `transformers` pipeline: loaded at first use, and asked for answers row by row."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from ..errors import ConfigurationError, ContextOverflowError, NotFoundError
from .forking import renew_in_children
from .generation import Answering, Penalties, Progress, prepare, rng_scope
from .grammar import Grammar, compiled
from .requests import Job, Row, Started
from .settings import Limits, LocalSettings, limits_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, TextGenerationPipeline

__all__ = ["PipelineModel"]


TASK = "text-generation"
# Arguments of `from_pretrained` that `transformers.pipeline` wants as its own.
_PIPELINES_OWN = ("revision", "trust_remote_code", "dtype", "torch_dtype")


class PipelineModel:
    """A model in this process.

    Args:
        settings: What it is loaded with, or the pipeline that the caller made.
    """

    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings
        renew_in_children(self)
        self._pipeline = cast("TextGenerationPipeline | None", settings.pipeline)

    def renew(self) -> None:
        """Take a lock that nobody holds."""
        self._lock = threading.Lock()

    def pipeline(self) -> TextGenerationPipeline:
        """Return the pipeline; the first call loads it.

        Raises:
            ConfigurationError: If it cannot be loaded.
        """
        with self._lock:
            if self._pipeline is None:
                self._pipeline = _load(self._settings)
            return self._pipeline

    def look_up(self, route: str, body: Mapping[str, object]) -> object:
        """Answer `/tokenize` as TGI does, and `/props` as llama.cpp's server does.

        Raises:
            NotFoundError: If it is neither.
        """
        tokenizer = self.pipeline().tokenizer
        if route == "/tokenize":
            special = bool(body.get("add_special_tokens", True))
            ids = tokenizer(body["inputs"], add_special_tokens=special)["input_ids"]
            return [{"id": token} for token in ids]
        if route == "/props":
            return {
                "bos_token": tokenizer.bos_token,
                "chat_template": tokenizer.chat_template,
                "eos_token": tokenizer.eos_token,
            }
        raise NotFoundError(f"A local model has no {route}.")

    def run(self, rows: Sequence[Row]) -> None:
        """Generate the answers of rows whose jobs go together; each row is told of its own.

        Raises:
            Exception: What the model failed with.
        """
        pipeline = self.pipeline()
        together = pipeline.tokenizer.pad_token_id is not None
        for group in [rows] if together else [[row] for row in rows]:
            self._run_together(pipeline, group)

    def _run_together(self, pipeline: TextGenerationPipeline, rows: Sequence[Row]) -> None:
        from transformers import (  # noqa: PLC0415 - heavy
            LogitsProcessorList,
            StoppingCriteriaList,
            StopStringCriteria,
        )

        job = rows[0].job
        limits = limits_of(pipeline, job.options)
        answers = []
        for row in rows:
            try:
                answers.append(prepare(row, pipeline.tokenizer, limits))
            except ContextOverflowError as error:
                row.emit(error)
        if not answers:
            return
        for answer in answers:
            answer.row.emit(Started(len(answer.prompt)))
        tokenizer = pipeline.tokenizer
        stops = StopStringCriteria(tokenizer, list(job.stops)) if job.stops else None
        progress = Progress(answers, tokenizer, job, limits.ends, stops)
        options: dict[str, object] = {
            **job.options,
            "max_new_tokens": max(answer.limit for answer in answers),
            "return_tensors": True,
            "stopping_criteria": StoppingCriteriaList([progress]),
        }
        if processors := _processors(job, answers, tokenizer, limits, progress.width):
            options["logits_processor"] = LogitsProcessorList(processors)
        if job.logprobs:
            options |= {"output_scores": True, "return_dict_in_generate": True}
        prompts = [answer.text for answer in answers]
        with rng_scope(job.seed, pipeline.device):
            pipeline(prompts, batch_size=len(prompts), **options)
        progress.finish()


def _processors(
    job: Job,
    answers: Sequence[Answering],
    tokenizer: PreTrainedTokenizerBase,
    limits: Limits,
    width: int,
) -> list[object]:
    """Return what changes the model's logits."""
    processors: list[object] = []
    if job.frequency_penalty or job.presence_penalty:
        processors.append(Penalties(job, width))
    if job.grammar is not None:
        grammar = compiled(job.grammar)
        processors.append(Grammar(grammar, answers, tokenizer, limits.ends, width))
    return processors


def _load(settings: LocalSettings) -> TextGenerationPipeline:
    from transformers import pipeline  # noqa: PLC0415 - heavy

    name = settings.model
    loading = dict(settings.model_kwargs)
    shared = {name: loading.pop(name) for name in _PIPELINES_OWN if name in loading}
    if settings.token:
        shared["token"] = settings.token
    placed = {"device": settings.device, "device_map": settings.device_map}
    try:
        made = pipeline(
            TASK,
            model=name,
            model_kwargs=loading,
            **{key: value for key, value in placed.items() if value is not None},
            **shared,
            **settings.pipeline_kwargs,
        )
    except Exception as error:  # whatever a model's files or the caller's arguments run into
        words = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ConfigurationError(f"{name} cannot be loaded: {words}") from error
    return made
