# ruff: noqa: E501, SIM905 - tables of words and sentences read better unbroken
"""Names, places and numbers for the generators, in two disjoint halves: training and held out.

Every name falls in one half by a hash of its spelling, so that no held-out name is ever trained on.
"""

from __future__ import annotations

import random
import zlib

FIRST = """Ada Adam Agnes Aisha Alan Albert Alice Alma Amara Amir Amy Ana Anders Andre Anita Anna Anton
Arda Ari Arjun Arthur Astrid Ayla Beatriz Bella Ben Bianca Boris Brian Bruno Camila Carl Carla Carmen
Cecilia Chloe Clara Colin Cora Dana Daniel Daria David Dean Diana Diego Dora Edgar Edith Elena Eli Elif
Elisa Emil Emma Enzo Erik Esther Eva Farah Felix Fiona Flora Frank Frida Gary George Gina Gloria Grace
Greta Hana Hannah Harry Hassan Helen Henry Hugo Ian Ida Igor Ines Ingrid Iris Isaac Ivan Ivy Jack Jane
Jared Jean Jin Joan Joao Joel John Jonas Jose Julia June Kai Karim Karl Kate Keiko Kevin Kim Kofi Lara
Laura Lea Leila Lena Leo Leon Leonardo Liam Lily Lina Linda Lisa Lola Louis Luca Lucia Luis Luna Maja
Malik Mara Marco Maria Marie Marta Mary Mateo Max Maya Mei Mia Mila Milan Mina Mira Mona Nadia Naomi Nina
Noah Nora Olaf Olga Oliver Omar Oscar Otto Pablo Paul Paula Pavel Pedro Petra Priya Rafael Ravi Rita
Robert Rosa Ruth Sally Sam Samir Sara Selma Sofia Sonia Stefan Stella Sven Tara Theo Thomas Tina Tom
Uma Vera Victor Vittoria Wendy Yara Yuki Yusuf Zara Zoe""".split()

LAST = """Abbott Adams Ahmed Allen Almeida Alvarez Andersen Baker Barros Bauer Becker Bell Bennett Berg
Bianchi Black Blanc Blake Bloom Bond Borg Brandt Brown Bruno Burke Byrne Carter Castro Ceretti Chan Chen
Clarke Cohen Cole Conti Cooper Costa Cruz Curie Dahl Davis Diaz DiCaprio Dubois Duncan Edwards Eriksen
Evans Farrell Ferrari Fischer Fleming Flores Ford Foster Fox Fraser Garcia Gibson Gomez Gray Greco Green
Haas Hall Hansen Hart Hayes Hill Hoffman Holm Hughes Hunt Ito Ivanov Jackson Jansen Jensen Jones Jordan
Kaya Keller Kelly Khan Kim King Klein Koch Kumar Lang Larsen Laurent Lee Leroy Levy Lewis Lind Lopez
Lovelace Lund Mancini Marino Martin Mason Mehta Mendes Meyer Miller Mohr Moore Morel Morgan Moretti Mori
Muller Murphy Nagy Nakamura Neumann Newton Nguyen Nilsen Novak Olsen Ortiz Owens Page Park Parker Patel
Perez Petrov Price Quinn Ramos Reed Reyes Ricci Rivera Roberts Rossi Roux Ruiz Russo Sanchez Santos
Sato Schmidt Scott Sharma Shaw Silva Singh Smith Sokolov Stone Suzuki Tanaka Taylor Thomas Torres Turner
Vega Vidal Vogel Wagner Walker Wang Ward Weber West White Wilde Wilson Wolf Wong Wood Wright Yamada Young
Yilmaz Zhang Ziegler""".split()

ONSETS = "b br c ch cr d dr f fl g gr h j k kr l m n p pr qu r s sh sk st t th tr v w z".split()
NUCLEI = "a e i o u ai ea ei ia io ou".split()
CODAS = [
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "l",
    "n",
    "r",
    "s",
    "m",
    "nd",
    "rk",
    "th",
    "x",
    "ll",
    "st",
]

# Words of prompts that names may begin with, as "Young" begins with "You": to the tokenizer a
# name's first piece is then a common word.
WORDS = """You The What How Who When Where In An Is It To Use For Com No Not One All On At Be Can Do Go
He Her His Its Let My New Or Out So Than That This We With Act Ans Ob Fin Tho Quest Not Any By If Are""".split()

STREETS = "Street Road Lane Avenue Square".split()
NOUNS = """apple ball bell bicycle book boat bottle box bread brush camera candle carpet chair clock cloud
coat coin cup door drum engine feather fence flag flower fork fox garden glass guitar hammer harbor hat
horse house jacket kettle key knife ladder lamp leaf lemon letter map mirror mountain needle onion paper
pear pencil piano pillow plate pocket pond radio river road rocket roof rope saddle salt school ship shoe
silver snow soap spoon star stone table teapot ticket tiger tower train tree truck violin wagon wall
watch whale wheel window wolf""".split()
COLORS = "red blue green yellow black white orange purple brown grey pink".split()


def held_out(word: str) -> bool:
    """Tell whether `word` belongs to the held-out fifth."""
    return zlib.crc32(word.encode()) % 5 == 0


class Entities:
    """Draws names and numbers from one half.

    Args:
        rng: Source of randomness.
        test: Draw held-out names instead of training names.
    """

    language = "en"
    nouns, colors = NOUNS, COLORS
    jobs = """actor singer painter writer teacher engineer doctor lawyer farmer baker pilot scientist
sailor nurse chef dancer poet architect banker carpenter""".split()
    relations = """wife husband girlfriend boyfriend father mother sister brother daughter son teacher
boss friend partner uncle aunt cousin coach manager doctor neighbor mentor""".split()

    def __init__(self, rng: random.Random, *, test: bool = False) -> None:
        self.rng = rng
        self.test = test
        self._first = [name for name in FIRST if held_out(name) == test]
        self._last = [name for name in LAST if held_out(name) == test]

    def made_up(self, syllables: int = 2) -> str:
        """Give an invented capitalised word."""
        pick = self.rng.choice
        worded = syllables > 1 and not self.test and self.rng.random() < 0.1
        while True:
            parts = [pick(ONSETS) + pick(NUCLEI) + pick(CODAS) for _ in range(syllables)]
            if worded:
                parts[0] = pick(WORDS)
            word = "".join(parts).capitalize()
            if held_out(word) == self.test:
                return word

    def altered(self, name: str) -> str:
        """Give a training name with a letter or two changed: it has to be copied, not remembered."""
        letters = list(name)
        for _ in range(self.rng.randint(1, 2)):
            letters[self.rng.randrange(1, len(letters))] = self.rng.choice("aeioulnrstmdk")
        changed = "".join(letters)
        return name if held_out(changed) else changed

    def _known(self, names: list[str]) -> str:
        name = self.rng.choice(names)
        if self.test or self.rng.random() < 0.6:
            return name
        return self.altered(name)

    def first(self) -> str:
        """Give a first name."""
        return self._known(self._first) if self.rng.random() < 0.7 else self.made_up()

    def last(self) -> str:
        """Give a family name."""
        if self.rng.random() < 0.5:
            return self._known(self._last)
        return self.made_up(self.rng.choice((2, 2, 3)))

    def person(self) -> str:
        """Give a full name."""
        return f"{self.first()} {self.last()}"

    def people(self, count: int) -> list[str]:
        """Give `count` full names without a shared word."""
        found: list[str] = []
        words: set[str] = set()
        while len(found) < count:
            name = self.person()
            if words.isdisjoint(name.split()):
                words.update(name.split())
                found.append(name)
        return found

    def place(self) -> str:
        """Give an invented town."""
        ending = self.rng.choice(["", "", "ton", "burg", "ville", "port", "field"])
        while True:
            word = self.made_up(self.rng.choice((1, 2, 2))) + ending
            if len(word) > 3 and held_out(word) == self.test:
                return word

    def company(self) -> str:
        """Give an invented company."""
        tail = self.rng.choice(
            ["", "", " Labs", " Motors", " Group", " Bank", " Foods", " Systems"]
        )
        return self.made_up(self.rng.choice((2, 2, 3))) + tail

    def year(self) -> int:
        """Give a year."""
        return self.rng.randint(1700, 2025)

    def age(self) -> int:
        """Give an age in years."""
        return self.rng.randint(18, 99)

    def number(self, digits: int = 6) -> str:
        """Give a number of up to `digits` digits, at times with a decimal part."""
        rng = self.rng
        value = str(rng.randrange(10 ** rng.randint(1, digits)))
        if rng.random() < 0.25:
            value += "." + str(rng.randrange(1, 10 ** rng.randint(1, 6)))
        return value
