"""Train the offline model. Resumable: run the same command again and it goes on.

    python training/train_offline_model.py --run /tmp/run --tokens 70e6

Writes `tokenizer.json`, `checkpoint.pt` and `log.jsonl` into the run's folder.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import pathlib
import random
import signal
import time

import torch
from mixture import STAGES, Example, Mixture
from model import Llama, Shape
from tokenizer import load_or_train
from torch import Tensor
from torch.nn.functional import cross_entropy

PAD = 0
# (tokens seen, stage, longest example): short copying first, then longer and longer prompts.
CURRICULUM = [
    (0, "copy", 60),
    (1_500_000, "copy", 140),
    (3_000_000, "mix", 320),
    (12_000_000, "mix", 704),
]


@dataclasses.dataclass(frozen=True)
class Plan:
    """Settings of a run."""

    tokens: float
    muon_rate: float = 0.02
    adam_rate: float = 4e-3
    warmup: float = 300_000
    decay: float = 0.35
    micro_tokens: int = 4096
    pool: int = 3000

    def micro_steps(self, seen: float) -> int:
        """Give the number of batches in a step: small steps, and so many, at first."""
        return 1 if seen < 0.15 * self.tokens else 2

    def rate(self, seen: float) -> float:
        """Give the learning rate's factor: warm up, hold, and fall to zero over the last part."""
        left = (self.tokens - seen) / (self.decay * self.tokens)
        return max(0.0, min(1.0, seen / self.warmup + 0.02, left))


class Batches:
    """Cuts a pool of examples, sorted by length, into batches of like lengths."""

    def __init__(self, mixture: Mixture, plan: Plan) -> None:
        self.mixture = mixture
        self.plan = plan
        self.ready: list[list[Example]] = []

    def next(self) -> list[Example]:
        """Give the next batch."""
        if not self.ready:
            pool = sorted(
                (self.mixture.example() for _ in range(self.plan.pool)), key=lambda e: len(e.ids)
            )
            batch: list[Example] = []
            for example in pool:
                if batch and (len(batch) + 1) * len(example.ids) > self.plan.micro_tokens:
                    self.ready.append(batch)
                    batch = []
                batch.append(example)
            self.ready.append(batch)
            self.mixture.rng.shuffle(self.ready)
        return self.ready.pop()


def tensors(batch: list[Example]) -> tuple[Tensor, Tensor, Tensor]:
    """Give ids, the flat positions that predict a wanted token, and the wanted tokens."""
    width = max(len(example.ids) for example in batch)
    ids = torch.full((len(batch), width), PAD)
    rows, targets = [], []
    for index, example in enumerate(batch):
        ids[index, : len(example.ids)] = torch.tensor(example.ids)
        for place in range(1, len(example.ids)):
            if example.wanted[place]:
                rows.append(index * width + place - 1)
                targets.append(example.ids[place])
    return ids, torch.tensor(rows), torch.tensor(targets)


def answer_losses(model: Llama, ids: Tensor, rows: Tensor, targets: Tensor) -> Tensor:
    """Give the loss of each wanted token."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(ids, rows)
    return cross_entropy(logits.float(), targets, reduction="none")


class Trainer:
    """Holds the network, the optimizers and the state of a run."""

    def __init__(self, folder: pathlib.Path, plan: Plan, shape: Shape, seed: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.plan = plan
        self.tokenizer = load_or_train(folder / "tokenizer.json", shape.vocab_size)
        torch.manual_seed(seed)
        self.rng = random.Random(seed)
        self.model = Llama(shape)
        # Compiling takes a minute and makes a step 1.4 times faster.
        self.losses = torch.compile(answer_losses, dynamic=True)
        self.seen = 0
        self.seconds = 0.0
        named = list(self.model.named_parameters())
        matrices = [p for name, p in named if p.ndim == 2 and "embed" not in name]
        others = [p for name, p in named if p.ndim != 2 or "embed" in name]
        self.optimizers = [
            torch.optim.Muon(matrices, lr=plan.muon_rate, weight_decay=0.01),
            torch.optim.AdamW(others, lr=plan.adam_rate, weight_decay=0.0, betas=(0.9, 0.98)),
        ]
        self.base_rates = [plan.muon_rate, plan.adam_rate]
        self.stage: tuple[int, str, int] | None = None

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one."""
        path = self.folder / "checkpoint.pt"
        if path.exists():
            state = torch.load(path, weights_only=False)
            self.model.load_state_dict(state["model"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            self.seen, self.seconds = state["seen"], state["seconds"]
            self.rng.setstate(state["rng"])

    def save(self) -> None:
        """Write the checkpoint; a crash never leaves half of one."""
        state = {
            "model": self.model.state_dict(),
            "shape": dataclasses.asdict(self.model.shape),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "seen": self.seen,
            "seconds": self.seconds,
            "rng": self.rng.getstate(),
        }
        fresh = self.folder / "checkpoint.tmp"
        torch.save(state, fresh)
        fresh.replace(self.folder / "checkpoint.pt")

    def batches(self) -> Batches:
        """Give batches of the present stage, made anew when the stage changes."""
        stage = [entry for entry in CURRICULUM if entry[0] <= self.seen][-1]
        if stage != self.stage:
            self.stage = stage
            mixture = Mixture(self.tokenizer, self.rng, STAGES[stage[1]], stage[2])
            self._batches = Batches(mixture, self.plan)
        return self._batches

    def step(self) -> dict[str, list[float]]:
        """Take one optimizer step; give the losses of the answers by task (sum, count)."""
        factor = self.plan.rate(self.seen)
        for optimizer, base in zip(self.optimizers, self.base_rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = base * factor
        parts = [self.batches().next() for _ in range(self.plan.micro_steps(self.seen))]
        made = [tensors(part) for part in parts]
        total = sum(len(targets) for _, _, targets in made)
        told: dict[str, list[float]] = collections.defaultdict(lambda: [0.0, 0.0])
        for part, (ids, rows, targets) in zip(parts, made, strict=True):
            losses = self.losses(self.model, ids, rows, targets)
            (losses.sum() / total).backward()
            self.seen += sum(len(example.ids) for example in part)
            tally(part, losses.detach(), told)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return told


def tally(batch: list[Example], losses: Tensor, told: dict[str, list[float]]) -> None:
    """Add each example's loss on its last wanted tokens (the answer) to its task's sum."""
    place = 0
    values = losses.tolist()
    for example in batch:
        count = sum(example.wanted[1:])
        answer = 0
        while answer < count and example.wanted[-1 - answer]:
            answer += 1
        told[example.task][0] += sum(values[place + count - answer : place + count])
        told[example.task][1] += answer
        place += count


def main() -> None:
    """Run or resume a training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=pathlib.Path, required=True, help="folder of the run")
    parser.add_argument("--tokens", type=float, default=70e6, help="tokens in all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--layers", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    shape = Shape(num_hidden_layers=options.layers)
    trainer = Trainer(options.run, Plan(tokens=options.tokens), shape, options.seed)
    trainer.resume()
    told: dict[str, list[float]] = collections.defaultdict(lambda: [0.0, 0.0])
    saved = logged = last = time.time()
    start = trainer.seen
    ended: list[int] = []
    # Asked to end, finish the step and save.
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    while trainer.seen < options.tokens and not ended:
        for task, (loss, count) in trainer.step().items():
            told[task][0] += loss
            told[task][1] += count
        now = time.time()
        trainer.seconds += now - last
        last = now
        if now - logged > 30:
            losses = {task: round(a / max(b, 1), 3) for task, (a, b) in sorted(told.items())}
            speed = round((trainer.seen - start) / (now - logged))
            line = {
                "tokens": trainer.seen,
                "seconds": round(trainer.seconds),
                "speed": speed,
                "loss": losses,
            }
            with (options.run / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            told.clear()
            logged, start = now, trainer.seen
        if now - saved > 120:
            trainer.save()
            saved = time.time()
    trainer.save()


if __name__ == "__main__":
    main()
