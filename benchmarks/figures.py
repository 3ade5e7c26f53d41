"""The table of figures: what each measures, on which targets, how often, and what is to be reached.

`reps` repetitions make a round of one target; a figure has `rounds` rounds, in which the targets
take turns. A `Rule` turns the medians of one run into the number that is to be reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from . import agents as a
from . import embedding as e
from . import scenarios as s

MODELS = ("ours", "huggingface", "openai", "raw", "floor")
PEERS = ("huggingface", "openai")
RENDERERS = ("ours", "jinja", "transformers")
Medians = dict[str, float]


@dataclass(frozen=True)
class Rule:
    """What is to be reached: nothing, unless a subclass says so."""

    in_seconds = False

    def reached(self, medians: Medians) -> float | None:
        """Return the number that this run reached, or None where it cannot be had."""
        return None

    def holds(self, reached: float, medians: Medians) -> bool:
        """Say whether `reached` is enough."""
        return True

    def wanted(self, medians: Medians) -> str:
        """Return what is to be reached, for the table."""
        return "-"


@dataclass(frozen=True)
class Faster(Rule):
    """The best of `peers` takes at least `times` as long as ours; `less` is taken from both.

    Where `within` is set, ours must also take no more than so many times what `raw` takes.
    """

    times: float
    peers: tuple[str, ...] = PEERS
    less: str | None = None
    within: float | None = None

    def reached(self, medians: Medians) -> float | None:
        peers = [medians[name] for name in self.peers if name in medians]
        if "ours" not in medians or not peers or (self.less and self.less not in medians):
            return None
        base = medians[self.less] if self.less else 0.0
        return (min(peers) - base) / max(medians["ours"] - base, 1e-9)

    def holds(self, reached: float, medians: Medians) -> bool:
        near = self.within is None or medians["ours"] <= self.within * medians.get("raw", inf)
        return reached >= self.times and near

    def wanted(self, medians: Medians) -> str:
        return f">= {self.times:g} x" + (f", {self.within:g} raw" if self.within else "")


@dataclass(frozen=True)
class Below(Rule):
    """Ours is at most `limit` seconds."""

    limit: float
    in_seconds = True

    def reached(self, medians: Medians) -> float | None:
        return medians.get("ours")

    def holds(self, reached: float, medians: Medians) -> bool:
        return reached <= self.limit

    def wanted(self, medians: Medians) -> str:
        return f"<= {self.limit * 1e3:g} ms"


@dataclass(frozen=True)
class Constant(Rule):
    """Ours, a growth, stays below `limit`; what is above one is room for what buffers hold."""

    limit: float

    def reached(self, medians: Medians) -> float | None:
        return medians.get("ours")

    def holds(self, reached: float, medians: Medians) -> bool:
        return reached <= self.limit

    def wanted(self, medians: Medians) -> str:
        return f"<= {self.limit:g}"


@dataclass(frozen=True)
class NoMoreThan(Rule):
    """Ours is at most `times` what `target` has; 5 % are for noise."""

    target: str
    times: float = 1.05

    def reached(self, medians: Medians) -> float | None:
        if "ours" not in medians or self.target not in medians:
            return None
        return medians["ours"] / medians[self.target]

    def holds(self, reached: float, medians: Medians) -> bool:
        return reached <= self.times

    def wanted(self, medians: Medians) -> str:
        return f"<= {self.times:g} of {self.target}"


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Args:
        name: The name for `--only`.
        label: What it is, in words.
        scenario: What is run.
        rule: What is to be reached.
        targets: Who takes part.
        reps: Repetitions in a round.
        rounds: Rounds of all targets.
        unit: Of the values: seconds, bytes, or none.
    """

    name: str
    label: str
    scenario: s.Scenario
    rule: Rule = Rule()
    targets: tuple[str, ...] = MODELS
    reps: int = 5
    rounds: int = 7
    unit: str = "s"


IO = ("ours", "huggingface", "openai", "raw")
LANGCHAIN = ("ours", "huggingface", "openai")
WAIT = ", server latency 20 ms"
LOADS = (1, 10, 100, 1_000)
"""How many calls are open at once."""

FIGURES = (
    Figure("chat_stream", "500-token chat stream", s.stream("chat", 500), Faster(9)),
    Figure("achat_stream", "500-token chat astream", s.astream("chat", 500), Faster(9)),
    Figure("llm_stream", "500-token LLM stream", s.stream("llm", 500), Faster(8.5)),
    Figure("allm_stream", "500-token LLM astream", s.astream("llm", 500), Faster(8.5)),
    Figure("chat_invoke", "chat invoke", s.invoke("chat"), Faster(4), reps=60),
    Figure("llm_invoke", "LLM invoke", s.invoke("llm"), Faster(4), reps=60),
    Figure("chat_ainvoke", "chat ainvoke", s.ainvoke("chat"), Faster(3.8), reps=60),
    Figure("llm_ainvoke", "LLM ainvoke", s.ainvoke("llm"), reps=60),
    Figure(
        "ainvoke_1000",
        "1,000 chat ainvoke at once",
        s.ainvoke_at_once("chat", 1000),
        Faster(4),
        reps=1,
        rounds=5,
    ),
    Figure(
        "llm_ainvoke_1000",
        "1,000 LLM ainvoke at once",
        s.ainvoke_at_once("llm", 1000),
        reps=1,
        rounds=3,
    ),
    Figure(
        "astream_100x200",
        "100 chat astream of 200 tokens at once",
        s.astream_at_once("chat", 100, 200),
        Faster(7.5),
        reps=1,
        rounds=5,
    ),
    Figure(
        "batch_chat",
        "batch of 200 chat, server latency 50 ms",
        s.batch("chat", 200),
        Faster(4.5),
        targets=IO,
        reps=1,
        rounds=5,
    ),
    Figure(
        "batch_chain",
        "batch of 200 prompt | chat, server latency 50 ms",
        s.batch("chat", 200, chain=True),
        Faster(4.5),
        targets=LANGCHAIN,
        reps=1,
        rounds=5,
    ),
    *(
        Figure(
            f"load_{count}",
            f"{count:,} chat ainvoke at once, server latency 50 ms",
            s.ainvoke_at_once("chat", count, variant="wait50"),
            targets=IO,
            reps=1 if count == 1_000 else 3,
            rounds=5,
        )
        for count in LOADS
    ),
    Figure(
        "agent_40",
        "a step of create_agent with 40 tools",
        a.agent(40),
        targets=("ours", "huggingface", "openai", "floor"),
        reps=8,
    ),
    # `OpenAI` puts 20 prompts into one request, which no other server wire knows: shown, not raced.
    Figure(
        "batch_llm",
        "batch of 200 LLM, server latency 50 ms",
        s.batch("llm", 200),
        Faster(25, peers=("huggingface",)),
        targets=IO,
        reps=1,
        rounds=3,
    ),
    Figure(
        "batch_llm_chain",
        "batch of 200 prompt | LLM, server latency 50 ms",
        s.batch("llm", 200, chain=True),
        targets=("ours",),
        reps=1,
        rounds=3,
    ),
    Figure(
        "first_piece",
        "first piece of a chat stream (added: less raw)",
        s.first_piece("chat"),
        Faster(2.5, less="raw"),
        reps=15,
        targets=IO,
    ),
    Figure(
        "afirst_piece",
        "first piece of a chat astream (added: less raw)",
        s.afirst_piece("chat"),
        Faster(3, less="raw"),
        reps=15,
        targets=IO,
    ),
    Figure(
        "growth_chat",
        "20,000 chat tokens with four stops over 2,000",
        s.growth(s.stream, "chat"),
        NoMoreThan("floor"),
        reps=1,
        rounds=3,
        unit="",
    ),
    Figure(
        "agrowth_chat",
        "the same, astream",
        s.growth(s.astream, "chat"),
        NoMoreThan("floor"),
        reps=1,
        rounds=3,
        unit="",
    ),
    Figure(
        "growth_llm",
        "20,000 LLM tokens with four stops over 2,000",
        s.growth(s.stream, "llm"),
        NoMoreThan("floor"),
        reps=1,
        rounds=3,
        unit="",
    ),
    *(
        Figure(
            f"peak_{hook}{kind}",
            f"peak memory of one {hook}stream of 20,000 {kind} tokens",
            scenario(kind, 20_000),
            targets=LANGCHAIN,
            reps=1,
            rounds=1,
            unit="B",
        )
        for kind in ("chat", "llm")
        for hook, scenario in (("", s.peak_memory), ("a", s.apeak_memory))
    ),
    *(
        Figure(
            f"peak_growth_{hook}{kind}",
            f"the same over that of 2,000 tokens ({hook}stream, {kind})",
            s.memory_growth(scenario, kind),
            # TGI's last event repeats the whole text: 100 KB at once that no client can avoid.
            Constant(1.5 if kind == "chat" else 4),
            targets=LANGCHAIN,
            reps=1,
            rounds=1,
            unit="",
        )
        for kind in ("chat", "llm")
        for hook, scenario in (("", s.peak_memory), ("a", s.apeak_memory))
    ),
    *(
        Figure(
            f"open_{kind}",
            f"memory that one open {kind} stream holds",
            s.open_memory(kind),
            targets=LANGCHAIN,
            reps=1,
            rounds=1,
            unit="B",
        )
        for kind in ("chat", "llm")
    ),
    Figure(
        "import",
        "import, beyond langchain-core's modules (floor: these)",
        s.importing,
        Below(0.040),
        targets=("ours", "huggingface", "openai", "floor"),
        reps=1,
        rounds=9,
    ),
    *(
        Figure(
            f"construct_{kind}",
            f"construction of the {kind} model, after the first",
            s.construct(kind),
            Below(60e-6),
            targets=LANGCHAIN,
            reps=100,
            rounds=5,
        )
        for kind in ("chat", "llm")
    ),
    *(
        Figure(
            f"render_{name}",
            f"200 messages (20 KB) as {name}",
            s.render_conversation(name),
            Faster(times, peers=("transformers",)),
            targets=RENDERERS,
            reps=40,
        )
        for name, times in (("llama2", 15), ("zephyr", 6), ("phi-3", 1.4))
    ),
    *(
        Figure(
            f"hostile_{name}",
            f"1 MB of hostile text as {name}",
            s.render_hostile(name),
            Below(0.015),
            targets=("ours",),
            reps=5,
            rounds=3,
        )
        for name in ("llama2", "zephyr", "phi-3")
    ),
    *(
        Figure(
            f"embed_{count}_{variant}",
            f"{count} texts, vectors of {variant.replace('wait20', WAIT)}",
            e.embed(variant, count),
            Faster(times, within=1.2),
            targets=(*IO, "floor"),
            reps=3 if count < 20_000 else 1,
            rounds=5 if count < 20_000 else 2,
        )
        for variant, count, times in (
            ("384", 2048, 3.5),
            ("384wait20", 2048, 2.6),
            ("1024", 2048, 2),
            ("384", 20_000, 3.4),
            ("1024wait20", 20_000, 5),
        )
    ),
    *(
        Figure(
            f"aembed_2048_{variant}",
            f"aembed_documents of 2048 texts, vectors of {variant.replace('wait20', WAIT)}",
            e.aembed(variant, 2048),
            NoMoreThan("raw", 1.2),
            targets=("ours", "openai", "raw"),
            reps=3,
        )
        for variant in ("384", "384wait20")
    ),
    *(
        Figure(
            f"array_{count}_{variant}",
            f"{count} texts as one numpy array",
            e.embed(variant, count, "embed_documents_array"),
            NoMoreThan("raw", 1.2),
            targets=("ours", "raw"),
            reps=3,
        )
        for variant, count in (("384", 2048), ("384", 20_000))
    ),
    Figure(
        "peak_embed",
        "peak memory of 20,000 texts, vectors of 384",
        e.peak("384", 20_000),
        NoMoreThan("raw", 1.15),
        targets=("ours", "raw"),
        reps=1,
        rounds=1,
        unit="B",
    ),
    *(
        Figure(
            f"peak_array{name}",
            f"peak memory of 20,000 texts over that of their array, {words}",
            e.peak_of_array("384", 20_000, asynchronous=bool(name)),
            Constant(1.3),
            targets=("ours",),
            reps=1,
            rounds=1,
            unit="",
        )
        for name, words in (("", "sync"), ("_async", "async"))
    ),
    Figure(
        "growth_iter",
        "peak memory of iter_embeddings for 100,000 texts over that for 20,000",
        e.peak_growth("384", 100_000, 20_000),
        Constant(1.2),
        targets=("ours",),
        reps=1,
        rounds=1,
        unit="",
    ),
)
