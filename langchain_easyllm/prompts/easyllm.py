"""The nine prompts of EasyLLM 0.6.2, byte for byte as its builders write them.

Its `llama2` and `vicuna` differ from the official templates in white space, so these two are
reached only through `build_llama2_prompt` and `build_vicuna_prompt`.
"""

from __future__ import annotations

from .spec import ChatTemplateSpec, RoleTemplate
from .special_tokens import SpecialTokens


def _turns(
    system: tuple[str, str], user: tuple[str, str], assistant: tuple[str, str]
) -> dict[str, RoleTemplate]:
    texts = {"system": system, "user": user, "assistant": assistant}
    return {role: RoleTemplate(before, after, trim=True) for role, (before, after) in texts.items()}


def _tagged(name: str, user: str, gap: str, end: str, after: str) -> ChatTemplateSpec:
    """Make a prompt that opens each message with a `<|role|>` tag."""
    tags = ("<|system|>", user, "<|assistant|>")
    system, speaker, assistant = [(tag + gap, end + after) for tag in tags]
    return ChatTemplateSpec(
        name=name,
        turns=_turns(system, speaker, assistant),
        system_first=True,
        answer="<|assistant|>",
        stop=(end,),
        special_tokens=SpecialTokens((*tags, end)),
    )


_LIST = (
    _tagged("chatml_falcon", "<|user|>", "\n", "<|endoftext|>", "\n"),
    _tagged("chatml_starchat", "<|user|>", "\n", "<|end|>", "\n"),
    _tagged("open_assistant", "<|prompter|>", "", "</s>", ""),
    ChatTemplateSpec(
        name="llama2",
        turns={
            "system": RoleTemplate("<<SYS>>\n", "\n<</SYS>>\n\n"),
            "user": RoleTemplate("", "", trim=True),
            "assistant": RoleTemplate(" [/INST] ", " </s><s>[INST] "),
        },
        system_first=True,
        start="<s>[INST] ",
        bos="<s>",
        answer=" [/INST]",
        stop=("</s>",),
        special_tokens=SpecialTokens(("<s>", "</s>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>")),
    ),
    ChatTemplateSpec(
        name="vicuna",
        turns=_turns(("", "\n\n"), ("USER: ", "\n"), ("ASSISTANT: ", "</s>\n")),
        system_first=True,
        answer="ASSISTANT: ",
        stop=("</s>",),
        special_tokens=SpecialTokens(("</s>", "USER:", "ASSISTANT:")),
    ),
    ChatTemplateSpec(
        name="wizardlm",
        turns=_turns((" ", ""), (" USER: ", ""), (" ASSISTANT: ", "")),
        system_first=True,
        strip_start=True,
        answer=" ASSISTANT: ",
        stop=("</s>",),
        special_tokens=SpecialTokens(("</s>", "USER:", "ASSISTANT:")),
    ),
    ChatTemplateSpec(
        name="stablebeluga",
        turns=_turns(
            ("### System:\n", "\n\n"), ("### User:\n", "\n\n"), ("### Assistant:\n", "\n\n")
        ),
        system_first=True,
        answer="### Assistant:",
        stop=("</s>",),
        special_tokens=SpecialTokens(("</s>", "### System:", "### User:", "### Assistant:")),
    ),
    ChatTemplateSpec(
        name="falcon",
        turns={
            "system": RoleTemplate("System: ", "\n"),
            "user": RoleTemplate("User: ", "\n", trim=True),
            "assistant": RoleTemplate("Falcon: ", "\n", trim=True),
        },
        system_first=True,
        answer="Falcon: ",
        stop=("\nUser:", "<|endoftext|>", " User:", "###"),
        special_tokens=SpecialTokens(("<|endoftext|>", "\nSystem:", "\nUser:", "\nFalcon:")),
    ),
    ChatTemplateSpec(
        name="anthropic",
        turns={
            "system": RoleTemplate("", ""),
            "user": RoleTemplate("\n\nHuman: ", "", trim=True),
            "assistant": RoleTemplate("\n\nAssistant: ", "", trim=True),
        },
        system_first=True,
        answer="\n\nAssistant: ",
        stop=("\n\nUser:", "User:"),
        special_tokens=SpecialTokens(("\nHuman:", "\nAssistant:")),
    ),
)

EASYLLM = {family.name: family for family in _LIST}
"""EasyLLM's prompts by its own names."""
