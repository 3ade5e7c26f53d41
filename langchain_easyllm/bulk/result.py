"""What a bulk job returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What is in the folder of a job once it has ended; `print` shows it.

    Attributes:
        folder: The folder.
        rows: The rows in it.
        failed: Those whose `error` says why they failed.
        sent: The rows that this run has processed; the others were there.
        input_tokens: The tokens of the rows, as the server counted them; None if it does not say.
        output_tokens: The tokens of the answers; None for embeddings.
        seconds: How long this run took.
        reasons: How often each kind of error is there.
    """

    folder: Path
    rows: int
    failed: int
    sent: int
    input_tokens: int | None = None
    output_tokens: int | None = None
    seconds: float = 0.0
    reasons: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        said = [f"{self.rows:,} rows in {self.folder}, {self.sent:,} of them by this run in "]
        said[0] += f"{self.seconds:,.1f} s"
        for name, count in (("input", self.input_tokens), ("output", self.output_tokens)):
            if count is not None:
                said[0] += f", {count:,} {name} tokens"
        said[0] += "."
        if self.failed:
            said.append(f"{self.failed:,} rows failed:")
            common = sorted(self.reasons.items(), key=lambda item: -item[1])
            said += [f"{count:>9,}  {reason}" for reason, count in common]
            said.append("Run the same command with --retry-errors (retry_errors=True) for these.")
        return "\n".join(said)
