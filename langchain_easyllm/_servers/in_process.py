"""A model in this process, which speaks TGI's protocol."""

from __future__ import annotations

from dataclasses import replace

from .profile import TGI_GENERATE, ServerProfile, TokenizeRoute, same, without

IN_PROCESS = ServerProfile(
    name="local",
    chat=None,
    completions=None,
    generate=replace(
        TGI_GENERATE,
        fields={
            **without(TGI_GENERATE.fields, "best_of", "watermark"),
            **same("n", "presence_penalty", "logprobs"),
            **same("min_p", "logit_bias", "min_tokens", "ignore_eos"),
        },
        omitted={},
        expressions={
            **TGI_GENERATE.expressions,
            "ebnf": {"grammar": {"type": "ebnf", "value": ...}},
        },
        default_max_tokens=None,  # it knows how much room the prompt leaves
    ),
    suggested_apis=(),
    max_stops=None,
    tokenize=TokenizeRoute("/tokenize", "inputs", special_field="add_special_tokens"),
    template_route="/props",
    fixed_model=True,
    max_concurrency=1,
)
