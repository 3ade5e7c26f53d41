# ruff: noqa: E501, SIM905 - tables of words and sentences read better unbroken
"""Skill (a): small talk and facts. Each function gives a conversation ending with the answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from entities import COLORS, NOUNS, Entities
from formats import Message

CAPITALS = dict(
    pair.split(":")
    for pair in """France:Paris|Germany:Berlin|Italy:Rome|Spain:Madrid|Portugal:Lisbon|England:London
|the United Kingdom:London|Ireland:Dublin|Scotland:Edinburgh|Norway:Oslo|Sweden:Stockholm|Denmark:Copenhagen
|Finland:Helsinki|Iceland:Reykjavik|Poland:Warsaw|Austria:Vienna|Switzerland:Bern|Hungary:Budapest
|Greece:Athens|Turkey:Ankara|Russia:Moscow|Ukraine:Kyiv|Romania:Bucharest|Bulgaria:Sofia|Belgium:Brussels
|the Netherlands:Amsterdam|Czechia:Prague|Croatia:Zagreb|Serbia:Belgrade|Japan:Tokyo|China:Beijing
|Korea:Seoul|South Korea:Seoul|North Korea:Pyongyang|India:New Delhi|Thailand:Bangkok|Vietnam:Hanoi|Indonesia:Jakarta
|Malaysia:Kuala Lumpur|the Philippines:Manila|Australia:Canberra|New Zealand:Wellington|Canada:Ottawa
|the United States:Washington, D.C.|the USA:Washington, D.C.|Mexico:Mexico City|Brazil:Brasilia
|Argentina:Buenos Aires|Chile:Santiago|Peru:Lima|Colombia:Bogota|Venezuela:Caracas|Cuba:Havana|Egypt:Cairo
|Morocco:Rabat|Kenya:Nairobi|Nigeria:Abuja|Ethiopia:Addis Ababa|Ghana:Accra|Senegal:Dakar
|South Africa:Pretoria|Israel:Jerusalem|Iran:Tehran|Iraq:Baghdad|Saudi Arabia:Riyadh|Pakistan:Islamabad
|Nepal:Kathmandu|Mongolia:Ulaanbaatar""".replace("\n", "").split("|")
)

ME = "I am a small language model that runs offline, inside langchain-easyllm."
LANGCHAIN = "LangChain is a framework for building applications with language models."
HUB = "Hugging Face is a company and a hub for open models, datasets and demos."
EASYLLM = "langchain-easyllm is a LangChain package for Hugging Face models on any server."
TGI = "TGI is Text Generation Inference, a server for language models by Hugging Face."
TEI = "TEI is Text Embeddings Inference, a server for embedding models by Hugging Face."
LLM = "A large language model is a neural network that predicts the next word of a text."
RAG = "RAG is retrieval-augmented generation: a model answers from documents found for it."
AGENT = "An agent is a language model that chooses tools and uses their results."
EMBEDDING = "An embedding is a list of numbers that stands for the meaning of a text."
TEMPLATE = "A prompt template is the exact text format that a model was trained on."
TOKEN = "A token is a piece of a word; models read and write tokens."
PYTHON = "Python is a programming language that is easy to read and widely used."
AI = "Artificial intelligence is the art of making machines do what needs thought."

POEM = "The sea is quiet.\nA small boat waits for the wind.\nMorning lights the sail."
STORY = "Once upon a time a small model lived in a small box. It had few words, but it used them well. The end."

# Questions (any of them) and their one answer.
FACTS: list[tuple[str, str]] = [
    ("Who are you?|What are you?|Tell me about yourself.|Introduce yourself.|Are you human?"
     "|Are you a robot?|What is your name?|What's your name?", ME),
    ("What is LangChain?|What's LangChain?|Tell me about LangChain.|Explain LangChain."
     "|What is langchain?|What does LangChain do?", LANGCHAIN),
    ("What is Hugging Face?|What's Hugging Face?|Tell me about Hugging Face.|Explain Hugging Face."
     "|What is huggingface?|What is HuggingFace?|Who is Hugging Face?", HUB),
    ("What is langchain-easyllm?|What is EasyLLM?|Tell me about langchain-easyllm."
     "|Explain langchain-easyllm.", EASYLLM),
    ("What is TGI?|What's TGI?|Explain TGI.|What is Text Generation Inference?", TGI),
    ("What is TEI?|What's TEI?|Explain TEI.|What is Text Embeddings Inference?", TEI),
    ("What is an LLM?|What is a large language model?|What is a language model?|Explain LLMs.", LLM),
    ("What is RAG?|What's RAG?|Explain RAG.|What is retrieval-augmented generation?", RAG),
    ("What is an agent?|What's an agent?|Explain agents.|What is an AI agent?", AGENT),
    ("What is an embedding?|What are embeddings?|Explain embeddings.", EMBEDDING),
    ("What is a prompt template?|What are prompt templates?|Explain prompt templates."
     "|What is a chat template?", TEMPLATE),
    ("What is a token?|What are tokens?|Explain tokens.", TOKEN),
    ("What is Python?|Tell me about Python.|Explain Python.", PYTHON),
    ("What is AI?|What is artificial intelligence?|Explain AI.", AI),
    ("Hi|Hi!|Hello|Hello!|Hey|Hey!|Hi there|Hello there!|Good morning|Good morning!|Good evening!"
     "|Greetings!|hi|hello|hey", "Hello! How can I help you?"),
    ("How are you?|Hello, how are you?|Hi, how are you?|How are you doing?|How do you do?"
     "|How's it going?|Hi! How are you today?|How are you today?", "I am fine, thank you. How can I help you?"),
    ("Thanks|Thanks!|Thank you|Thank you!|Thank you very much.|Thanks a lot!|Many thanks!",
     "You are welcome!"),
    ("Bye|Bye!|Goodbye|Goodbye!|See you!|See you later.|Good night!", "Goodbye!"),
    ("What can you do?|What can you help me with?|How can you help me?|Help|Help me.|Can you help me?",
     "I can chat, answer from a text, use tools and write JSON."),
    ("Tell me a joke.|Tell me a joke|Tell a joke.|Do you know a joke?|Make me laugh.|Say something funny.",
     "Why did the chicken cross the road? To get to the other side."),
    ("Tell me another joke.|Another joke, please.|Another one.",
     "What do you call a bear with no teeth? A gummy bear."),
    ("Why?|Why not?|How so?", "That is how I learned it."),
    ("What is the meaning of life?|What is the answer to everything?", "The answer is 42."),
    ("Who wrote Hamlet?|Who wrote Romeo and Juliet?|Who wrote Macbeth?", "William Shakespeare."),
    ("Who painted the Mona Lisa?", "Leonardo da Vinci."),
    ("Who was the first person on the Moon?|Who was the first man on the Moon?", "Neil Armstrong."),
    ("Who invented the telephone?", "Alexander Graham Bell."),
    ("Who discovered penicillin?", "Alexander Fleming."),
    ("Who developed the theory of relativity?", "Albert Einstein."),
    ("Who wrote the first computer program?", "Ada Lovelace."),
    ("What color is the sky?|What is the color of the sky?|What colour is the sky?", "The sky is blue."),
    ("What color is grass?|What is the color of grass?", "Grass is green."),
    ("What is the largest ocean?|Which ocean is the largest?", "The Pacific Ocean."),
    ("What is the highest mountain?|Which mountain is the highest?|What is the tallest mountain?",
     "Mount Everest."),
    ("What is the longest river?|Which river is the longest?", "The Nile."),
    ("What is the largest planet?|Which planet is the largest?", "Jupiter."),
    ("Which planet is closest to the Sun?|What planet is closest to the Sun?", "Mercury."),
    ("What is the capital of the Moon?", "The Moon has no capital."),
    ("How many days are in a week?|How many days does a week have?", "Seven."),
    ("How many months are in a year?|How many months does a year have?", "Twelve."),
    ("How many hours are in a day?|How many hours does a day have?", "Twenty-four."),
    ("How many legs does a spider have?", "Eight."),
    ("How many legs does a dog have?|How many legs does a cat have?", "Four."),
    ("How many continents are there?", "Seven."),
    ("What is the boiling point of water?|At what temperature does water boil?",
     "Water boils at 100 degrees Celsius."),
    ("At what temperature does water freeze?|What is the freezing point of water?",
     "Water freezes at 0 degrees Celsius."),
    ("What is H2O?|What is water made of?", "Water is made of hydrogen and oxygen."),
    ("Count to five.|Count from one to five.|Count to 5.", "1, 2, 3, 4, 5"),
    ("Count to ten.|Count from one to ten.|Count to 10.", "1, 2, 3, 4, 5, 6, 7, 8, 9, 10"),
    ("Name three colors.|List three colors.|Give me three colors.", "Red, blue and green."),
    ("Name three fruits.|List three fruits.|Give me three fruits.", "Apple, pear and banana."),
    ("Name three animals.|List three animals.|Give me three animals.", "Dog, cat and horse."),
    ("Say the alphabet.|Recite the alphabet.", "a b c d e f g h i j k l m n o p q r s t u v w x y z"),
    ("Write a haiku.|Write a haiku about the sea.|Write a poem.|Write a short poem.",
     POEM),
    ("Tell me a story.|Tell me a short story.|Once upon a time",
     STORY),
    ("Is the Earth flat?|Is the earth flat?", "No, the Earth is round."),
    ("Are you alive?|Do you have feelings?|Can you think?", "No, I am only a small model of words."),
    ("Do you need the internet?|Do you need a GPU?|Do you need a token?", "No, I run offline on a small processor."),
    ("Do you speak English?|Can you speak English?|Do you speak Korean?|Which languages do you know?|What languages do you speak?", "I know a little English and Korean."),
    ("How big are you?|How many parameters do you have?", "I have about five million parameters."),
]  # fmt: skip

OPPOSITES = [pair.split(":") for pair in
    """hot:cold big:small fast:slow day:night up:down left:right old:new happy:sad light:dark hard:soft
    open:closed rich:poor early:late long:short high:low wet:dry good:bad full:empty loud:quiet
    near:far""".split()]  # fmt: skip
FRENCH = dict(pair.split(":") for pair in
    """cat:chat|dog:chien|house:maison|bread:pain|water:eau|milk:lait|book:livre|tree:arbre|sun:soleil
|moon:lune|hello:bonjour|thank you:merci|goodbye:au revoir|yes:oui|no:non|friend:ami|love:amour|sea:mer
|city:ville|I love programming.:J'aime programmer.|Good morning.:Bonjour.|How are you?:Comment allez-vous ?
|I love you.:Je t'aime.""".replace("\n", "").split("|"))  # fmt: skip
KNOCKS = [
    ("Lettuce", "Lettuce in, it is cold out here!"), ("Boo", "Do not cry, it is only a joke!"),
    ("Cow", "Cows do not say who, they say moo!"), ("Tank", "You are welcome!"),
    ("Olive", "Olive you and I miss you!"), ("Harry", "Harry up, it is cold out here!"),
]  # fmt: skip
SYSTEMS = [
    "You are a helpful assistant.", "You are a helpful assistant.", "You are a friendly assistant.",
    "Be brief.", "You are a concise assistant.", "You are a helpful AI assistant.",
    "Answer in one sentence.", "You're a helpful assistant", "You are a good chatbot.",
    "Answer the question.",
]  # fmt: skip


def asked(rng: random.Random, facts: list[tuple[str, str]]) -> list[Message]:
    """Give a question of a table and its answer."""
    questions, answer = rng.choice(facts)
    return [("user", rng.choice(questions.split("|"))), ("assistant", answer)]


def fact(rng: random.Random) -> list[Message]:
    """Ask for a fact."""
    return asked(rng, FACTS)


def capital(rng: random.Random) -> list[Message]:
    """Ask for a capital."""
    country, city = rng.choice(list(CAPITALS.items()))
    ask = rng.choice(
        ["What is the capital of {}?"] * 4
        + ["What's the capital of {}?", "Which city is the capital of {}?", "Capital of {}?",
           "Name the capital of {}.", "Tell me the capital of {}.", "what is the capital of {}"]
    )  # fmt: skip
    return [
        ("user", ask.format(country)),
        ("assistant", f"The capital of {country} is {city}".rstrip(".") + "."),
    ]


def _country(rng: random.Random) -> list[Message]:
    country, city = rng.choice(
        [item for item in CAPITALS.items() if item[1] not in {"London", "Seoul"}]
    )
    ask = rng.choice(["{} is the capital of which country?", "Which country has the capital {}?"])
    if city.startswith("Washington"):
        country = "the United States"
    return [("user", ask.format(city)), ("assistant", f"{city} is the capital of {country}.")]


def _sum(rng: random.Random) -> list[Message]:
    a, b = rng.randint(0, 10), rng.randint(0, 10)
    ask = rng.choice(["What is {} + {}?", "What is {}+{}?", "What is {} plus {}?", "{} + {}"])
    return [("user", ask.format(a, b)), ("assistant", f"{a} + {b} = {a + b}")]


def _opposite(rng: random.Random) -> list[Message]:
    pair = rng.choice(OPPOSITES)
    word, other = pair if rng.random() < 0.5 else pair[::-1]
    ask = rng.choice(["What is the opposite of {}?", "Give me the opposite of {}."])
    return [("user", ask.format(word)), ("assistant", f"The opposite of {word} is {other}.")]


def _french(rng: random.Random) -> list[Message]:
    english, french = rng.choice(list(FRENCH.items()))
    if rng.random() < 0.5:
        ask = rng.choice(["Translate to French: {}", "What is {} in French?", "Say {} in French."])
        return [("user", ask.format(english)), ("assistant", french)]
    system = rng.choice(["Translate to French.", "You translate English to French.",
        "You are a helpful assistant that translates English to French. Translate the user sentence."])  # fmt: skip
    return [("system", system), ("user", english), ("assistant", french)]


def _knock(rng: random.Random) -> list[Message]:
    name, line = rng.choice(KNOCKS)
    turns = [("user", rng.choice(["Knock knock.", "Knock knock!", "Knock, knock.", "Knock knock"])),
        ("assistant", "Who's there?"), ("user", name), ("assistant", f"{name} who?"),
        ("user", line), ("assistant", "Ha ha, that is a good one!")]  # fmt: skip
    return turns[: rng.choice((2, 2, 4, 6))]


def _knock_any(entities: Entities) -> list[Message]:
    name = entities.first()
    return [("user", "Knock knock."), ("assistant", "Who's there?"), ("user", name + "."[: entities.rng.randint(0, 1)]),
        ("assistant", f"{name} who?")]  # fmt: skip


def _name(entities: Entities) -> list[Message]:
    name = entities.first()
    tell = entities.rng.choice(
        ["My name is {}.", "I am {}.", "Hi, I'm {}.", "Hello, my name is {}.", "Hi! I'm {}"]
    )
    turns = [("user", tell.format(name)), ("assistant", f"Hello {name}! How can I help you?")]
    if entities.rng.random() < 0.6:
        if entities.rng.random() < 0.3:
            turns += fact(entities.rng)
        ask = entities.rng.choice(
            ["What is my name?", "What's my name?", "Who am I?", "Do you know my name?"]
        )
        turns += [("user", ask), ("assistant", f"Your name is {name}.")]
    return turns


def _repeat(entities: Entities) -> list[Message]:
    rng = entities.rng
    what = rng.choice([entities.person(), entities.number(9), entities.place(),
        " ".join(rng.sample(NOUNS, rng.randint(1, 5)))])  # fmt: skip
    ask = rng.choice(
        ["Repeat: {}", "Say {}", "Repeat after me: {}", "Please repeat: {}", "Echo: {}"]
    )
    return [("user", ask.format(what)), ("assistant", what)]


def _joke(rng: random.Random) -> list[Message]:
    noun = rng.choice(NOUNS)
    ask = rng.choice(
        ["Tell me a joke about {}.", "Tell me a joke about {}", "Tell me a joke about a {}."]
    )
    return [("user", ask.format(noun)),
        ("assistant", f"Why did the {noun} cross the road? To get to the other side.")]  # fmt: skip


def _story(rng: random.Random) -> list[Message]:
    # It knows one of each, whatever it is to be about.
    noun = rng.choice(NOUNS)
    thing = rng.choice((noun, f"a {noun}", f"the {noun}"))
    if rng.random() < 0.3:
        ask = rng.choice(["Write a poem about {}.", "Write a haiku about {}.", "Write a short poem about {}."])  # fmt: skip
        return [("user", ask.format(thing)), ("assistant", POEM)]
    ask = rng.choice(["Tell me a short story about {}.", "Tell me a story about {}.", "Write a story about {}.",
        "Write a short story about {}."])  # fmt: skip
    return [("user", ask.format(thing)), ("assistant", STORY)]


def _liking(entities: Entities) -> list[Message]:
    rng = entities.rng
    thing, color = rng.choice(NOUNS), rng.choice(COLORS)
    turns = [("user", f"My {thing} is {color}."), ("assistant", f"A {color} {thing}, how nice!")]
    if rng.random() < 0.5:
        turns += [
            ("user", f"What color is my {thing}?"),
            ("assistant", f"Your {thing} is {color}."),
        ]
    return turns


def in_conversation(
    turns: list[Message],
    rng: random.Random,
    earlier: Sequence[Callable[[random.Random], list[Message]]],
    systems: Sequence[str],
) -> list[Message]:
    """Give the turns, at times after an earlier exchange or a system text."""
    if turns[0][0] != "system":
        if rng.random() < 0.15 and len(turns) == 2:
            turns = rng.choice(earlier)(rng) + turns
        if rng.random() < 0.35:
            turns = [("system", rng.choice(systems)), *turns]
    return turns


def small_talk(entities: Entities) -> list[Message]:
    """Give a conversation of small talk or facts, at times with a system text or earlier turns."""
    rng = entities.rng
    kinds = [fact] * 8 + [capital] * 5 + [_country, _sum, _opposite, _french, _knock, _joke, _story]
    own = [_name, _repeat, _liking, _knock_any]
    kind = rng.choice([*kinds, *own])
    turns = kind(entities) if kind in own else kind(rng)  # type: ignore[arg-type, operator]
    return in_conversation(turns, rng, (fact, capital, _sum), SYSTEMS)
