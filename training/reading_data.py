# ruff: noqa: E501 - tables of sentences read better unbroken
"""Skill (c): answer from a given context, or "I don't know."."""

from __future__ import annotations

import dataclasses

import wordings
from entities import Entities
from formats import Message
from korean import polish

PERSON = {
    "born in": ("place", ["{s} was born in {v}.", "{s} comes from {v}."], ["Where was {s} born?", "Where does {s} come from?"]),
    "born": ("year", ["{s} was born in {v}.", "{s} came into the world in {v}."], ["When was {s} born?", "In which year was {s} born?"]),
    "age": ("age", ["{s} is {v} years old.", "{s} is {v}."], ["How old is {s}?", "What is the age of {s}?"]),
    "home": ("place", ["{s} lives in {v}.", "{s} has a house in {v}."], ["Where does {s} live?", "In which town does {s} live?"]),
    "job": ("job", ["{s} works as a {v}.", "{s} is a {v}."], ["What does {s} do?", "What is the job of {s}?", "What is {s}'s job?"]),
    "firm": ("company", ["{s} works for {v}.", "{s} is employed by {v}."], ["Who does {s} work for?", "Which company does {s} work for?"]),
    "color": ("color", ["{s}'s favorite color is {v}.", "{s} likes the color {v}."], ["What is {s}'s favorite color?", "Which color does {s} like?"]),
    "phone": ("number", ["{s}'s phone number is {v}.", "You can call {s} at {v}."], ["What is {s}'s phone number?", "What is the phone number of {s}?"]),
    "owns": ("noun", ["{s} owns a {v}.", "{s} bought a {v}."], ["What does {s} own?", "What did {s} buy?"]),
    "code": ("number", ["{s}'s code is {v}.", "The code of {s} is {v}."], ["What is {s}'s code?", "What is the code of {s}?"]),
    "kin": ("person", ["{s}'s {r} is {v}.", "The {r} of {s} is {v}."], ["Who is {s}'s {r}?", "Who is the {r} of {s}?"]),
}  # fmt: skip
PLACE = {
    "people": ("number", ["{s} has {v} inhabitants.", "The population of {s} is {v}."], ["How many people live in {s}?", "What is the population of {s}?"]),
    "mayor": ("person", ["The mayor of {s} is {v}.", "{v} is the mayor of {s}."], ["Who is the mayor of {s}?"]),
    "founded": ("year", ["{s} was founded in {v}.", "The town of {s} dates from {v}."], ["When was {s} founded?", "In which year was {s} founded?"]),
    "river": ("place", ["{s} lies on the river {v}.", "The river {v} flows through {s}."], ["Which river flows through {s}?", "On which river does {s} lie?"]),
    "known": ("noun", ["{s} is known for its {v} market.", "{s} holds a {v} market."], ["What is {s} known for?", "Which market does {s} hold?"]),
}  # fmt: skip
COMPANY = {
    "founder": ("person", ["{s} was founded by {v}.", "{v} founded {s}."], ["Who founded {s}?", "Who is the founder of {s}?"]),
    "since": ("year", ["{s} was founded in {v}.", "{s} started in {v}."], ["When was {s} founded?", "When did {s} start?"]),
    "seat": ("place", ["{s} is based in {v}.", "The head office of {s} is in {v}."], ["Where is {s} based?", "Where is the head office of {s}?"]),
    "staff": ("number", ["{s} has {v} employees.", "{v} people work at {s}."], ["How many employees does {s} have?", "How many people work at {s}?"]),
    "makes": ("noun", ["{s} makes a famous {v}.", "The main product of {s} is the {v}."], ["What does {s} make?", "What is the main product of {s}?"]),
    "chief": ("person", ["The head of {s} is {v}.", "{v} leads {s}."], ["Who is the head of {s}?", "Who leads {s}?"]),
}  # fmt: skip
OBJECT = {
    "where": ("place", ["The {s} is in {v}.", "The {s} was found in {v}."], ["Where is the {s}?", "Where was the {s} found?"]),
    "color": ("color", ["The {s} is {v}.", "The color of the {s} is {v}."], ["What color is the {s}?", "What is the color of the {s}?"]),
    "price": ("number", ["The {s} costs {v} dollars.", "The price of the {s} is {v} dollars."], ["How much does the {s} cost?", "What is the price of the {s}?"]),
    "owner": ("person", ["The {s} belongs to {v}.", "{v} owns the {s}."], ["Who owns the {s}?", "Whose is the {s}?"]),
}  # fmt: skip
LONG_WORDING = """\
Use the following pieces of context to answer the question at the end. If you don't know the answer, \
just say that you don't know, don't try to make up an answer.

{context}

Question: {question}
Helpful Answer:"""
SHORT_WORDING = "Context: {context}\n\nQuestion: {question}"
SYSTEM_WORDING = "Answer the question from the context:\n\n{context}"


Table = dict[str, tuple[str, list[str], list[str]]]
"""Facts about a thing: the kind of the value, sentences that tell it, questions that ask for it."""


@dataclasses.dataclass(frozen=True)
class Language:
    """What reading needs of a language.

    Attributes:
        kinds: Tables, and the kind of thing that each is about.
        unknown: The answer where the context does not say.
        wordings: Prompts around a context; one without a question is a system text.
        ask: What the question begins with in the first wording.
    """

    kinds: tuple[tuple[Table, str], ...]
    unknown: str
    wordings: tuple[str, ...]
    ask: str


ENGLISH = Language(
    kinds=((PERSON, "person"), (PLACE, "place"), (COMPANY, "company"), (OBJECT, "noun")),
    unknown="I don't know.",
    wordings=(*[wordings.READING] * 5, LONG_WORDING, SHORT_WORDING, SYSTEM_WORDING),
    ask="\n\nQuestion",
)


@dataclasses.dataclass(frozen=True)
class Fact:
    """A sentence of a context, and the question it answers."""

    sentence: str
    question: str
    value: str


def draw_value(entities: Entities, kind: str) -> str:
    """Give a value of a kind named in the tables above."""
    rng = entities.rng
    simple = {"color": entities.colors, "noun": entities.nouns, "job": entities.jobs}
    if kind in simple:
        return rng.choice(simple[kind])
    if kind == "number":
        return str(rng.randrange(2, 10 ** rng.randint(2, 7)))
    return str(getattr(entities, kind)())


def _keys(entities: Entities, table: Table) -> list[str]:
    return entities.rng.sample(list(table), min(entities.rng.choice((1, 2, 3, 4)), len(table)))


def _facts(entities: Entities, table: Table, subject: str, keys: list[str]) -> list[Fact]:
    rng = entities.rng
    found = []
    for key in keys:
        kind, tell, ask = table[key]
        value, relation = draw_value(entities, kind), rng.choice(entities.relations)
        fill = {"s": subject, "v": value, "r": relation}
        sentence, question = (polish(rng.choice(of).format(**fill)) for of in (tell, ask))
        found.append(Fact(sentence, question, value))
    return found


def _new_subject(entities: Entities, kind: str, subjects: set[str]) -> str:
    """Give a subject that is none of `subjects`, and add it to them."""
    while (subject := draw_value(entities, kind)) in subjects:
        pass
    subjects.add(subject)
    return subject


def questions(
    entities: Entities, language: Language, count: int
) -> tuple[str, list[tuple[str, str]]]:
    """Give a context and up to `count` pairs of question and answer, no question twice."""
    rng = entities.rng
    table, kind = rng.choice(language.kinds)
    facts: list[Fact] = []
    unknown: list[Fact] = []
    subjects: set[str] = set()
    # What is trained has the harder contexts: the same is told of each, so only the name helps.
    same = not entities.test and rng.random() < 0.5
    keys = _keys(entities, table)
    for _ in range(rng.choice((2, 3, 3, 4)) if same else rng.choice((1, 2, 2, 3, 3, 4))):
        if not same:
            if rng.random() < 0.25:
                table, kind = rng.choice(language.kinds)
            keys = _keys(entities, table)
        subject = _new_subject(entities, kind, subjects)
        drawn = _facts(entities, table, subject, keys)
        keep = len(drawn) if len(drawn) == 1 or rng.random() < 0.5 else len(drawn) - 1
        facts += drawn[:keep]
        unknown += drawn[keep:]
    if not unknown or rng.random() < 0.3:
        unknown = _facts(entities, table, _new_subject(entities, kind, subjects), keys[:1])
    known, missing = (rng.sample(each, len(each)) for each in (facts, unknown))
    pairs = []
    while (known or missing) and len(pairs) < count:
        if missing and (not known or rng.random() < 0.22):
            pairs.append((missing.pop().question, language.unknown))
        else:
            asked = known.pop()
            pairs.append((asked.question, asked.value))
    if rng.random() < 0.3:
        rng.shuffle(facts)
    glue = rng.choice([" ", " ", " ", "\n", "\n\n"])
    return glue.join(fact.sentence for fact in facts), pairs


def reading(
    entities: Entities, language: Language = ENGLISH, *, follow_ups: bool = False
) -> list[Message]:
    """Give a reading conversation, at times with more questions about the same context."""
    rng = entities.rng
    count = rng.randint(1, 4 if entities.test else 8) if follow_ups else 1
    context, pairs = questions(entities, language, count)
    wording = rng.choice(language.wordings)
    if wording is language.wordings[0] and rng.random() < 0.25:
        wording = wording.split(language.ask, 1)[0]
    turns: list[Message] = []
    for asked, answer in pairs:
        if answer == language.unknown and ENGLISH.unknown in wording:
            answer = ENGLISH.unknown  # as the prompt demands
        turns += [("user", asked), ("assistant", answer)]
    if "{question}" in wording:
        turns[0] = ("user", wording.format(context=context, question=pairs[0][0]))
    else:
        turns.insert(0, ("system", wording.format(context=context)))
    return turns
