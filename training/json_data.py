# ruff: noqa: E501, SIM905 - tables of words and sentences read better unbroken
"""Skill (d): tool calls and structured output as JSON, from descriptions in the prompt."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import wordings
from agent_plans import Plans
from chat_data import SYSTEMS, capital, fact
from entities import NOUNS, Entities
from foreign_names import foreign
from formats import Message
from korean import polish
from no_tools import episode_of

JsonObject = dict[str, object]


def dump(value: object) -> str:
    """Write JSON as the model should."""
    return json.dumps(value, ensure_ascii=False)


class Tool(NamedTuple):
    """A tool: name, description, arguments (name to kind), ways to ask, the result's wording."""

    name: str
    told: str
    arguments: dict[str, str]
    asks: tuple[str, ...]
    answer: str


@dataclasses.dataclass(frozen=True)
class Language:
    """What JSON skills need of a language.

    Attributes:
        tools: Tools that are asked for in the language.
        systems: System texts.
        other: Makers of conversations for which no tool is needed.
        plans: Maker of an agent's episodes.
        fields: Fields of a record: JSON type, kind of value, sentences that tell it.
        married: Sentences for true and for false.
        labels: Labels of a text by the name of the property.
        feelings: Texts that bear a label.
        extract: Ways to ask for the data of a text.
        detail: How an argument's value is named where the tool is an invented one.
        invented: Ways to ask for an invented tool.
        results: Results of tools.
    """

    tools: tuple[Tool, ...]
    systems: Sequence[str]
    other: tuple[Callable[[random.Random], list[Message]], ...]
    plans: type[Plans]
    fields: dict[str, tuple[str, str, list[str]]]
    married: tuple[list[str], list[str]]
    labels: dict[str, list[str]]
    feelings: dict[str, list[str]]
    extract: Sequence[str]
    detail: str
    invented: Sequence[str]
    results: Sequence[str]


# Kinds of arguments are names of `argument`'s branches; JSON types follow from them.
TOOLS = (
    Tool("get_weather", "Get the weather in a city.", {"city": "place"},
         ("What is the weather in {city}?", "How is the weather in {city}?", "Is it raining in {city}?"), "The weather in {city} is {r}."),
    Tool("get_population", "Get the population of a city.", {"city": "place"},
         ("What is the population of {city}?", "How many people live in {city}?"), "{city} has {r} inhabitants."),
    Tool("get_time", "Get the time in a city.", {"city": "place"},
         ("What time is it in {city}?", "Tell me the time in {city}."), "It is {r} in {city}."),
    Tool("multiply", "Multiply two numbers.", {"a": "int", "b": "int"},
         ("What is {a} times {b}?", "Multiply {a} by {b}.", "What is {a} * {b}?"), "{a} times {b} is {r}."),
    Tool("add", "Add two numbers.", {"a": "int", "b": "int"},
         ("What is {a} plus {b}?", "Add {a} and {b}.", "What is {a} + {b}?"), "{a} plus {b} is {r}."),
    Tool("send_email", "Send an email.", {"to": "first", "message": "words"},
         ("Send an email to {to}: {message}", "Write to {to}: {message}"), "The email to {to} was sent."),
    Tool("get_stock_price", "Get the stock price of a company.", {"company": "company"},
         ("What is the stock price of {company}?", "How much is a share of {company}?"), "A share of {company} costs {r}."),
    Tool("book_table", "Book a table in a restaurant.", {"restaurant": "made_up", "people": "small"},
         ("Book a table for {people} at {restaurant}.", "Reserve a table at {restaurant} for {people}."), "Your table at {restaurant} is booked."),
    Tool("play_song", "Play a song.", {"title": "made_up", "artist": "person"},
         ("Play {title} by {artist}.", "I want to hear {title} by {artist}."), "Now playing {title}."),
    Tool("set_alarm", "Set an alarm.", {"hour": "small", "minute": "minute"},
         ("Set an alarm for {hour}:{minute}.", "Wake me at {hour}:{minute}."), "Your alarm is set."),
    Tool("find_person", "Find a person's phone number.", {"name": "person"},
         ("What is the phone number of {name}?", "Find {name}."), "The phone number of {name} is {r}."),
    Tool("translate", "Translate a text.", {"text": "words", "language": "language"},
         ("Translate to {language}: {text}", "Say in {language}: {text}"), "{r}"),
    Tool("search", "Search for people, places and facts.", {"query": "topic"},
         ("Search for {query}.", "Look up {query}.", "Find {query}."), "{r}"),
    Tool("convert", "Convert money.", {"amount": "int", "currency": "currency"},
         ("Convert {amount} dollars to {currency}.", "How much is {amount} dollars in {currency}?"), "{amount} dollars are {r} {currency}."),
    Tool("create_customer", "Create a customer with a name in any language.", {"name": "foreign", "description": "words"},
         ("Create a customer named '{name}' ({description}).", "Create a customer named '{name}': {description}", "New customer \"{name}\", {description}."), "Created {name}."),
    Tool("add_customer", "Tool for adding a customer.", {"customer_name": "foreign", "description": "words"},
         ("Add a customer named '{customer_name}' (a client) - {description}", "Add the customer '{customer_name}' - {description}"), "Added {customer_name}."),
    Tool("register_client", "Register a client.", {"client_name": "foreign", "note": "words"},
         ("Register the client '{client_name}' ({note}) now.", "A new client, '{client_name}': {note}"), "Registered {client_name}."),
    Tool("save_contact", "Save a contact.", {"name": "foreign"},
         ("Save '{name}' as a contact.", "Save the contact \"{name}\".", "Add {name} to my contacts."), "Saved {name}."),
)  # fmt: skip
TYPES = {"int": "integer", "small": "integer", "minute": "integer"}
ARGUMENTS = (
    "name number city room floor code owner day input value x _input location customer_name".split()
)
SYLLABLES = "magic test demo secret special my custom odd unicode".split()
CALLED = ("What is the value of {}? Use the tool.", "What is {}? Use the tool.", "Call {}.", "Use the tool: {}",
    "Compute {} with the tool.", "{}의 값은 얼마인가요? 도구를 사용하세요.", "{}(을/를) 호출해 주세요.")  # fmt: skip
VERBS = "open close find get start stop show count check lock order cancel track move rent buy sell".split()


def argument(entities: Entities, kind: str) -> object:
    """Give a value of an argument's kind."""
    rng = entities.rng
    match kind:
        case "int":
            return rng.randrange(10 ** rng.randint(1, 5))
        case "small":
            return rng.randint(2, 23)
        case "minute":
            return rng.randint(10, 59)
        case "words":
            return " ".join(rng.sample(entities.nouns, rng.randint(1, 4)))
        case "foreign":
            return foreign(rng) if rng.random() < 0.7 else entities.company()
        case "language":
            return rng.choice("French German Spanish Italian Korean Dutch Polish".split())
        case "currency":
            return rng.choice("euros yen won pounds francs pesos".split())
        case "topic":
            return rng.choice([entities.person(), entities.place(), entities.company()])
    return getattr(entities, kind)()


def _invented(entities: Entities, language: Language) -> Tool:
    """Give a tool with a name that is not in the list, for learning to read descriptions."""
    rng = entities.rng
    verb, noun = rng.choice(VERBS), rng.choice(NOUNS)
    called = rng.random() < 0.3  # asked as a function is called
    names = rng.sample(ARGUMENTS, rng.choice((0, 1, 1, 1, 2) if called else (1, 1, 2)))
    arguments = {
        name: rng.choice(("int", "place", "first", "made_up", "foreign")) for name in names
    }
    told = f"{verb.capitalize()} the {noun}."
    if called:
        name = rng.choice((f"{verb}_{noun}", f"{entities.rng.choice(SYLLABLES)}_function"))
        inside = ", ".join(f"{{{each}}}" for each in arguments)
        asks = tuple(ask.format(f"{name}({inside})") for ask in CALLED)
        return Tool(
            name, rng.choice((told, "Applies a function to an input.")), arguments, asks, "{r}"
        )
    detail = " and ".join(language.detail.format(name=name) for name in arguments)
    asks = tuple(
        polish(ask.format(verb=verb, noun=noun, detail=detail, Verb=verb.capitalize()))
        for ask in language.invented
    )
    return Tool(f"{verb}_{noun}", told, arguments, asks, "Done.")


def _schema(tool: Tool, rng: random.Random, style: int) -> JsonObject:
    properties: dict[str, JsonObject] = {}
    for name, kind in tool.arguments.items():
        properties[name] = {"type": TYPES.get(kind, "string")}
        if style == 2:
            properties[name]["description"] = f"The {name}."
    parameters = {"type": "object", "properties": properties, "required": list(tool.arguments)}
    function: JsonObject = {"name": tool.name, "description": tool.told, "parameters": parameters}
    return {"type": "function", "function": function} if style else function


def call(name: str, arguments: JsonObject) -> str:
    """Give a Hermes-style tool call."""
    return f"<tool_call>\n{dump({'name': name, 'arguments': arguments})}\n</tool_call>"


def tool_call(entities: Entities, language: Language) -> list[Message]:
    """Give a conversation in which one of one to four described tools is called."""
    rng = entities.rng
    pool = rng.sample(language.tools, rng.choice((1, 2, 2, 3)))
    if rng.random() < 0.4:
        pool[0] = _invented(entities, language)
    tool = pool[0]
    rng.shuffle(pool)
    style = rng.choice((0, 0, 0, 1, 1, 2))
    told = wordings.TOOLS.format(tools="\n".join(dump(_schema(each, rng, style)) for each in pool))
    if rng.random() < 0.2:
        told = f"{rng.choice(language.systems)}\n\n{told}"
    if rng.random() < 0.08:
        return [("system", told), *rng.choice(language.other)(rng)]
    values = {name: argument(entities, kind) for name, kind in tool.arguments.items()}
    asked = polish(rng.choice(tool.asks).format(**values))
    turns = [("user", asked), ("assistant", call(tool.name, values))]
    if rng.random() < 0.3:
        clock = f"{rng.randint(1, 23)}:{rng.randint(10, 59)}"
        result = rng.choice([*language.results, clock, entities.number(6), entities.made_up()])
        turns += [
            ("user", wordings.TOOL_RESPONSE.format(result=result)),
            ("assistant", polish(tool.answer.format(r=result, **values))),
        ]
    return [("system", told), *turns]


def agent_calls(entities: Entities, language: Language) -> list[Message]:
    """Give the episode of an agent with search and calculator, as tool calls."""
    rng = entities.rng
    episode = episode_of(entities, language.plans)
    search = Tool("search", "Search for people, places and facts.", {"query": "topic"}, (), "")
    calculator = Tool(
        "calculator", "Work out a calculation such as 2**0.5.", {"expression": "topic"}, (), ""
    )
    pool = [search, calculator]
    rng.shuffle(pool)
    if rng.random() < 0.3 and {use.kind for use in episode.uses} == {"search"}:
        pool = [search]
    style = rng.choice((0, 0, 1))
    told = wordings.TOOLS.format(tools="\n".join(dump(_schema(each, rng, style)) for each in pool))
    turns: list[Message] = [("system", told), ("user", episode.question)]
    for use in episode.uses:
        key = "query" if use.kind == "search" else "expression"
        turns.append(("assistant", call(use.kind, {key: use.text})))
        turns.append(("user", wordings.TOOL_RESPONSE.format(result=use.result)))
    turns.append(("assistant", episode.answer))
    # Replies before the last are trained on too: nothing is lost by telling most of it.
    done = max(rng.randrange(len(episode.uses) + 1) for _ in range(2))
    return turns[: 3 + 2 * done]


# A field of a record: (JSON type, kind of value, sentences).
FIELDS = {
    "age": ("integer", "age", ["{s} is {v} years old.", "{s} is {v}."]),
    "city": ("string", "place", ["{s} lives in {v}.", "{s} comes from {v}."]),
    "job": ("string", "job", ["{s} works as a {v}.", "{s} is a {v}."]),
    "company": ("string", "company", ["{s} works for {v}.", "{s} works at {v}."]),
    "phone": ("string", "phone", ["{s}'s phone number is {v}.", "Call {s} at {v}."]),
    "color": ("string", "color", ["{s} likes the color {v}.", "{s}'s favorite color is {v}."]),
    "year": ("integer", "year", ["{s} was born in {v}.", "{s}'s year of birth is {v}."]),
    "friend": ("string", "person", ["{s}'s friend is {v}.", "{v} is a friend of {s}."]),
    "pet": ("string", "made_up", ["{s}'s dog is called {v}.", "{s} has a cat named {v}."]),
    "score": ("integer", "score", ["{s} has {v} points.", "{s}'s score is {v}."]),
    "married": ("boolean", "bool", []),
}
LABELS = {"mood": ["happy", "sad", "angry"], "sentiment": ["positive", "negative"]}
FEELINGS = {
    "happy": [
        "I am so happy today!",
        "What a wonderful day!",
        "I love this song, I am full of joy.",
    ],
    "sad": ["I am so sad today.", "I miss my friend and I cry.", "It is a gloomy, lonely day."],
    "angry": ["I am so angry today!", "This makes me furious!", "I hate it, I am really mad."],
    "positive": [
        "This {n} is great!",
        "I love this {n}.",
        "The best {n} I ever had.",
        "I am very happy with the {n}.",
    ],
    "negative": [
        "This {n} is terrible.",
        "I hate this {n}.",
        "The worst {n} I ever had.",
        "The {n} broke at once, I want my money back.",
    ],
}


ENGLISH = Language(
    tools=TOOLS,
    systems=SYSTEMS,
    other=(fact, capital),
    plans=Plans,
    fields=FIELDS,
    married=(["{s} is married."], ["{s} is not married.", "{s} is single."]),
    labels=LABELS,
    feelings=FEELINGS,
    extract=("Extract the data: {}", "Extract the information from this text: {}"),
    detail="{name} {{{name}}}",
    invented=("{Verb} the {noun} with {detail}.", "Please {verb} the {noun} with {detail}."),
    results=("sunny", "rainy, 12 degrees", "cloudy"),
)


def _field_value(entities: Entities, kind: str) -> object:
    rng = entities.rng
    match kind:
        case "job":
            return rng.choice(entities.jobs)
        case "color":
            return rng.choice(entities.colors)
        case "bool":
            return rng.random() < 0.5
        case "score":
            return rng.randrange(10 ** rng.randint(1, 5))
        case "phone":
            return f"{rng.randint(100, 999)}-{rng.randint(1000, 9999)}"
    return getattr(entities, kind)()


def schema_of(properties: dict[str, JsonObject], title: str, rng: random.Random) -> str:
    """Write a JSON schema in one of the usual forms (pydantic's among them)."""
    if rng.random() < 0.5:
        properties = {
            key: {"title": key.capitalize(), **value} for key, value in properties.items()
        }
        return dump(
            {
                "properties": properties,
                "required": list(properties),
                "title": title,
                "type": "object",
            }
        )
    whole: JsonObject = {"type": "object", "properties": properties, "required": list(properties)}
    return dump({"title": title, **whole} if rng.random() < 0.5 else whole)


def _classify(entities: Entities, language: Language) -> tuple[str, str, str]:
    rng = entities.rng
    name, labels = rng.choice(list(language.labels.items()))
    label = rng.choice(labels)
    properties: dict[str, JsonObject] = {name: {"type": "string", "enum": labels}}
    text = polish(rng.choice(language.feelings[label]).format(n=rng.choice(entities.nouns)))
    return schema_of(properties, name.capitalize(), rng), text, dump({name: label})


def _record(entities: Entities, language: Language) -> tuple[str, str, str]:
    """Give a schema, a text and the JSON object."""
    rng = entities.rng
    person = entities.person() if rng.random() < 0.7 else entities.first()
    keys = rng.sample(list(language.fields), rng.choice((1, 2, 2, 3, 3, 4)))
    extra = [
        key
        for key in rng.sample(list(language.fields), 2)
        if key not in keys and rng.random() < 0.4 and key != "married"
    ]
    record: JsonObject = {"name": person}
    properties: dict[str, JsonObject] = {"name": {"type": "string"}}
    sentences = []
    for key in keys + extra:
        form, kind, tell = language.fields[key]
        value = _field_value(entities, kind)
        if key == "married":
            tell = language.married[0] if value else language.married[1]
        subject = person if not sentences or rng.random() < 0.4 else person.split()[0]
        sentences.append(polish(rng.choice(tell).format(s=subject, v=value)))
        if key in keys:
            record[key] = value
            properties[key] = {"type": form}
    if rng.random() < 0.5:
        rng.shuffle(sentences)
        sentences[0] = (
            sentences[0].replace(person.split()[0], person, 1)
            if person not in sentences[0]
            else sentences[0]
        )
    order = list(record)
    if rng.random() < 0.5:
        rng.shuffle(order)
    title = rng.choice(["Person", "Record", "User", "Contact"])
    schema = schema_of({key: properties[key] for key in order}, title, rng)
    return schema, " ".join(sentences), dump({key: record[key] for key in order})


def structured(entities: Entities, language: Language) -> list[Message]:
    """Give a conversation answered by a JSON object that fits a described schema."""
    rng = entities.rng
    schema, text, answer = (
        _classify(entities, language) if rng.random() < 0.12 else _record(entities, language)
    )
    told = wordings.SCHEMA.format(schema=schema)
    if rng.random() < 0.25:
        return [("user", f"{text}\n\n{told}"), ("assistant", answer)]
    if rng.random() < 0.2:
        text = rng.choice(language.extract).format(text)
    return [("system", told), ("user", text), ("assistant", answer)]
