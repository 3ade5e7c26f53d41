"""The official templates of model families, as tables.

The source of each is the chat template of the repository named beside it on the Hub, in
`tokenizer_config.json` or `chat_template.jinja`; `vicuna` is FastChat's own conversation code,
which its repository's template only sketches. What no table can express is in `templates`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from . import tool_calls
from .spec import NO_TOKENS, CallForm, CallWriter, ChatTemplateSpec, RoleTemplate, ToolForm
from .special_tokens import SpecialTokens
from .templates import (
    deepseek_v3_1,
    glm_4_5,
    gpt_oss,
    kimi_k2,
    llama4,
    minimax_m2,
    qwen3,
    smollm3,
)

_SENTENCEPIECE = ("<s>", "</s>", "<unk>")
_CHATML = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
_TRIO = ("system", "user", "assistant")
_FIVE = (*_TRIO, "tool", "function")

_LLAMA3_TOKENS = SpecialTokens(
    (
        *("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|eom_id|>", "<|python_tag|>"),
        *("<|start_header_id|>", "<|end_header_id|>", "<|finetune_right_pad_id|>"),
        "<|reserved_special_token_",  # 250 of them, all numbered
    )
)
_PHI3_TOKENS = SpecialTokens(
    (
        *_SENTENCEPIECE,
        *("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>"),
        "<|placeholder",
    )
)
_MISTRAL_V3_TOKENS = (
    *_SENTENCEPIECE,
    *("[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
    *("[TOOL_RESULTS]", "[/TOOL_RESULTS]"),
)
_MISTRAL_NEMO_TOKENS = (*_MISTRAL_V3_TOKENS, "[PREFIX]", "[MIDDLE]", "[SUFFIX]")
_GEMMA_TOKENS = SpecialTokens(
    (
        *("<bos>", "<eos>", "<pad>", "<unk>", "<start_of_turn>", "<end_of_turn>"),
        *("<start_of_image>", "<end_of_image>"),
    )
)
_GRANITE_SYSTEM = (
    "Knowledge Cutoff Date: April 2024.\nToday's Date: {date}.\n"
    "You are Granite, developed by IBM. You are a helpful AI assistant."
)
_GRANITE_THINKING_SYSTEM = (
    f"{_GRANITE_SYSTEM}\nRespond to every user query in a comprehensive and detailed way. You can "
    "write down your thoughts and reasoning process before responding. In the thought process, "
    "engage in a comprehensive cycle of analysis, summarization, exploration, reassessment, "
    "reflection, backtracing, and iteration to develop well-considered thinking process. In the "
    "response section, based on various attempts, explorations, and reflections from the thoughts "
    "section, systematically present the final solution that you deem correct. The response should "
    "summarize the thought process. Write your thoughts between <think></think> and write your "
    "response between <response></response> for each user query."
)
_MISTRAL_SMALL_SYSTEM = (
    "You are Mistral Small 3, a Large Language Model (LLM) created by Mistral AI, a French startup "
    "headquartered in Paris.\nYour knowledge base was last updated on 2023-10-01. The current "
    "date is {date}.\n\nWhen you're not sure about some information, you say that you don't have "
    "the information and don't make up anything.\nIf the user's question is not clear, ambiguous, "
    "or does not provide enough context for you to accurately answer the question, you do not try "
    "to answer it right away and you rather ask the user to clarify their request (e.g. "
    '"What are some good restaurants around me?" => "Where are you?" or "When is the next flight '
    'to Tokyo" => "Where do you travel from?")'
)
_VICUNA_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions."
)


def _turns(
    roles: tuple[str, ...], before: str, after: str, *, trim: bool = False
) -> dict[str, RoleTemplate]:
    """Write every role in the same way, with its name in place of `{}`."""
    return {role: RoleTemplate(before.replace("{}", role), after, trim=trim) for role in roles}


def _chatml(name: str, default_system: str | None = None) -> ChatTemplateSpec:
    return ChatTemplateSpec(
        name=name,
        turns=_turns(_FIVE, "<|im_start|>{}\n", "<|im_end|>\n"),
        answer="<|im_start|>assistant\n",
        default_system=default_system,
        stop=("<|im_end|>",) if default_system is None else ("<|im_end|>", "<|endoftext|>"),
        special_tokens=SpecialTokens(_CHATML),
        tool_format="hermes",
    )


def _phi3(name: str, *, skip_empty_system: bool) -> ChatTemplateSpec:
    """Make a variant of Phi-3, which ends with its EOS where no answer is opened."""
    turns = _turns(_TRIO, "<|{}|>\n", "<|end|>\n")
    turns["system"] = RoleTemplate("<|system|>\n", "<|end|>\n", skip_empty=skip_empty_system)
    return ChatTemplateSpec(
        name=name,
        turns=turns,
        answer="<|assistant|>\n",
        end="<|endoftext|>",
        stop=("<|end|>", "<|endoftext|>"),
        special_tokens=_PHI3_TOKENS,
    )


def _mistral(
    name: str,
    user: RoleTemplate,
    assistant: RoleTemplate,
    *,
    first: bool,
    special_tokens: tuple[str, ...],
    tool_space: str | None = None,
) -> ChatTemplateSpec:
    """Make a version of Mistral; they differ in spaces and in where system text goes."""
    return ChatTemplateSpec(
        name=name,
        turns={"user": user, "assistant": assistant},
        strict_alternation=True,
        system_in="first" if first else "last",
        start="<s>",
        bos="<s>",
        stop=("</s>",),
        special_tokens=SpecialTokens(special_tokens),
        tool_format="react" if tool_space is None else "mistral",
        tool_form=None if tool_space is None else _mistral_tools(tool_space),
    )


def _mistral_tools(space: str) -> ToolForm:
    """Mistral's special tokens for tools, which differ between versions in a space."""
    return ToolForm(
        {
            "tools": RoleTemplate(f"[AVAILABLE_TOOLS]{space}", "[/AVAILABLE_TOOLS]"),
            "calls": RoleTemplate("", "</s>"),
            "tool": RoleTemplate(f"[TOOL_RESULTS]{space}", "[/TOOL_RESULTS]"),
        },
        space=space,
    )


def _gemma(name: str, *, takes_system: bool) -> ChatTemplateSpec:
    """Make a Gemma, which calls the assistant `model`."""
    turns = _turns(("system", "user"), "<start_of_turn>{}\n", "<end_of_turn>\n", trim=True)
    turns["assistant"] = RoleTemplate("<start_of_turn>model\n", "<end_of_turn>\n", trim=True)
    return ChatTemplateSpec(
        name=name,
        turns=turns,
        strict_alternation=True,
        system_in="first" if takes_system else "nowhere",
        start="<bos>",
        bos="<bos>",
        answer="<start_of_turn>model\n",
        stop=("<end_of_turn>", "<eos>"),
        special_tokens=_GEMMA_TOKENS,
    )


def _qwen(
    name: str, *, tool_end: str = "", calls: CallWriter = qwen3.CALLS, tool_format: str = "hermes"
) -> ChatTemplateSpec:
    """Make a Qwen that never thinks; its forms differ in how they call tools."""
    tool = RoleTemplate(
        "<|im_start|>user\n<tool_response>\n", f"\n</tool_response>{tool_end}<|im_end|>\n"
    )
    return ChatTemplateSpec(
        name=name,
        turns={**_turns(_TRIO, "<|im_start|>{}\n", "<|im_end|>\n"), "tool": tool},
        answer="<|im_start|>assistant\n",
        stop=qwen3.STOP,
        special_tokens=qwen3.TOKENS,
        markup=qwen3.MARKUP,
        calls=calls,
        tool_gap="\n</tool_response>\n<tool_response>\n",
        tool_format=tool_format,
    )


def _llama3(name: str, *, dated: bool) -> ChatTemplateSpec:
    """Make Llama 3, or 3.1 with its dated system block."""
    header = "<|start_header_id|>{}<|end_header_id|>\n\n"
    turns = _turns(_FIVE, header, "<|eot_id|>", trim=True)
    system_template = tool_system_template = None
    if dated:
        dates = "Cutting Knowledge Date: December 2023\nToday Date: {date}\n\n"
        system = header.replace("{}", "system")
        system_template = RoleTemplate(system + dates, "<|eot_id|>", trim=True)
        tool_system_template = RoleTemplate(
            f"{system}Environment: ipython\n{dates}", "<|eot_id|>", trim=True
        )
        turns["tool"] = RoleTemplate(header.replace("{}", "ipython"), "<|eot_id|>", as_json=True)
    return ChatTemplateSpec(
        name=name,
        turns=turns,
        system_template=system_template,
        default_system="" if dated else None,
        calls=CallForm("", "parameters", "") if dated else None,
        lone_call=dated,
        date_format="%d %b %Y" if dated else "",
        fixed_date="26 Jul 2024" if dated else "",
        start="<|begin_of_text|>",
        bos="<|begin_of_text|>",
        answer=header.replace("{}", "assistant"),
        stop=("<|eot_id|>", "<|end_of_text|>", *(("<|eom_id|>",) if dated else ())),
        special_tokens=_LLAMA3_TOKENS,
        tool_format="llama3" if dated else "react",
        tool_form=ToolForm({"tool": turns["tool"]}, tool_system_template) if dated else None,
    )


_LIST = (
    # meta-llama/Llama-2-7b-chat-hf
    ChatTemplateSpec(
        name="llama2",
        turns={
            "user": RoleTemplate("<s>[INST] ", " [/INST]", trim=True),
            "assistant": RoleTemplate(" ", " </s>", trim=True),
        },
        strict_alternation=True,
        ignored_roles=frozenset({"system"}),
        system_block=("<<SYS>>\n", "\n<</SYS>>\n\n"),
        trim_block=True,
        bos="<s>",
        stop=("</s>",),
        special_tokens=SpecialTokens((*_SENTENCEPIECE, "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>")),
    ),
    # meta-llama/Meta-Llama-3-8B-Instruct, meta-llama/Llama-3.1-8B-Instruct
    _llama3("llama3", dated=False),
    _llama3("llama3.1", dated=True),
    # HuggingFaceH4/zephyr-7b-beta
    ChatTemplateSpec(
        name="zephyr",
        turns=_turns(_TRIO, "<|{}|>\n", "</s>\n"),
        answer="<|assistant|>\n",
        stop=("</s>",),
        special_tokens=SpecialTokens((*_SENTENCEPIECE, "<|system|>", "<|user|>", "<|assistant|>")),
    ),
    # microsoft/Phi-3-mini-4k-instruct, microsoft/Phi-3.5-mini-instruct, microsoft/phi-4
    _phi3("phi-3", skip_empty_system=False),
    _phi3("phi-3.5", skip_empty_system=True),
    ChatTemplateSpec(
        name="phi-4",
        turns=_turns(_TRIO, "<|im_start|>{}<|im_sep|>", "<|im_end|>"),
        answer="<|im_start|>assistant<|im_sep|>",
        stop=("<|im_end|>", "<|endoftext|>"),
        special_tokens=SpecialTokens(
            (
                *(*_CHATML, "<|im_sep|>", "<|dummy_"),
                *("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"),
            )
        ),
    ),
    # mistralai/Mistral-7B-Instruct-v0.1, -v0.3, mistralai/Mistral-Nemo-Instruct-2407
    _mistral(
        "mistral-v0.1",
        RoleTemplate(" [INST] ", " [/INST]"),
        RoleTemplate(" ", "</s>"),
        first=True,
        special_tokens=(*_SENTENCEPIECE, "[INST]", "[/INST]"),
    ),
    _mistral(
        "mistral-v0.3",
        RoleTemplate("[INST] ", "[/INST]"),
        RoleTemplate(" ", "</s>", trim=True),
        first=False,
        special_tokens=_MISTRAL_V3_TOKENS,
        tool_space=" ",
    ),
    _mistral(
        "mistral-nemo",
        RoleTemplate("[INST]", "[/INST]"),
        RoleTemplate("", "</s>"),
        first=False,
        special_tokens=_MISTRAL_NEMO_TOKENS,
        tool_space="",
    ),
    # google/gemma-2-9b-it, google/gemma-3-4b-it
    _gemma("gemma-2", takes_system=False),
    _gemma("gemma-3", takes_system=True),
    # ChatML as such; Qwen/Qwen2-7B-Instruct, Qwen/Qwen2.5-7B-Instruct, SmolLM2-1.7B-Instruct
    _chatml("chatml"),
    _chatml("qwen2", "You are a helpful assistant."),
    replace(
        _qwen("qwen2.5"),
        default_system="You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
        special_tokens=SpecialTokens(_CHATML),
        markup=NO_TOKENS,
    ),
    _chatml("smollm2", "You are a helpful AI assistant named SmolLM, trained by Hugging Face"),
    # openchat/openchat-3.5-0106
    ChatTemplateSpec(
        name="openchat",
        turns={
            role: RoleTemplate(f"GPT4 Correct {role.title()}: ", "<|end_of_turn|>")
            for role in _FIVE
        },
        start="<s>",
        bos="<s>",
        answer="GPT4 Correct Assistant:",
        stop=("<|end_of_turn|>",),
        special_tokens=SpecialTokens(
            (
                *(*_SENTENCEPIECE, "<|end_of_turn|>", "<|pad_0|>"),
                *[f"GPT4 Correct {role.title()}:" for role in _FIVE],
            )
        ),
    ),
    # deepseek-ai/deepseek-llm-7b-chat
    ChatTemplateSpec(
        name="deepseek-llm",
        turns={
            "system": RoleTemplate("", "\n\n"),
            "user": RoleTemplate("User: ", "\n\n"),
            "assistant": RoleTemplate("Assistant: ", "<｜end▁of▁sentence｜>"),
        },
        start="<｜begin▁of▁sentence｜>",
        bos="<｜begin▁of▁sentence｜>",
        answer="Assistant:",
        stop=("<｜end▁of▁sentence｜>",),
        special_tokens=SpecialTokens(
            ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "\nUser:", "\nAssistant:")
        ),
    ),
    # lmsys/vicuna-7b-v1.5 as FastChat (conversation.py, vicuna_v1.1) writes it
    ChatTemplateSpec(
        name="vicuna",
        turns={
            "system": RoleTemplate("", ""),
            "user": RoleTemplate("USER:", ""),
            "assistant": RoleTemplate("ASSISTANT:", ""),
        },
        separators=(" ", "</s>"),
        default_system=_VICUNA_SYSTEM,
        answer="ASSISTANT:",
        stop=("</s>",),
        special_tokens=SpecialTokens((*_SENTENCEPIECE, "USER:", "ASSISTANT:")),
    ),
    # Qwen/Qwen3-30B-A3B-Instruct-2507, Qwen/Qwen3-Coder-30B-A3B-Instruct
    _qwen("qwen3-instruct-2507"),
    _qwen(
        "qwen3-coder",
        tool_end="\n",
        calls=tool_calls.xml_parameters,
        tool_format="qwen3-coder",
    ),
    # mistralai/Mistral-Small-24B-Instruct-2501
    ChatTemplateSpec(
        name="mistral-small-3",
        turns={
            "system": RoleTemplate("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"),
            "user": RoleTemplate("[INST]", "[/INST]"),
            "assistant": RoleTemplate("", "</s>"),
        },
        default_system=_MISTRAL_SMALL_SYSTEM,
        date_format="%Y-%m-%d",
        start="<s>",
        bos="<s>",
        stop=("</s>",),
        special_tokens=SpecialTokens(
            (
                *(*_MISTRAL_NEMO_TOKENS, "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]"),
                *("<pad>", "[IMG]", "[IMG_BREAK]", "[IMG_END]", "<SPECIAL_"),
            )
        ),
    ),
    # ibm-granite/granite-3.3-8b-instruct
    ChatTemplateSpec(
        name="granite-3.3",
        turns=_turns(_FIVE, "<|start_of_role|>{}<|end_of_role|>", "<|end_of_text|>\n"),
        answer="<|start_of_role|>assistant<|end_of_role|>",
        answer_after_system=False,
        default_system=_GRANITE_SYSTEM,
        thinking=True,
        thinking_system=_GRANITE_THINKING_SYSTEM,
        date_format="%B %d, %Y",
        calls=partial(tool_calls.json_list, before="<|tool_call|>"),
        stop=("<|end_of_text|>",),
        special_tokens=SpecialTokens(
            (
                *("<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>", "<|tool_call|>"),
                *("<|start_of_cite|>", "<|end_of_cite|>"),
                *("<|start_of_plugin|>", "<|end_of_plugin|>"),
                *("<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>"),
            )
        ),
    ),
    # CohereForAI/c4ai-command-r7b-12-2024, the template `default`
    ChatTemplateSpec(
        name="command-r7b",
        turns={
            "user": RoleTemplate(
                "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>", "<|END_OF_TURN_TOKEN|>", trim=True
            ),
            "assistant": RoleTemplate(
                "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_RESPONSE|>",
                "<|END_RESPONSE|><|END_OF_TURN_TOKEN|>",
                trim=True,
            ),
        },
        strict_alternation=True,
        ignored_roles=frozenset({"system"}),
        system_in="turn",
        system_template=RoleTemplate(
            "<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>", "<|END_OF_TURN_TOKEN|>"
        ),
        default_system="",
        answer="<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_RESPONSE|>",
        stop=("<|END_OF_TURN_TOKEN|>", "<|END_RESPONSE|>"),
        special_tokens=SpecialTokens(
            (
                *("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|USER_TOKEN|>"),
                *("<|CHATBOT_TOKEN|>", "<|SYSTEM_TOKEN|>", "<|START_RESPONSE|>"),
                *("<|END_RESPONSE|>", "<|START_THINKING|>", "<|END_THINKING|>"),
                *("<|START_ACTION|>", "<|END_ACTION|>"),
                *("<|START_TOOL_RESULT|>", "<|END_TOOL_RESULT|>"),
                *("<BOS_TOKEN>", "<EOS_TOKEN>", "<EOP_TOKEN>", "<MASK_TOKEN>"),
                *("<PAD>", "<UNK>", "<CLS>", "<SEP>", "<|EXTRA_", "<|USER_", "<|NEW_FILE|>"),
            )
        ),
    ),
    # microsoft/Phi-4-mini-instruct
    ChatTemplateSpec(
        name="phi-4-mini",
        turns=_turns(_FIVE, "<|{}|>", "<|end|>"),
        answer="<|assistant|>",
        end="<|endoftext|>",
        calls=partial(tool_calls.json_list, before="<|tool_call|>", after="<|/tool_call|>"),
        stop=("<|end|>", "<|endoftext|>"),
        special_tokens=SpecialTokens(
            (
                *("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>"),
                *("<|tool|>", "<|/tool|>", "<|tool_call|>", "<|/tool_call|>"),
                *("<|tool_response|>", "<|function|>", "<|endofprompt|>", "<|tag|>"),
            )
        ),
    ),
    # LiquidAI/LFM2-1.2B
    ChatTemplateSpec(
        name="lfm2",
        turns={
            **_turns(_FIVE, "<|im_start|>{}\n", "<|im_end|>\n"),
            "tool": RoleTemplate(
                "<|im_start|>tool\n<|tool_response_start|>", "<|tool_response_end|><|im_end|>\n"
            ),
        },
        system_template=RoleTemplate("<|im_start|>system\n", "<|im_end|>\n", skip_empty=True),
        answer="<|im_start|>assistant\n",
        calls=partial(
            tool_calls.python_list, before="<|tool_call_start|>", after="<|tool_call_end|>"
        ),
        start="<|startoftext|>",
        bos="<|startoftext|>",
        stop=("<|im_end|>", "<|endoftext|>"),
        special_tokens=SpecialTokens(
            (
                *(*_CHATML, "<|startoftext|>", "<|pad|>", "<|reserved_"),
                *("<|tool_list_start|>", "<|tool_list_end|>"),
                *("<|tool_call_start|>", "<|tool_call_end|>"),
                *("<|tool_response_start|>", "<|tool_response_end|>"),
                *("<|fim_pre|>", "<|fim_mid|>", "<|fim_suf|>"),
            )
        ),
    ),
    *(qwen3.QWEN3, qwen3.QWEN3_THINKING_2507, llama4.LLAMA4, gpt_oss.GPT_OSS, smollm3.SMOLLM3),
    *(deepseek_v3_1.DEEPSEEK_V3_1, glm_4_5.GLM_4_5, kimi_k2.KIMI_K2, minimax_m2.MINIMAX_M2),
)

FAMILIES = {family.name: family for family in _LIST}
"""Every family by its name."""

ALIASES = {"phi3": "phi-3", "mistral": "mistral-v0.3", "gemma": "gemma-2"}
"""Other names of the same families."""
