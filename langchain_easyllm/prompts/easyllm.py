"""The nine prompts of EasyLLM 0.6.2, byte for byte as its builders write them.

Its `llama2` and `vicuna` differ from the official templates in white space, so these two are
reached only through `build_llama2_prompt` and `build_vicuna_prompt`.
"""

from __future__ import annotations

from .spec import Family, Turn
from .special_tokens import ControlTokens

__all__ = ["EASYLLM"]


def _turns(
    system: tuple[str, str], user: tuple[str, str], assistant: tuple[str, str]
) -> dict[str, Turn]:
    texts = {"system": system, "user": user, "assistant": assistant}
    return {role: Turn(before, after, trim=True) for role, (before, after) in texts.items()}


def _tagged(name: str, user: str, gap: str, end: str, after: str) -> Family:
    """The prompts that open each turn with a `<|role|>` tag."""
    tags = ("<|system|>", user, "<|assistant|>")
    system, speaker, assistant = [(tag + gap, end + after) for tag in tags]
    return Family(
        name=name,
        turns=_turns(system, speaker, assistant),
        system_first=True,
        answer="<|assistant|>",
        stop=(end,),
        control=ControlTokens((*tags, end)),
    )


_LIST = (
    _tagged("chatml_falcon", "<|user|>", "\n", "<|endoftext|>", "\n"),
    _tagged("chatml_starchat", "<|user|>", "\n", "<|end|>", "\n"),
    _tagged("open_assistant", "<|prompter|>", "", "</s>", ""),
    Family(
        name="llama2",
        turns={
            "system": Turn("<<SYS>>\n", "\n<</SYS>>\n\n"),
            "user": Turn("", "", trim=True),
            "assistant": Turn(" [/INST] ", " </s><s>[INST] "),
        },
        system_first=True,
        start="<s>[INST] ",
        bos="<s>",
        answer=" [/INST]",
        stop=("</s>",),
        control=ControlTokens(("<s>", "</s>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>")),
    ),
    Family(
        name="vicuna",
        turns=_turns(("", "\n\n"), ("USER: ", "\n"), ("ASSISTANT: ", "</s>\n")),
        system_first=True,
        answer="ASSISTANT: ",
        stop=("</s>",),
        control=ControlTokens(("</s>", "USER:", "ASSISTANT:")),
    ),
    Family(
        name="wizardlm",
        turns=_turns((" ", ""), (" USER: ", ""), (" ASSISTANT: ", "")),
        system_first=True,
        strip_start=True,
        answer=" ASSISTANT: ",
        stop=("</s>",),
        control=ControlTokens(("</s>", "USER:", "ASSISTANT:")),
    ),
    Family(
        name="stablebeluga",
        turns=_turns(
            ("### System:\n", "\n\n"), ("### User:\n", "\n\n"), ("### Assistant:\n", "\n\n")
        ),
        system_first=True,
        answer="### Assistant:",
        stop=("</s>",),
        control=ControlTokens(("</s>", "### System:", "### User:", "### Assistant:")),
    ),
    Family(
        name="falcon",
        turns={
            "system": Turn("System: ", "\n"),
            "user": Turn("User: ", "\n", trim=True),
            "assistant": Turn("Falcon: ", "\n", trim=True),
        },
        system_first=True,
        answer="Falcon: ",
        stop=("\nUser:", "<|endoftext|>", " User:", "###"),
        control=ControlTokens(("<|endoftext|>", "\nSystem:", "\nUser:", "\nFalcon:")),
    ),
    Family(
        name="anthropic",
        turns={
            "system": Turn("", ""),
            "user": Turn("\n\nHuman: ", "", trim=True),
            "assistant": Turn("\n\nAssistant: ", "", trim=True),
        },
        system_first=True,
        answer="\n\nAssistant: ",
        stop=("\n\nUser:", "User:"),
        control=ControlTokens(("\nHuman:", "\nAssistant:")),
    ),
)

EASYLLM = {family.name: family for family in _LIST}
"""EasyLLM's prompts by its own names."""
