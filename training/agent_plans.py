# ruff: noqa: E501 - tables of words and sentences read better unbroken
"""Tool-using episodes as plans: a question, the uses of tools that answer it, and the answer."""

from __future__ import annotations

import dataclasses

from arithmetic import calculate, operation, power, show
from chat_data import CAPITALS
from entities import Entities


@dataclasses.dataclass(frozen=True)
class Use:
    """One use of a tool: `kind` is "search" or "calculator"; `keys` find the result of a search."""

    thought: str
    kind: str
    text: str
    result: str
    keys: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Episode:
    """A question, how to answer it, the answer, and what a right answer must contain."""

    question: str
    uses: tuple[Use, ...]
    answer: str
    must: tuple[str, ...]


# Shares of the kinds of episodes, by the name of the method that makes them; those of training
# give more to what needs a second search, or the right one of several facts.
SHARES = {
    "relation_power": 7, "age": 1, "age_operation": 3, "relation": 2, "arithmetic": 4, "compare": 2,
    "attribute": 3, "attribute_operation": 2, "relation_attribute": 2, "nothing_found": 1,
}  # fmt: skip
TRAINED = SHARES | {"relation": 4, "compare": 6, "attribute": 5, "relation_attribute": 4}
# How often a result has 0, 1, 2 or 4 facts about others beside the one that is asked for.
NOISE, TRAINED_NOISE = (65, 25, 7, 3), (35, 30, 20, 15)


class Plans:
    """Makes episodes from one half of the entities; those for training are the harder ones."""

    known = "I know the answer."
    to_search = "I need to search for {}."
    to_calculate = "I need to calculate {}."
    age_word = "age"
    unknown = "I don't know."
    no_results = (
        "No results found.",
        "Nothing found.",
        "No good search result found.",
        "No results.",
    )

    def __init__(self, entities: Entities) -> None:
        self.entities = entities
        self.rng = entities.rng
        self.digits = 2

    def episode(self) -> Episode:
        """Give a random episode."""
        self.digits = self.rng.choice((1, 2, 2, 3, 4, 6, 10, 15))
        shares = SHARES if self.entities.test else TRAINED
        kind: str = self.rng.choices(list(shares), list(shares.values()))[0]
        made: Episode = getattr(self, kind)()
        return made

    def _search(self, thing: str, result: str, *keys: str) -> Use:
        return Use(self.to_search.format(thing), "search", thing, result, keys)

    def _calculator(self, expression: str) -> tuple[Use, str]:
        value = show(calculate(expression), self.digits)
        result = f"Answer: {value}" if self.rng.random() < 0.2 else value
        thought = self.to_calculate.format(expression)
        return Use(thought, "calculator", expression, result), value

    def _noise(self, person: str) -> str:
        e, rng = self.entities, self.rng
        job = rng.choice(self.entities.jobs)
        return rng.choice(
            [
                f"{person} was born in {e.place()}.",
                f"{person} is {'an' if job[0] in 'aeiou' else 'a'} {job}.",
                f"{person} lives in {e.place()}.",
                f"{person} was born in {e.place()} in {e.year()}.",
                f"{person} works for {e.company()}.",
            ]
        )

    def _aged(self, person: str, age: object) -> str:
        return self._is_old(person, str(age))

    def _join(self, *sentences: str) -> str:
        """Give the sentences with noise at times before or after; a bare value stays alone."""
        e, rng = self.entities, self.rng
        parts = list(sentences)
        if not parts[-1].endswith("."):
            return parts[-1]
        for _ in range(rng.choices((0, 1, 2, 4), NOISE if e.test else TRAINED_NOISE)[0]):
            other = e.person()
            noise = rng.choice([self._noise(other), self._aged(other, e.age())])
            parts.insert(rng.choice((0, len(parts))), noise)
        return " ".join(parts)

    def _relation_result(self, x: str, rel: str, y: str, age: str) -> tuple[str, bool]:
        """Tell who is whose what; and whether the result says the age too."""
        rng = self.rng
        plain, aged = self._told_relations(x, rel, y, age)
        known = rng.random() < 0.5
        core = rng.choice(aged if known else plain)
        extra = [self._noise(x)] if rng.random() < 0.3 else []
        if rng.random() < 0.15:
            extra.append(self._aged(x, self.entities.age()))
        return self._join(*extra, core), known

    def _told_relations(self, x: str, rel: str, y: str, age: str) -> tuple[list[str], list[str]]:
        """Give sentences that tell the relation, and some that tell the age as well."""
        plain = [
            f"{x}'s {rel} is {y}.",
            f"{y} is the {rel} of {x}.",
            f"The {rel} of {x} is {y}.",
            f"{y} is {x}'s {rel}.",
            y,
        ]
        aged = [
            f"{x}'s {rel} is {y}. {y} is {age} years old.",
            f"{x}'s {rel} is {y}, {age} years old.",
            f"{x}'s {rel} is {y}, aged {age}.",
            f"{y}, {age}, is the {rel} of {x}.",
            f"{y} (age {age}) is {x}'s {rel}.",
            f"{x}'s {rel} is {y} ({age} years old).",
            f"{y} is {age} years old and the {rel} of {x}.",
        ]
        return plain, aged

    def _age_use(self, y: str, age: str) -> Use:
        result = self.rng.choice(self._told_ages(y, age))
        result = self._join(*([self._noise(y)] if self.rng.random() < 0.25 else []), result)
        return self._search(self._whose(y, self.age_word), result, y, self.age_word)

    def _told_ages(self, y: str, age: str) -> list[str]:
        return [f"{y} is {age} years old."] * 4 + [f"{y} is {age}.", f"{age} years old", age, f"{y}, aged {age}.", f"Age: {age}",
            f"{y} ({age} years old) is a {self.rng.choice(self.entities.jobs)}.", f"The age of {y} is {age}."]  # fmt: skip

    def relation_power(self) -> Episode:
        """Who is X's Y? What is the age of that person raised to the 0.43 power?"""
        x, y = self.entities.people(2)
        rel, age = self.rng.choice(self.entities.relations), str(self.entities.age())
        question, pattern, after = self._power_question(x, rel)
        result, known = self._relation_result(x, rel, y, age)
        uses = [self._search(self._whose(x, rel), result, x, rel)]
        if not known:
            uses.append(self._age_use(y, age))
        use, value = self._calculator(pattern.format(age))
        answer = f"{self._is_relative(x, rel, y)} {self._comes_to(age, after, value)}"
        return Episode(question, (*uses, use), answer, (y, value))

    def age(self) -> Episode:
        """How old is X?"""
        x, age = self.entities.person(), str(self.entities.age())
        question = self.rng.choice(self._age_questions(x))
        return Episode(question, (self._age_use(x, age),), self._is_old(x, age), (age,))

    def age_operation(self) -> Episode:
        """What is the age of X multiplied by 3?"""
        x, age = self.entities.person(), str(self.entities.age())
        question, pattern, after = self._age_operation_question(x)
        use, value = self._calculator(pattern.format(age))
        answer = f"{self._is_old(x, age)} {self._comes_to(age, after, value)}"
        return Episode(question, (self._age_use(x, age), use), answer, (value,))

    def relation(self) -> Episode:
        """Who is X's wife? How old is X's wife?"""
        x, y = self.entities.people(2)
        rel, age = self.rng.choice(self.entities.relations), str(self.entities.age())
        result, known = self._relation_result(x, rel, y, age)
        uses = [self._search(self._whose(x, rel), result, x, rel)]
        answer = self._is_relative(x, rel, y)
        who, how_old = self._relation_questions(x, rel)
        if self.rng.random() < 0.5:
            return Episode(self.rng.choice(who), tuple(uses), answer, (y,))
        question = self.rng.choice(how_old)
        if not known:
            uses.append(self._age_use(y, age))
        return Episode(question, tuple(uses), f"{answer} {self._is_old(y, age)}", (y, age))

    def _whose(self, x: str, rel: str) -> str:
        return f"{x}'s {rel}"

    def _is_relative(self, x: str, rel: str, y: str) -> str:
        return f"{x}'s {rel} is {y}."

    def _is_old(self, x: str, age: str) -> str:
        return f"{x} is {age} years old."

    def _comes_to(self, number: str, after: str, value: str) -> str:
        return f"{number} {after} is {value}."

    def _power_question(self, x: str, rel: str) -> tuple[str, str, str]:
        """Give a question, the pattern of its expression, and words after a number."""
        rng = self.rng
        words, pattern, after = operation(rng)
        if rng.random() < 0.6:
            p = power(rng)
            words, pattern, after = (
                f"raised to the {p} power",
                "{}**" + p,
                f"raised to the {p} power",
            )
        whose = rng.choice(["the age of that person"] * 5 + ["the age of this person",
            "their age", "her age", "his age", "her current age", "his current age", "their current age"])  # fmt: skip
        question = rng.choice([f"Who is {x}'s {rel}? What is {whose} {words}?"] * 6
            + [f"What is the age of {x}'s {rel} {words}?", f"Who is the {rel} of {x}? What is {whose} {words}?",
               f"Who is {x}'s {rel}, and what is {whose} {words}?"])  # fmt: skip
        return question, pattern, after

    def _age_questions(self, x: str) -> list[str]:
        return [f"How old is {x}?", f"What is the age of {x}?", f"What is {x}'s age?"]

    def _age_operation_question(self, x: str) -> tuple[str, str, str]:
        """Give a question, the pattern of its expression, and words after a number."""
        words, pattern, after = operation(self.rng)
        question = self.rng.choice([f"What is the age of {x} {words}?", f"What is {x}'s age {words}?",
            f"How old is {x}? What is that age {words}?"])  # fmt: skip
        return question, pattern, after

    def _relation_questions(self, x: str, rel: str) -> tuple[list[str], list[str]]:
        """Give questions for the person, and questions for the age."""
        who = [f"Who is {x}'s {rel}?", f"Who is the {rel} of {x}?"]
        how_old = [f"How old is {x}'s {rel}?", f"What is the age of {x}'s {rel}?",
            f"Who is {x}'s {rel} and how old is that person?", f"Who is {x}'s {rel}? How old is that person?"]  # fmt: skip
        return who, how_old

    def arithmetic(self) -> Episode:
        """What is 23 times 47?"""
        rng = self.rng
        a, b = self.entities.number(5), self.entities.number(4)
        n = str(rng.randint(2, 99))
        p = power(rng)
        phrase, expression = rng.choice(
            [
                (f"{a} times {b}", f"{a}*{b}"),
                (f"{a} multiplied by {b}", f"{a}*{b}"),
                (f"{a} plus {b}", f"{a}+{b}"),
                (f"{a} minus {b}", f"{a}-{b}"),
                (f"{a} divided by {n}", f"{a}/{n}"),
                (f"{n} raised to the {p} power", f"{n}**{p}"),
                (f"{n} to the power of {p}", f"{n}**{p}"),
                (f"the square root of {a}", f"{a}**0.5"),
                (f"{n} percent of {a}", f"{a}*{n}/100"),
                (f"{n}% of {a}", f"{a}*{n}/100"),
                (f"{a} + {b}", f"{a}+{b}"),
                (f"{a} * {b}", f"{a}*{b}"),
                (f"{a} - {b}", f"{a}-{b}"),
                (f"{a} / {n}", f"{a}/{n}"),
            ]
        )
        use, value = self._calculator(expression)
        question = rng.choice(
            ["What is {}?"] * 4 + ["Calculate {}.", "How much is {}?", "What's {}?"]
        )
        answer = f"{phrase} is {value}."
        return Episode(question.format(phrase), (use,), answer[0].upper() + answer[1:], (value,))

    def compare(self) -> Episode:
        """How many years older is X than Y?"""
        x, y = self.entities.people(2)
        high, low = str(self.rng.randint(55, 99)), str(self.rng.randint(18, 54))
        if self.rng.random() < 0.5:
            question = self.rng.choice(
                [f"How many years older is {x} than {y}?", f"How much older is {x} than {y}?"]
            )
            expression, answer = f"{high}-{low}", f"{x} is {{}} years older than {y}."
        else:
            question = self.rng.choice(
                [
                    f"What is the sum of the ages of {x} and {y}?",
                    f"How old are {x} and {y} together?",
                ]
            )
            expression, answer = f"{high}+{low}", f"{x} and {y} are {{}} years old together."
        use, value = self._calculator(expression)
        uses = (self._age_use(x, high), self._age_use(y, low), use)
        return Episode(question, uses, answer.format(value), (value,))

    def _attribute(self) -> tuple[str, str, str, str, str]:
        """Give (question, search text, key, result, value) of a random thing."""
        e, rng = self.entities, self.rng
        place, company, person = e.place(), e.company(), e.person()
        noun, year, count = (
            rng.choice(self.entities.nouns),
            str(e.year()),
            str(rng.randint(100, 9999999)),
        )
        height = str(rng.randint(20, 900))
        capital = rng.choice(list(CAPITALS.items()))
        return rng.choice(
            [
                (f"What is the population of {place}?", f"population of {place}", place,
                 rng.choice([f"{place} has {count} inhabitants.", f"The population of {place} is {count}.", count]), count),
                (f"How many people live in {place}?", f"population of {place}", place,
                 rng.choice([f"{place} has a population of {count}.", f"The population of {place} is {count}."]), count),
                (f"When was {company} founded?", f"{company} founded", company,
                 rng.choice([f"{company} was founded in {year}.", f"{company} was founded in {year} by {person}."]), year),
                (f"Who founded {company}?", f"founder of {company}", company,
                 rng.choice([f"{company} was founded by {person}.", f"{person} founded {company} in {year}."]), person),
                (f"Where was {person} born?", f"{person}'s birthplace", person,
                 rng.choice([f"{person} was born in {place}.", f"{person} was born in {place} in {year}."]), place),
                (f"When was {person} born?", f"{person}'s year of birth", person,
                 rng.choice([f"{person} was born in {year}.", f"{person} was born in {place} in {year}."]), year),
                (f"Where does {person} live?", f"{person}'s home", person, f"{person} lives in {place}.", place),
                (f"Who is the mayor of {place}?", f"mayor of {place}", place,
                 rng.choice([f"The mayor of {place} is {person}.", f"{person} is the mayor of {place}."]), person),
                (f"How tall is the {place} Tower?", f"height of the {place} Tower", place,
                 rng.choice([f"The {place} Tower is {height} meters tall.", f"{height} meters"]), height),
                (f"Who invented the {noun}?", f"inventor of the {noun}", noun,
                 f"The {noun} was invented by {person}" + rng.choice([".", f" in {year}."]), person),
                (f"What is the capital of {capital[0]}?", f"capital of {capital[0]}", capital[0],
                 f"{capital[1]} is the capital of {capital[0]}.", capital[1]),
            ]
        )  # fmt: skip

    def _more(self, key: str, asked: str) -> list[str]:
        """Give other facts about the thing `key`, as an encyclopedia's entry has them.

        Args:
            key: The thing's name.
            asked: The question; a fact of its kind is left out.
        """
        e, rng = self.entities, self.rng
        job = rng.choice(self.entities.jobs)
        town = [
            ("population", f"{key} has {rng.randint(100, 9999999)} inhabitants."),
            ("mayor", f"The mayor of {key} is {e.person()}."),
            ("founded", f"{key} was founded in {e.year()}."),
            ("river", f"{key} lies on the river {e.place()}."),
        ]
        company = [
            ("seat", f"{key} is based in {e.place()}."),
            ("head", f"The head of {key} is {e.person()}."),
            ("staff", f"{key} has {rng.randint(2, 99999)} employees."),
            ("product", f"{key} makes a famous {rng.choice(self.entities.nouns)}."),
        ]
        person = [
            ("born", f"{key} was born in {e.place()}."),
            ("live", f"{key} lives in {e.place()}."),
            ("job", f"{key} is {'an' if job[0] in 'aeiou' else 'a'} {job}."),
            ("firm", f"{key} works for {e.company()}."),
            ("age", f"{key} is {e.age()} years old."),
        ]
        kinds = {"people live": town[1:], "population": town, "mayor": town, "found": company}
        kinds |= {"born": person, "live": person}
        return self._some(kinds, asked)

    def _some(self, kinds: dict[str, list[tuple[str, str]]], asked: str) -> list[str]:
        """Give some of the facts that go with a word of the question, but not what it asks for."""
        facts = next((facts for word, facts in kinds.items() if word in asked), [])
        kept = [text for names, text in facts if not any(name in asked for name in names.split())]
        return self.rng.sample(kept, min(len(kept), self.rng.choice((0, 0, 1, 1, 2, 3))))

    def _entry(self, key: str, asked: str, result: str) -> str:
        """Put the wanted fact among others about the same thing."""
        if not result.endswith("."):
            return result
        facts = [result, *self._more(key, asked)]
        self.rng.shuffle(facts)
        return self._join(*facts)

    def attribute(self) -> Episode:
        """Who founded X? When was X founded? ..."""
        question, text, key, result, value = self._attribute()
        use = self._search(text, self._entry(key, question, result), key)
        return Episode(question, (use,), f"{value}.".replace("..", "."), (value,))

    def attribute_operation(self) -> Episode:
        """What is the population of X divided by 7?"""
        place, count = self.entities.place(), str(self.rng.randint(100, 9999999))
        question, pattern, after, thing, shown = self._attribute_operation(place, count)
        use, value = self._calculator(pattern.format(count))
        uses = (self._search(thing, self._entry(place, thing, shown), place), use)
        return Episode(question, uses, self._comes_to(count, after, value), (value,))

    def _attribute_operation(self, place: str, count: str) -> tuple[str, str, str, str, str]:
        """Give (question, expression's pattern, words after a number, search text, result)."""
        words, pattern, after = operation(self.rng)
        thing, shown = self.rng.choice(
            [
                (f"population of {place}", f"The population of {place} is {count}."),
                (f"population of {place}", f"{place} has {count} inhabitants."),
                (f"height of the {place} Tower", f"The {place} Tower is {count} meters tall."),
                (f"length of the {place} River", f"The {place} River is {count} kilometers long."),
            ]
        )
        return f"What is the {thing} {words}?", pattern, after, thing, shown

    def relation_attribute(self) -> Episode:
        """Where was X's wife born?"""
        e, rng = self.entities, self.rng
        x, y = e.people(2)
        rel, place, year = rng.choice(e.relations), e.place(), str(e.year())
        question, thing, shown, value = rng.choice(self._relatives(x, rel, y, place, year))
        first = rng.choice(self._plain_relation(x, rel, y))
        uses = (
            self._search(self._whose(x, rel), first, x, rel),
            self._search(thing, self._join(shown), y),
        )
        return Episode(question, uses, self._is(value), (value,))

    def _is(self, value: str) -> str:
        return f"{value}."

    def _relatives(
        self, x: str, rel: str, y: str, place: str, year: str
    ) -> list[tuple[str, str, str, str]]:
        """Give questions about X's relative Y, what to search for, its result and the value."""
        return [
            (f"Where was {x}'s {rel} born?", f"{y}'s birthplace", f"{y} was born in {place}.", place),
            (f"When was {x}'s {rel} born?", f"{y}'s year of birth", f"{y} was born in {year}.", year),
            (f"Where does {x}'s {rel} live?", f"{y}'s home", f"{y} lives in {place}.", place),
        ]  # fmt: skip

    def _plain_relation(self, x: str, rel: str, y: str) -> list[str]:
        return [f"{x}'s {rel} is {y}.", f"{y} is the {rel} of {x}.", f"The {rel} of {x} is {y}."]

    def nothing_found(self) -> Episode:
        """A question whose search finds nothing."""
        whole = self.rng.choice((self.age, self.relation, self.attribute, self.relation_power))()
        use = dataclasses.replace(whole.uses[0], result=self.rng.choice(self.no_results))
        return Episode(whole.question, (use,), self.unknown, (self.unknown,))
