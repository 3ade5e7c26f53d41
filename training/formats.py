"""Chat formats, rendered exactly as the official templates of the four model families do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Message = tuple[str, str]
"""Role ("system", "user" or "assistant") and text."""


def llama2(messages: Sequence[Message]) -> str:
    """Render for Llama 2 chat: the system text is folded into the first user turn."""
    system = ""
    if messages[0][0] == "system":
        system = f"<<SYS>>\n{messages[0][1]}\n<</SYS>>\n\n"
        messages = messages[1:]
    pieces = []
    for role, text in messages:
        if role == "user":
            pieces.append(f"<s>[INST] {(system + text).strip()} [/INST]")
            system = ""
        else:
            pieces.append(f" {text.strip()} </s>")
    return "".join(pieces)


def zephyr(messages: Sequence[Message]) -> str:
    """Render for Zephyr."""
    return "".join(f"<|{role}|>\n{text}</s>\n" for role, text in messages) + "<|assistant|>\n"


def phi3(messages: Sequence[Message]) -> str:
    """Render for Phi-3."""
    return "".join(f"<|{role}|>\n{text}<|end|>\n" for role, text in messages) + "<|assistant|>\n"


def chatml(messages: Sequence[Message]) -> str:
    """Render as ChatML, which Qwen and SmolLM2 use."""
    turns = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in messages)
    return turns + "<|im_start|>assistant\n"


FORMATS: dict[str, Callable[[Sequence[Message]], str]] = {
    "llama2": llama2,
    "zephyr": zephyr,
    "phi-3": phi3,
    "chatml": chatml,
}

# What a model of the family writes after a prompt: (what comes before the answer, what ends it).
ANSWER_FRAME: dict[str, tuple[str, str]] = {
    "llama2": (" ", " </s>"),
    "zephyr": ("", "</s>"),
    "phi-3": ("", "<|end|>"),
    "chatml": ("", "<|im_end|>"),
}


def gemma(messages: Sequence[Message]) -> str:
    """Render as Gemma 3 does, a format the model does not know."""
    system = messages[0][1] + "\n\n" if messages[0][0] == "system" else ""
    turns = []
    for role, text in messages[1 if system else 0 :]:
        name = "model" if role == "assistant" else "user"
        turns.append(f"<start_of_turn>{name}\n{system}{text.strip()}<end_of_turn>\n")
        system = ""
    return "".join(turns) + "<start_of_turn>model\n"


def vicuna(messages: Sequence[Message]) -> str:
    """Render as Vicuna does, a format the model does not know."""
    names = {"system": "", "user": "USER: ", "assistant": "ASSISTANT: "}
    return " ".join(names[role] + text for role, text in messages) + " ASSISTANT:"


def plain(messages: Sequence[Message]) -> str:
    """Give the bare texts, without any template."""
    return "\n\n".join(text for _, text in messages)


WRONG_FORMATS: dict[str, Callable[[Sequence[Message]], str]] = {
    "gemma": gemma,
    "vicuna": vicuna,
    "plain": plain,
}
