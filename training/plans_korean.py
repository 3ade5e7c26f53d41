# ruff: noqa: E501 - tables of sentences read better unbroken
"""Tool-using episodes in Korean: the plans of `agent_plans.py`, asked and answered in Korean."""

from __future__ import annotations

import dataclasses

from agent_plans import Episode, Plans
from arithmetic import power
from chat_korean import CAPITALS
from korean import KoreanEntities, polish


def operation(rng) -> tuple[str, str, str]:
    """Give words after a noun phrase, the expression's pattern, and words after a number."""
    n = str(rng.randint(2, 99)) if rng.random() < 0.7 else str(rng.randint(100, 9999))
    p = power(rng)
    return rng.choice(
        [
            (f"(을/를) {p}제곱하면 얼마인가요?", "{}**" + p, f"의 {p}제곱은"),
            (f"의 {p}제곱은 얼마인가요?", "{}**" + p, f"의 {p}제곱은"),
            (f"에 {n}(을/를) 곱하면 얼마인가요?", "{}*" + n, f" 곱하기 {n}(은/는)"),
            (f" 곱하기 {n}(은/는) 얼마인가요?", "{}*" + n, f" 곱하기 {n}(은/는)"),
            (f"(을/를) {n}(으로/로) 나누면 얼마인가요?", "{}/" + n, f" 나누기 {n}(은/는)"),
            (f"에 {n}(을/를) 더하면 얼마인가요?", "{}+" + n, f" 더하기 {n}(은/는)"),
            (f"에서 {n}(을/를) 빼면 얼마인가요?", "{}-" + n, f" 빼기 {n}(은/는)"),
        ]
    )


class KoreanPlans(Plans):
    """Makes Korean episodes from one half of the entities."""

    entities: KoreanEntities
    known = "답을 알았습니다."
    to_search = "{}(을/를) 검색해야 합니다."
    to_calculate = "{}(을/를) 계산해야 합니다."
    age_word = "나이"
    unknown = "모르겠습니다."
    no_results = ("No results found.", "검색 결과가 없습니다.", "결과 없음", "Nothing found.")

    def episode(self) -> Episode:
        """Give a random episode, its particles chosen."""
        found = super().episode()
        uses = tuple(
            dataclasses.replace(use, thought=polish(use.thought), text=polish(use.text), result=polish(use.result))
            for use in found.uses
        )  # fmt: skip
        return Episode(polish(found.question), uses, polish(found.answer), found.must)

    def _noise(self, person: str) -> str:
        e, rng = self.entities, self.rng
        return rng.choice(
            [
                f"{person}(은/는) {e.place()}에서 태어났다.",
                f"{person}(은/는) {rng.choice(e.jobs)}이다.",
                f"{person}(은/는) {e.place()}에 산다.",
                f"{person}(은/는) {e.year()}년 {e.place()}에서 태어났다.",
                f"{person}(은/는) {e.company()}에서 일한다.",
            ]
        )

    def _aged(self, person: str, age: object) -> str:
        return self.rng.choice([f"{person}(은/는) {age}세이다.", f"{person}의 나이는 {age}세이다."])

    def _told_relations(self, x: str, rel: str, y: str, age: str) -> tuple[list[str], list[str]]:
        plain = [
            f"{x}의 {rel}(은/는) {y}이다.",
            f"{y}(은/는) {x}의 {rel}이다.",
            f"{x}의 {rel}: {y}.",
            f"{y}(이/가) {x}의 {rel}이다.",
            y,
        ]
        aged = [
            f"{x}의 {rel}(은/는) {y}이다. {y}(은/는) {age}세이다.",
            f"{x}의 {rel}(은/는) {y}({age}세)이다.",
            f"{x}의 {rel}(은/는) {age}세인 {y}이다.",
            f"{y}({age}세)(은/는) {x}의 {rel}이다.",
            f"{x}의 {rel}(은/는) {y}이고 나이는 {age}세이다.",
        ]
        return plain, aged

    def _told_ages(self, y: str, age: str) -> list[str]:
        return [f"{y}(은/는) {age}세이다."] * 4 + [f"{y}의 나이는 {age}세이다.", f"{age}세", age, f"{y}, {age}세.", f"나이: {age}",
            f"{y}({age}세)(은/는) {self.rng.choice(self.entities.jobs)}이다.", f"{y}(은/는) 올해 {age}살이다."]  # fmt: skip

    def _whose(self, x: str, rel: str) -> str:
        return f"{x}의 {rel}"

    def _is_relative(self, x: str, rel: str, y: str) -> str:
        return f"{x}의 {rel}(은/는) {y}입니다."

    def _is_old(self, x: str, age: str) -> str:
        return f"{x}(은/는) {age}세입니다."

    def _comes_to(self, number: str, after: str, value: str) -> str:
        return f"{number}{after} {value}입니다."

    def _power_question(self, x: str, rel: str) -> tuple[str, str, str]:
        rng = self.rng
        words, pattern, after = operation(rng)
        if rng.random() < 0.6:
            p = power(rng)
            words = rng.choice([f"의 {p}제곱은 얼마인가요?", f"(을/를) {p}제곱하면 얼마인가요?"])
            pattern, after = "{}**" + p, f"의 {p}제곱은"
        whose = rng.choice(
            ["그 사람의 나이"] * 5 + ["그의 나이", "그녀의 나이", "그 사람의 현재 나이"]
        )
        question = rng.choice(
            [f"{x}의 {rel}(은/는) 누구인가요? {whose}{words}"] * 6
            + [f"{x}의 {rel} 나이{words}", f"{x}의 {rel}(이/가) 누구이고 {whose}{words}",
               f"{x}의 {rel}(은/는) 누구야? {whose}{words}"]
        )  # fmt: skip
        return question, pattern, after

    def _age_questions(self, x: str) -> list[str]:
        return [f"{x}(은/는) 몇 살인가요?", f"{x}의 나이는 몇 살인가요?", f"{x}의 나이를 알려 주세요.", f"{x} 나이가 어떻게 돼?"]  # fmt: skip

    def _age_operation_question(self, x: str) -> tuple[str, str, str]:
        words, pattern, after = operation(self.rng)
        question = self.rng.choice(
            [f"{x}의 나이{words}", f"{x}(은/는) 몇 살인가요? 그 나이{words}"]
        )
        return question, pattern, after

    def _relation_questions(self, x: str, rel: str) -> tuple[list[str], list[str]]:
        who = [f"{x}의 {rel}(은/는) 누구인가요?", f"{x}의 {rel}(이/가) 누구야?", f"누가 {x}의 {rel}인가요?"]  # fmt: skip
        how_old = [f"{x}의 {rel}(은/는) 몇 살인가요?", f"{x}의 {rel}의 나이는 몇 살인가요?",
            f"{x}의 {rel}(은/는) 누구이고 몇 살인가요?", f"{x}의 {rel}(은/는) 누구인가요? 그 사람은 몇 살인가요?"]  # fmt: skip
        return who, how_old

    def arithmetic(self) -> Episode:
        """23 곱하기 47은 얼마인가요?"""
        rng = self.rng
        a, b = self.entities.number(5), self.entities.number(4)
        n, p = str(rng.randint(2, 99)), power(rng)
        phrase, expression = rng.choice(
            [
                (f"{a} 곱하기 {b}", f"{a}*{b}"),
                (f"{a} 더하기 {b}", f"{a}+{b}"),
                (f"{a} 빼기 {b}", f"{a}-{b}"),
                (f"{a} 나누기 {n}", f"{a}/{n}"),
                (f"{n}의 {p}제곱", f"{n}**{p}"),
                (f"{a}의 제곱근", f"{a}**0.5"),
                (f"{a}의 {n}퍼센트", f"{a}*{n}/100"),
                (f"{a}의 {n}%", f"{a}*{n}/100"),
                (f"{a} + {b}", f"{a}+{b}"),
                (f"{a} * {b}", f"{a}*{b}"),
                (f"{a} - {b}", f"{a}-{b}"),
                (f"{a} / {n}", f"{a}/{n}"),
            ]
        )
        use, value = self._calculator(expression)
        question = rng.choice(
            ["{}(은/는) 얼마인가요?"] * 4
            + ["{}(을/를) 계산해 주세요.", "{}(은/는)?", "{} 계산해 줘."]
        )
        return Episode(question.format(phrase), (use,), f"{phrase}(은/는) {value}입니다.", (value,))

    def compare(self) -> Episode:
        """X는 Y보다 몇 살 많은가요?"""
        x, y = self.entities.people(2)
        high, low = str(self.rng.randint(55, 99)), str(self.rng.randint(18, 54))
        if self.rng.random() < 0.5:
            question = f"{x}(은/는) {y}보다 몇 살 많은가요?"
            first, second, answer = (x, high), (y, low), f"{x}(은/는) {y}보다"
            answer += " {} 살 많습니다."
        else:
            question = f"{x}(은/는) {y}보다 몇 살 적은가요?"
            first, second, answer = (y, high), (x, low), f"{x}(은/는) {y}보다"
            answer += " {} 살 적습니다."
        use, value = self._calculator(f"{high}-{low}")
        uses = (self._age_use(*first), self._age_use(*second), use)
        return Episode(question, uses, answer.format(value), (value,))

    def _attribute(self) -> tuple[str, str, str, str, str]:
        e, rng = self.entities, self.rng
        place, company, person = e.place(), e.company(), e.person()
        noun, year, count = rng.choice(e.nouns), str(e.year()), str(rng.randint(100, 9999999))
        height, capital = str(rng.randint(20, 999)), rng.choice(list(CAPITALS.items()))
        return rng.choice(
            [
                (f"{place}의 인구는 얼마인가요?", f"{place}의 인구", place,
                 rng.choice([f"{place}의 인구는 {count}명이다.", f"{place}에는 {count}명이 산다.", count]), count),
                (f"{place}에는 몇 명이 사나요?", f"{place}의 인구", place,
                 rng.choice([f"{place}의 인구는 {count}명이다.", f"{place}에는 {count}명이 산다."]), count),
                (f"{company}(은/는) 언제 설립되었나요?", f"{company}의 설립 연도", company,
                 rng.choice([f"{company}(은/는) {year}년에 설립되었다.", f"{company}(은/는) {year}년에 {person}(이/가) 설립했다."]), year),
                (f"{company}(을/를) 누가 설립했나요?", f"{company}의 설립자", company,
                 rng.choice([f"{company}(은/는) {person}(이/가) 설립했다.", f"{person}(은/는) {year}년에 {company}(을/를) 설립했다."]), person),
                (f"{person}(은/는) 어디에서 태어났나요?", f"{person}의 출생지", person,
                 rng.choice([f"{person}(은/는) {place}에서 태어났다.", f"{person}(은/는) {year}년 {place}에서 태어났다."]), place),
                (f"{person}(은/는) 언제 태어났나요?", f"{person}의 출생 연도", person,
                 rng.choice([f"{person}(은/는) {year}년에 태어났다.", f"{person}(은/는) {year}년 {place}에서 태어났다."]), year),
                (f"{person}(은/는) 어디에 사나요?", f"{person}의 집", person, f"{person}(은/는) {place}에 산다.", place),
                (f"{place}의 시장은 누구인가요?", f"{place}의 시장", place,
                 rng.choice([f"{place}의 시장은 {person}이다.", f"{person}(은/는) {place}의 시장이다."]), person),
                (f"{place} 타워의 높이는 얼마인가요?", f"{place} 타워의 높이", place,
                 rng.choice([f"{place} 타워의 높이는 {height}미터이다.", f"{height}미터"]), height),
                (f"{noun}(을/를) 누가 발명했나요?", f"{noun}의 발명자", noun,
                 rng.choice([f"{noun}(은/는) {person}(이/가) 발명했다.", f"{noun}(은/는) {year}년에 {person}(이/가) 발명했다."]), person),
                (f"{capital[0]}의 수도는 어디인가요?", f"{capital[0]}의 수도", capital[0],
                 f"{capital[0]}의 수도는 {capital[1]}이다.", capital[1]),
            ]
        )  # fmt: skip

    def _more(self, key: str, asked: str) -> list[str]:
        e, rng = self.entities, self.rng
        town = [
            ("인구 사나", f"{key}의 인구는 {rng.randint(100, 9999999)}명이다."),
            ("시장", f"{key}의 시장은 {e.person()}이다."),
            ("설립", f"{key}(은/는) {e.year()}년에 세워졌다."),
            ("강", f"{key}에는 {e.made_up()}강이 흐른다."),
        ]
        company = [
            ("본사", f"{key}의 본사는 {e.place()}에 있다."),
            ("대표", f"{key}의 대표는 {e.person()}이다."),
            ("직원", f"{key}의 직원은 {rng.randint(2, 99999)}명이다."),
            ("제품", f"{key}(은/는) {rng.choice(e.nouns)}(으로/로) 유명하다."),
        ]
        person = [
            ("태어났", f"{key}(은/는) {e.place()}에서 태어났다."),
            ("사나요", f"{key}(은/는) {e.place()}에 산다."),
            ("직업", f"{key}(은/는) {rng.choice(e.jobs)}이다."),
            ("회사", f"{key}(은/는) {e.company()}에서 일한다."),
            ("나이", f"{key}(은/는) {e.age()}세이다."),
        ]
        kinds = {
            "인구": town[1:],
            "몇 명이": town[1:],
            "시장": town,
            "설립": company,
            "태어": person,
            "사나": person,
        }
        return self._some(kinds, asked)

    def _attribute_operation(self, place: str, count: str) -> tuple[str, str, str, str, str]:
        words, pattern, after = operation(self.rng)
        thing, shown = self.rng.choice(
            [
                (f"{place}의 인구", f"{place}의 인구는 {count}명이다."),
                (f"{place}의 인구", f"{place}에는 {count}명이 산다."),
                (f"{place} 타워의 높이", f"{place} 타워의 높이는 {count}미터이다."),
                (f"{place}강의 길이", f"{place}강의 길이는 {count}킬로미터이다."),
            ]
        )
        return f"{thing}{words}", pattern, after, thing, shown

    def attribute(self) -> Episode:
        """X를 누가 설립했나요? X는 언제 설립되었나요? ..."""
        found = super().attribute()
        return dataclasses.replace(found, answer=self._is(found.must[0]))

    def _is(self, value: str) -> str:
        return f"{value}입니다."

    def _relatives(
        self, x: str, rel: str, y: str, place: str, year: str
    ) -> list[tuple[str, str, str, str]]:
        return [
            (f"{x}의 {rel}(은/는) 어디에서 태어났나요?", f"{y}의 출생지", f"{y}(은/는) {place}에서 태어났다.", place),
            (f"{x}의 {rel}(은/는) 언제 태어났나요?", f"{y}의 출생 연도", f"{y}(은/는) {year}년에 태어났다.", year),
            (f"{x}의 {rel}(은/는) 어디에 사나요?", f"{y}의 집", f"{y}(은/는) {place}에 산다.", place),
        ]  # fmt: skip

    def _plain_relation(self, x: str, rel: str, y: str) -> list[str]:
        return [f"{x}의 {rel}(은/는) {y}이다.", f"{y}(은/는) {x}의 {rel}이다."]
