"""A `transformers` pipeline, loaded at first use."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from .._http.user_functions import ask_token
from ..errors import ContextOverflowError, NotFoundError
from .forking import renew_in_children
from .generation import Penalties, Progress, prepare, rng_scope
from .grammar import Grammar, compile_tgi_grammar
from .requests import LocalSequence, Started
from .settings import TASK, LocalSettings, explained_loading, limits_of

if TYPE_CHECKING:
    from transformers import TextGenerationPipeline


# Arguments of `from_pretrained` that `transformers.pipeline` takes itself.
_PIPELINE_ARGUMENTS = ("revision", "trust_remote_code", "dtype", "torch_dtype")


class PipelineModel:
    """A language model in this process; the pipeline may be the caller's own."""

    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings
        renew_in_children(self)
        self._pipeline = cast("TextGenerationPipeline | None", settings.pipeline)

    def renew(self) -> None:
        self._lock = threading.Lock()

    def pipeline(self) -> TextGenerationPipeline:
        """Return the pipeline; the first call loads it."""
        with self._lock:
            if self._pipeline is None:
                self._pipeline = _load(self._settings)
            return self._pipeline

    def look_up(self, route: str, body: Mapping[str, object]) -> object:
        """Answer `/tokenize` as TGI does, and `/props` as llama.cpp's server does."""
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

    def run(self, sequences: Sequence[LocalSequence]) -> None:
        """Generate the answers of sequences of one `batch_key`; each emits its own."""
        pipeline = self.pipeline()
        together = pipeline.tokenizer.pad_token_id is not None
        for group in [sequences] if together else [[sequence] for sequence in sequences]:
            self._run_together(pipeline, group)

    def _run_together(
        self, pipeline: TextGenerationPipeline, sequences: Sequence[LocalSequence]
    ) -> None:
        from transformers import (  # noqa: PLC0415 - heavy
            LogitsProcessorList,
            StoppingCriteriaList,
            StopStringCriteria,
        )

        job = sequences[0].job
        limits = limits_of(pipeline, job.options)
        running = []
        for sequence in sequences:
            try:
                running.append(prepare(sequence, pipeline.tokenizer, limits))
            except ContextOverflowError as error:
                sequence.emit(error)
        if not running:
            return
        for each in running:
            each.sequence.emit(Started(len(each.prompt)))
        tokenizer = pipeline.tokenizer
        stops = StopStringCriteria(tokenizer, list(job.stops)) if job.stops else None
        progress = Progress(running, tokenizer, job, limits.ends, stops)
        most = max(each.limit for each in running)
        options: dict[str, object] = {
            **job.options,
            "max_new_tokens": most,
            "return_tensors": True,
            "stopping_criteria": StoppingCriteriaList([progress]),
        }
        if least := most if job.ignore_eos else job.least:
            options["min_new_tokens"] = least
        processors: list[object] = []
        if job.frequency_penalty or job.presence_penalty:
            processors.append(Penalties(job, progress.width))
        if job.grammar is not None:
            grammar = compile_tgi_grammar(job.grammar)
            processors.append(Grammar(grammar, running, tokenizer, limits.ends, progress.width))
        if processors:
            options["logits_processor"] = LogitsProcessorList(processors)
        if job.logprobs:
            options |= {"output_scores": True, "return_dict_in_generate": True}
        prompts = [each.text for each in running]
        with rng_scope(job.seed, pipeline.device):
            pipeline(prompts, batch_size=len(prompts), **options)
        progress.finish()


def _load(settings: LocalSettings) -> TextGenerationPipeline:
    from transformers import pipeline  # noqa: PLC0415 - heavy

    name = settings.model
    loading = dict(settings.model_kwargs)
    shared = {name: loading.pop(name) for name in _PIPELINE_ARGUMENTS if name in loading}
    if token := ask_token(settings.token):
        shared["token"] = token
    placement = {"device": settings.device, "device_map": settings.device_map}
    with explained_loading(name):
        loaded: TextGenerationPipeline = pipeline(
            TASK,
            model=name,
            model_kwargs=loading,
            **{key: value for key, value in placement.items() if value is not None},
            **shared,
            **settings.pipeline_kwargs,
        )
    return loaded
