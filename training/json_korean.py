# ruff: noqa: E501 - tables of words and sentences read better unbroken
"""Skill (d) in Korean: tools that are asked for in Korean, records told in Korean."""

from __future__ import annotations

from chat_korean import SYSTEMS, capital, fact
from json_data import Language, Tool
from plans_korean import KoreanPlans

TOOLS = (
    Tool("get_weather", "Get the weather in a city.", {"city": "place"},
         ("{city} 날씨가 어때?", "{city}의 날씨는 어떤가요?", "{city}에 비가 오나요?", "{city} 날씨 알려 줘."), "{city}의 날씨: {r}."),
    Tool("get_weather", "도시의 날씨를 알려 줍니다.", {"city": "place"},
         ("{city} 날씨가 어때?", "{city}의 날씨를 알려 주세요."), "{city}의 날씨: {r}."),
    Tool("get_population", "Get the population of a city.", {"city": "place"},
         ("{city}의 인구는 얼마인가요?", "{city}에는 몇 명이 사나요?"), "{city}의 인구는 {r}명입니다."),
    Tool("get_time", "도시의 현재 시각을 알려 줍니다.", {"city": "place"},
         ("{city}(은/는) 지금 몇 시인가요?", "{city}의 시각을 알려 주세요."), "{city}의 시각: {r}."),
    Tool("multiply", "Multiply two numbers.", {"a": "int", "b": "int"},
         ("{a} 곱하기 {b}(은/는) 얼마인가요?", "{a}에 {b}(을/를) 곱해 주세요.", "{a} * {b}(은/는)?"), "{a} 곱하기 {b}(은/는) {r}입니다."),
    Tool("add", "두 수를 더합니다.", {"a": "int", "b": "int"},
         ("{a} 더하기 {b}(은/는) 얼마인가요?", "{a}에 {b}(을/를) 더해 주세요.", "{a} + {b}(은/는)?"), "{a} 더하기 {b}(은/는) {r}입니다."),
    Tool("send_email", "Send an email.", {"to": "person", "message": "words"},
         ("{to}에게 이메일을 보내 줘: {message}", "{to}에게 메일 보내기: {message}"), "{to}에게 이메일을 보냈습니다."),
    Tool("get_stock_price", "회사의 주가를 알려 줍니다.", {"company": "company"},
         ("{company}의 주가는 얼마인가요?", "{company} 주식은 얼마야?"), "{company}의 주가는 {r}입니다."),
    Tool("book_table", "Book a table in a restaurant.", {"restaurant": "made_up", "people": "small"},
         ("{restaurant}에 {people}명 자리를 예약해 줘.", "{restaurant} 식당에 {people}명 예약해 주세요."), "{restaurant}에 예약했습니다."),
    Tool("play_song", "노래를 재생합니다.", {"title": "made_up", "artist": "person"},
         ("{artist}의 {title}(을/를) 틀어 줘.", "{artist}의 노래 {title}(을/를) 듣고 싶어요."), "{title}(을/를) 재생합니다."),
    Tool("set_alarm", "Set an alarm.", {"hour": "small", "minute": "minute"},
         ("{hour}시 {minute}분에 알람을 맞춰 줘.", "{hour}시 {minute}분에 깨워 주세요."), "알람을 맞췄습니다."),
    Tool("find_person", "사람의 전화번호를 찾습니다.", {"name": "person"},
         ("{name}의 전화번호는 무엇인가요?", "{name}(을/를) 찾아 줘."), "{name}의 전화번호는 {r}입니다."),
    Tool("translate", "Translate a text.", {"text": "words", "language": "language"},
         ("{text}(을/를) {language}(으로/로) 번역해 줘.", "{language}(으로/로) 번역: {text}"), "{r}"),
    Tool("search", "Search for people, places and facts.", {"query": "topic"},
         ("{query}(을/를) 검색해 줘.", "{query}(을/를) 찾아봐.", "{query} 검색"), "{r}"),
    Tool("convert", "돈을 환전합니다.", {"amount": "int", "currency": "currency"},
         ("{amount}달러를 {currency}(으로/로) 바꿔 줘.", "{amount}달러는 {currency}(으로/로) 얼마인가요?"), "{amount}달러는 {currency} {r}입니다."),
    Tool("create_customer", "Create a customer with a name in any language.", {"name": "foreign", "description": "words"},
         ("이름이 '{name}'인 고객을 만들어 주세요({description}).", "'{name}' 고객을 등록해 줘: {description}"), "{name} 고객을 만들었습니다."),
    Tool("save_contact", "연락처를 저장합니다.", {"name": "foreign"},
         ("'{name}'(을/를) 연락처에 저장해 줘.", "연락처 추가: {name}"), "{name} 연락처를 저장했습니다."),
)  # fmt: skip

FIELDS = {
    "age": ("integer", "age", ["{s}(은/는) {v}세이다.", "{s}의 나이는 {v}세이다."]),
    "city": ("string", "place", ["{s}(은/는) {v}에 산다.", "{s}(은/는) {v} 출신이다."]),
    "job": ("string", "job", ["{s}의 직업은 {v}이다.", "{s}(은/는) {v}(으로/로) 일한다."]),
    "company": ("string", "company", ["{s}(은/는) {v}에서 일한다.", "{s}(은/는) {v}에 다닌다."]),
    "phone": ("string", "phone", ["{s}의 전화번호는 {v}이다.", "{s}에게 {v}(으로/로) 전화하세요."]),
    "color": ("string", "color", ["{s}(은/는) {v}(을/를) 좋아한다.", "{s}(이/가) 좋아하는 색은 {v}이다."]),
    "year": ("integer", "year", ["{s}(은/는) {v}년에 태어났다.", "{s}(은/는) {v}년생이다."]),
    "friend": ("string", "person", ["{s}의 친구는 {v}이다.", "{v}(은/는) {s}의 친구이다."]),
    "pet": ("string", "made_up", ["{s}의 개 이름은 {v}이다.", "{s}의 고양이 이름은 {v}이다."]),
    "score": ("integer", "score", ["{s}의 점수는 {v}점이다.", "{s}(은/는) {v}점을 받았다."]),
    "married": ("boolean", "bool", []),
}  # fmt: skip
FEELINGS = {
    "happy": ["오늘 정말 행복해요!", "정말 멋진 날이에요!", "이 노래가 좋아서 기쁨이 넘쳐요."],
    "sad": ["오늘 너무 슬퍼요.", "친구가 그리워서 울었어요.", "우울하고 외로운 날이에요."],
    "angry": ["오늘 너무 화가 나요!", "이건 정말 짜증 나요!", "싫어요, 정말 화났어요."],
    "positive": ["이 {n} 정말 훌륭해요!", "이 {n}(이/가) 정말 마음에 들어요.", "지금까지 산 {n} 중 최고예요.", "{n}에 아주 만족합니다."],
    "negative": ["이 {n}(은/는) 끔찍해요.", "이 {n}(이/가) 싫어요.", "지금까지 산 {n} 중 최악이에요.", "{n}(이/가) 바로 고장 났어요, 환불해 주세요."],
}  # fmt: skip

KOREAN = Language(
    tools=TOOLS,
    systems=SYSTEMS,
    other=(fact, capital),
    plans=KoreanPlans,
    fields=FIELDS,
    married=(
        ["{s}(은/는) 결혼했다.", "{s}(은/는) 기혼이다."],
        ["{s}(은/는) 결혼하지 않았다.", "{s}(은/는) 미혼이다."],
    ),
    labels={"mood": ["happy", "sad", "angry"], "sentiment": ["positive", "negative"]},
    feelings=FEELINGS,
    extract=("다음에서 정보를 추출하세요: {}", "이 글에서 데이터를 뽑아 주세요: {}"),
    detail="{name} {{{name}}}",
    invented=(
        "{noun}(을/를) {verb} 해 줘: {detail}",
        "{detail}(으로/로) {noun} {verb} 도구를 써 주세요.",
    ),
    results=("맑음", "비, 12도", "흐림", "sunny"),
)
