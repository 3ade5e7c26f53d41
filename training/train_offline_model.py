"""Train the offline model. Resumable: run the same command again and it goes on.

    python training/train_offline_model.py --run runs/chat --tokens 120e6

Writes `tokenizer.json`, `checkpoint.pt` and `log.jsonl` into the run's folder. Each process
computes with one thread and they meet once a step: on a shared machine that is several times
faster than threads, which meet at every operation.
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
import torch.distributed as dist
import torch.multiprocessing as mp
from mixture import STAGES, Example, Mixture
from model import Llama, Shape
from safetensors.torch import load_file
from tokenizer import load_or_train
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import cross_entropy

PAD = 0
# (tokens seen, stage, longest example): short copying first, then longer and longer prompts.
CURRICULUM = [
    (0, "copy", 60),
    (1_000_000, "copy", 140),
    (1_500_000, "mix", 320),
    (6_000_000, "mix", 704),
]


@dataclasses.dataclass(frozen=True)
class Plan:
    """Settings of a run."""

    tokens: float
    muon_rate: float = 0.02
    adam_rate: float = 4e-3
    warmup: float = 300_000
    decay: float = 0.55
    pool: int = 3000

    def batch_tokens(self, seen: float) -> int:
        """Give the tokens of a process's batch: small steps, and so many, at first."""
        return 2048 if seen < 0.05 * self.tokens else 6144

    def rate(self, seen: float) -> float:
        """Give the learning rate's factor: warm up, hold, fall (1 - sqrt) over the last part."""
        fallen = (seen - (1 - self.decay) * self.tokens) / (self.decay * self.tokens)
        return min(1.0, seen / self.warmup + 0.02, 1 - min(1.0, max(0.0, fallen)) ** 0.5)


class Batches:
    """Cuts a pool of examples, sorted by length, into batches of like lengths."""

    def __init__(self, mixture: Mixture, pool: int) -> None:
        self.mixture = mixture
        self.pool = pool
        self.ready: list[list[Example]] = []

    def next(self, tokens: int) -> list[Example]:
        """Give the next batch; a new pool is cut into batches of at most `tokens`."""
        if not self.ready:
            pool = sorted(
                (self.mixture.example() for _ in range(self.pool)), key=lambda e: len(e.ids)
            )
            batch: list[Example] = []
            for example in pool:
                if batch and (len(batch) + 1) * len(example.ids) > tokens:
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

    def __init__(
        self, folder: pathlib.Path, plan: Plan, shape: Shape, seed: int, rank: int
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.plan = plan
        self.tokenizer = load_or_train(folder / "tokenizer.json", shape.vocab_size)
        torch.manual_seed(seed)
        self.seed, self.rank = seed, rank
        self.model = Llama(shape)
        # Compiling takes a minute and makes a step 1.4 times faster.
        self.losses = torch.compile(answer_losses, dynamic=True)
        self.seen = 0
        self.seconds = 0.0
        named = list(self.model.named_parameters())
        # Muon's steps cost as much as a small batch: each process takes those of its matrices.
        self.matrices = [p for name, p in named if p.ndim == 2 and "embed" not in name]
        own = self.matrices[rank :: dist.get_world_size()]
        others = [p for name, p in named if p.ndim != 2 or "embed" in name]
        self.optimizers = [
            torch.optim.Muon(own, lr=plan.muon_rate, weight_decay=0.01),
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
            self.optimizers[1].load_state_dict(state["adam"])
            if (momentum := self._momentum()).exists():
                self.optimizers[0].load_state_dict(torch.load(momentum, weights_only=False))
            self.seen, self.seconds = state["seen"], state["seconds"]

    def begin_from(self, export: pathlib.Path) -> None:
        """Begin with an export's weights; layers that it has not begin as nothing.

        A token that the export's vocabulary has not begins as the mean of the tokens that the
        export spells it with.
        """
        weights = load_file(export / "model.safetensors")
        state = {name.removeprefix("model."): w.float() for name, w in weights.items()}
        old = Tokenizer.from_file(str(export / "tokenizer.json"))
        table = state.pop("embed_tokens.weight")
        for token, index in self.tokenizer.get_vocab().items():
            known = old.token_to_id(token)
            pieces = [known] if known is not None else [old.token_to_id(char) for char in token]
            with torch.no_grad():
                self.model.embed_tokens.weight[index] = table[pieces].mean(0)
        self.model.load_state_dict(state, strict=False)

    def _momentum(self) -> pathlib.Path:
        return self.folder / f"momentum-{self.rank}-of-{dist.get_world_size()}.pt"

    def save(self) -> None:
        """Write the checkpoint; a crash never leaves half of a file."""
        _write(self.optimizers[0].state_dict(), self._momentum())
        if self.rank:
            return
        state = {
            "model": self.model.state_dict(),
            "shape": dataclasses.asdict(self.model.shape),
            "adam": self.optimizers[1].state_dict(),
            "seen": self.seen,
            "seconds": self.seconds,
        }
        _write(state, self.folder / "checkpoint.pt")

    def batches(self) -> Batches:
        """Give batches of the present stage, made anew when the stage changes."""
        stage = [entry for entry in CURRICULUM if entry[0] <= self.seen][-1]
        if stage != self.stage:
            self.stage = stage
            rng = random.Random(f"{self.seed} {self.rank} {self.seen}")
            mixture = Mixture(self.tokenizer, rng, STAGES[stage[1]], stage[2])
            self._batches = Batches(mixture, self.plan.pool)
        return self._batches

    def step(self, ended: bool) -> tuple[dict[str, list[float]], bool]:
        """Take one optimizer step together with the other processes.

        Args:
            ended: This process has been asked to end.

        Returns:
            The losses of this process's answers by task (sum, count), and whether any is to end.
        """
        factor = self.plan.rate(self.seen)
        for optimizer, base in zip(self.optimizers, self.base_rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = base * factor
        batch = self.batches().next(self.plan.batch_tokens(self.seen))
        ids, rows, targets = tensors(batch)
        losses = self.losses(self.model, ids, rows, targets)
        losses.sum().backward()
        tokens = sum(len(example.ids) for example in batch)
        _, tokens, ends = self._meet(len(targets), tokens, ended)
        self.seen += tokens
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self._share()
        told: dict[str, list[float]] = collections.defaultdict(lambda: [0.0, 0.0])
        tally(batch, losses.detach(), told)
        return told, ends > 0

    def _share(self) -> None:
        """Give the other processes the matrices that this one has stepped, and take theirs."""
        count = dist.get_world_size()
        with torch.no_grad():
            flat = torch.zeros(sum(matrix.numel() for matrix in self.matrices))
            pieces = flat.split([matrix.numel() for matrix in self.matrices])
            for index in range(self.rank, len(pieces), count):
                pieces[index].copy_(self.matrices[index].flatten())
            dist.all_reduce(flat)
            for matrix, piece in zip(self.matrices, pieces, strict=True):
                matrix.copy_(piece.view_as(matrix))

    def _meet(self, *numbers: float) -> list[int]:
        """Add up gradients and numbers over the processes; divide gradients by the first number."""
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        flat = torch.cat([*(g.flatten() for g in gradients), torch.tensor(numbers).float()])
        dist.all_reduce(flat)
        sums = [round(value) for value in flat[-len(numbers) :].tolist()]
        place = 0
        for gradient in gradients:
            piece = flat[place : place + gradient.numel()]
            gradient.copy_(piece.view_as(gradient)).div_(max(sums[0], 1))
            place += gradient.numel()
        return sums


def _write(state: object, path: pathlib.Path) -> None:
    fresh = path.with_suffix(".tmp")
    torch.save(state, fresh)
    fresh.replace(path)


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


def work(rank: int, options: argparse.Namespace) -> None:
    """Train as process `rank`; the first one logs and saves."""
    torch.set_num_threads(1)
    meeting = f"file://{(options.run / 'meeting').resolve()}"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=options.processes)
    shape = Shape(num_hidden_layers=options.layers)
    trainer = Trainer(options.run, Plan(tokens=options.tokens), shape, options.seed, rank)
    if options.start and not (options.run / "checkpoint.pt").exists():
        trainer.begin_from(options.start)
    trainer.resume()
    asked: list[int] = []
    # Asked to end, all finish the step together and save.
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    log = Log(options.run / "log.jsonl", trainer)
    ended, saved, last = False, time.time(), time.time()
    while trainer.seen < options.tokens and not ended:
        told, ended = trainer.step(bool(asked))
        now = time.time()
        trainer.seconds += now - last
        last = now
        if rank == 0:
            log.add(told)
        if now - saved > 120:
            trainer.save()
            saved = now
    trainer.save()
    dist.destroy_process_group()


class Log:
    """Writes a line of losses and speed every half minute."""

    def __init__(self, path: pathlib.Path, trainer: Trainer) -> None:
        self.path = path
        self.trainer = trainer
        self._clear()

    def _clear(self) -> None:
        self.since, self.start = time.time(), self.trainer.seen
        self.told: dict[str, list[float]] = collections.defaultdict(lambda: [0.0, 0.0])

    def add(self, told: dict[str, list[float]]) -> None:
        """Add a step's losses."""
        for task, (loss, count) in told.items():
            self.told[task][0] += loss
            self.told[task][1] += count
        elapsed = time.time() - self.since
        if elapsed > 30:
            losses = {task: round(a / max(b, 1), 3) for task, (a, b) in sorted(self.told.items())}
            line = {
                "tokens": self.trainer.seen,
                "seconds": round(self.trainer.seconds),
                "speed": round((self.trainer.seen - self.start) / elapsed),
                "loss": losses,
            }
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")
            self._clear()


def main() -> None:
    """Run or resume a training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=pathlib.Path, required=True, help="folder of the run")
    parser.add_argument("--start", type=pathlib.Path, help="an export to begin from")
    parser.add_argument("--tokens", type=float, default=120e6, help="tokens in all")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--layers", type=int, default=5)
    options = parser.parse_args()
    options.run.mkdir(parents=True, exist_ok=True)
    (options.run / "meeting").unlink(missing_ok=True)
    load_or_train(options.run / "tokenizer.json", Shape().vocab_size)
    context = mp.get_context("spawn")
    others = [context.Process(target=work, args=(n, options)) for n in range(1, options.processes)]
    for other in others:
        other.start()
    work(0, options)
    for other in others:
        other.join()


if __name__ == "__main__":
    main()
