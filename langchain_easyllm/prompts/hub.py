"""Reads a model's own chat template from its directory or its repository on the Hub.

The files are those that transformers writes: `chat_template.jinja`, `chat_template.json`,
`tokenizer_config.json`, `special_tokens_map.json` and `generation_config.json`, and where the
template writes a begin-of-sequence token, `tokenizer.json`. Downloads go through huggingface_hub
and its cache, so that a model once used also works offline.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from ..errors import PromptError
from .base import ChatPrompt
from .jinja import JinjaPrompt, turn_ends
from .tokenizer_files import adds_bos

_Read = Callable[[str], str | None]

_NUMBERED = re.compile(r"(\D{4,})\d+\D*")
_LONG_SERIES = 4


def load_prompt(model: str | Path, *, token: str | None = None, tools: bool = False) -> ChatPrompt:
    """Load the chat template that a model comes with.

    Args:
        model: A local directory, or the id of a repository on the Hub.
        token: A Hugging Face token, for private and gated repositories; None uses the stored login.
        tools: Whether to prefer the template for tools, where there are several.

    Returns:
        The prompt, with the stop sequences and special tokens of the model's tokenizer.

    Raises:
        PromptError: If the model has no template, or its files cannot be downloaded or read.
    """
    read = _reader(model, token)
    config = _json(read, "tokenizer_config.json", model)
    template = _template(read, config, model, tools=tools)
    special = {**_json(read, "special_tokens_map.json", model), **config}
    bos, eos = _text(special.get("bos_token")), _text(special.get("eos_token"))
    added = config.get("added_tokens_decoder")
    added = added if isinstance(added, Mapping) else {}
    ids = _json(read, "generation_config.json", model).get("eos_token_id")
    ends = [_text(added.get(str(end))) for end in (ids if isinstance(ids, list) else [ids])]
    stop = [eos, *ends, *turn_ends(template)]
    prompt = JinjaPrompt.of(
        template,
        name=str(model),
        stop=tuple(dict.fromkeys([text for text in stop if text])),
        bos_token=bos,
        eos_token=eos,
        tokens=tuple(_without_numbers(_special_tokens(added.values(), special, template))),
    )
    if prompt.bos is None:
        return prompt
    return replace(prompt, adds_bos=adds_bos(prompt.bos, config, read))


def _template(read: _Read, config: Mapping[str, object], model: str | Path, *, tools: bool) -> str:
    template = read("chat_template.jinja")
    if template is not None:
        return template
    for source in (_json(read, "chat_template.json", model), config):
        found = _named(source.get("chat_template"), tools=tools)
        if found is not None:
            return found
    raise PromptError(
        f"{model} has no chat template; name the prompt of its family instead "
        "(the names in PROMPT_MAPPING), or give a template of your own."
    )


def _named(value: object, *, tools: bool) -> str | None:
    """Choose among named templates; a plain string is the only one."""
    if isinstance(value, str):
        return value
    pairs: Iterable[tuple[object, object]] = ()
    if isinstance(value, Mapping):
        pairs = value.items()
    elif isinstance(value, list):
        entries = [entry for entry in value if isinstance(entry, Mapping)]
        pairs = [(entry.get("name"), entry.get("template")) for entry in entries]
    named = {n: t for n, t in pairs if isinstance(n, str) and isinstance(t, str)}
    for name in ("tool_use", "default") if tools else ("default",):
        if name in named:
            return named[name]
    return next(iter(named.values()), None)


def read_file(model: str, name: str, *, token: str | None = None) -> str | None:
    """Return the text of a model's file, or None if there is none; see `load_prompt`."""
    return _reader(model, token)(name)


def _reader(model: str | Path, token: str | None) -> _Read:
    directory = Path(model).expanduser()
    return _reader_of(directory) if directory.is_dir() else _reader_from_hub(str(model), token)


def _reader_of(directory: Path) -> _Read:
    def read(name: str) -> str | None:
        path = directory / name
        try:
            return path.read_text(encoding="utf-8") if path.is_file() else None
        except (OSError, UnicodeDecodeError) as error:
            raise PromptError(f"{path} cannot be read: {error}") from error

    return read


def _reader_from_hub(model: str, token: str | None) -> _Read:
    from huggingface_hub import errors, hf_hub_download  # noqa: PLC0415 - loads at first use

    offline = not _reachable(model, token)

    def read(name: str) -> str | None:
        try:
            path = hf_hub_download(model, name, token=token, local_files_only=offline)
            return Path(path).read_text(encoding="utf-8")
        except errors.EntryNotFoundError:
            if name == "tokenizer_config.json" and offline:
                raise PromptError(
                    f"{model} is not in the local cache and the Hub cannot be reached; connect "
                    "once, or name the prompt of its family instead."
                ) from None
            return None
        except errors.GatedRepoError as error:
            raise PromptError(
                f"{model} is gated: accept its licence at https://huggingface.co/{model} and pass "
                "a token of that account."
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise PromptError(
                f"There is no model {model!r} on the Hub that this token may see, and no local "
                "directory of that name; check the name, or pass a token for a private model."
            ) from error
        except errors.HFValidationError as error:
            raise PromptError(
                f"{model!r} is neither a local directory nor the id of a model: {error}"
            ) from error
        except (errors.HfHubHTTPError, OSError, UnicodeDecodeError) as error:
            raise PromptError(f"{name} of {model} cannot be downloaded or read: {error}") from error

    return read


def _reachable(model: str, token: str | None) -> bool:
    """Try the Hub once, without the retries of a download: they take 23 seconds for each file."""
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url  # noqa: PLC0415

    try:
        get_hf_file_metadata(hf_hub_url(model, "tokenizer_config.json"), token=token)
    except (errors.HfHubHTTPError, errors.HFValidationError):
        return True  # an answer, or a name that the download itself will refuse
    except Exception:  # noqa: BLE001 - the errors of whichever HTTP client the hub uses
        return False
    return True


def _json(read: _Read, name: str, model: str | Path) -> dict[str, object]:
    text = read(name)
    if text is None:
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PromptError(f"{name} of {model} is not valid JSON: {error}") from error
    return value if isinstance(value, dict) else {}


def _text(token: object) -> str | None:
    """Read a token: a string, or a serialised `AddedToken`."""
    if isinstance(token, Mapping):
        token = token.get("content")
    return token if isinstance(token, str) and token else None


def _special_tokens(
    added: Iterable[object], special: Mapping[str, object], template: str
) -> Iterable[str]:
    """List the special tokens, and the added ones that the template writes."""
    for token in added:
        text = _text(token)
        is_special = isinstance(token, Mapping) and token.get("special") is True
        if text is not None and text.strip() and (is_special or text in template):
            yield text
    for name, value in special.items():
        if name.endswith("_token") or name in {"additional_special_tokens", "extra_special_tokens"}:
            for token in value if isinstance(value, list) else [value]:
                text = _text(token)
                if text is not None and text.strip():
                    yield text


def _without_numbers(tokens: Iterable[str]) -> Iterable[str]:
    """Replace a long series such as `<|reserved_special_token_0|>` to 247 by its prefix.

    Tokenizers reserve up to a thousand; searching each in every text would be slow.
    """
    series: dict[str, list[str]] = {}
    for token in tokens:
        numbered = _NUMBERED.fullmatch(token)
        series.setdefault(numbered[1] if numbered else token, []).append(token)
    for prefix, numbers in series.items():
        yield from (prefix,) if len(numbers) > _LONG_SERIES else numbers
