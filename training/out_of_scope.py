# ruff: noqa: E501 - tables of words and sentences read better unbroken
"""What the model does not know: it says so in a short sentence, in the language of the question.

A question is known only if it is one of those that `chat_data.py` and `chat_korean.py` ask. The
others are as varied as a few hundred frames and topics can make them, so that what is learned is
not a list of refusals but the border around what is known.
"""

from __future__ import annotations

import chat_data
import chat_korean
from entities import Entities
from foreign_names import foreign
from formats import Message
from korean import polish

SORRY = {
    "en": "I am a small model and do not know that: ask me about LangChain, capitals, or a text that you give me.",
    "ko": "저는 작은 모델이라 그것은 모릅니다. LangChain이나 나라의 수도, 또는 주신 글에 대해 물어보세요.",
}
ONLY = "I only know English and Korean. 저는 영어와 한국어만 압니다."

TOPICS = {
    "en": """quantum physics|the French Revolution|black holes|photosynthesis|the stock market|climate change|blockchain|chess openings|jazz
|gradient descent|the Roman Empire|vaccines|inflation|democracy|machine translation|Kubernetes|Docker|a linked list|binary search|recursion|SQL joins
|REST APIs|React hooks|CSS grid|the Higgs boson|DNA|evolution|volcanoes|earthquakes|tides|rainbows|dinosaurs|penguins|bees|coral reefs|coffee|sourdough bread
|tomato soup|sushi|yoga|marathon training|meditation|the Olympics|football rules|guitar chords|watercolor painting|photography|taxes|mortgages|insurance
|a job interview|a cover letter|a wedding speech|a birthday party|a trip to Iceland|public transport|electric cars|solar panels|batteries|nuclear power
|time travel|dreams|memory|happiness|love|friendship|free will|ethics|Kant|Plato|Shakespeare's sonnets|modern art|the Beatles|Mozart|the Great Wall
|the pyramids|Napoleon|the moon landing|Mars|the speed of light|gravity|magnets|prime numbers|calculus|statistics|linear algebra|probability
|a neural network|attention in transformers|fine-tuning|LoRA|quantization|vector databases|prompt injection|the weather tomorrow|the news today|my bank account|the price of gold""".replace(
        "\n", ""
    ).split("|"),
    "ko": """양자역학|프랑스 혁명|블랙홀|광합성|주식 시장|기후 변화|블록체인|바둑|재즈|경사하강법|로마 제국|백신|물가|민주주의|기계 번역|쿠버네티스|도커|연결 리스트
|이진 탐색|재귀|데이터베이스|리액트|웹 디자인|유전자|진화|화산|지진|밀물과 썰물|무지개|공룡|펭귄|꿀벌|산호초|커피|김치찌개|비빔밥|떡볶이|초밥|요가|마라톤|명상|올림픽|축구 규칙
|기타 코드|수채화|사진|세금|대출|보험|면접|자기소개서|결혼식 축사|생일 파티|제주도 여행|부산 여행|대중교통|전기차|태양광|배터리|원자력|시간 여행|꿈|기억|행복|사랑|우정|자유 의지|윤리|칸트|플라톤
|현대 미술|방탄소년단|모차르트|만리장성|피라미드|나폴레옹|달 착륙|화성|빛의 속도|중력|자석|소수|미적분|통계|선형대수|확률|신경망|어텐션|미세 조정|양자화|벡터 데이터베이스|내일 날씨|오늘 뉴스
|내 통장|금값|조선 시대|임진왜란|한국 전쟁|경복궁|판소리|한복|수능|부동산|전세|군대|야구|태권도|등산|낚시""".replace(
        "\n", ""
    ).split("|"),
}
FRAMES = {
    "en": """How does {t} work?|Explain {t} to me.|Explain {t} like I am five.|Write an essay about {t}.|Give me a summary of {t}.|What do you think about {t}?
|Why is {t} important?|What are the benefits of {t}?|Tell me everything about {t}.|What is the history of {t}?|How do I learn {t}?|Can you help me with {t}?
|Write a Python function for {t}.|Write a song about {t}.|List ten facts about {t}.|Compare {t} and {u}.|What is the difference between {t} and {u}?
|Which is better, {t} or {u}?|Who discovered {t}?|When was {t} invented?|Where can I find {t}?|How much does {t} cost?|Is {t} dangerous?|Do you like {t}?
|What is the best book about {t}?|I am confused about {t}.|Please describe {t} in detail.|What happened to {t}?|How long does {t} take?|{t}|{t}?|Tell me about {t}.
|What is {t}?|Summarize {t} in three bullet points.|Give me an example of {t}.|Should I worry about {t}?|Make a plan for {t}.|Debug my code for {t}.|Translate "{t}" into German.""".replace(
        "\n", ""
    ).split("|"),
    "ko": """{t}(은/는) 어떻게 작동하나요?|{t}에 대해 설명해 주세요.|{t}(을/를) 쉽게 설명해 줘.|{t}에 대한 글을 써 주세요.|{t}(을/를) 요약해 줘.|{t}에 대해 어떻게 생각해?|{t}(이/가) 왜 중요한가요?
|{t}의 장점은 무엇인가요?|{t}에 대해 자세히 알려 줘.|{t}의 역사는 어떻게 되나요?|{t}(을/를) 배우려면 어떻게 해야 하나요?|{t} 좀 도와줘.|{t}(을/를) 위한 파이썬 코드를 써 줘.|{t}에 관한 소설을 써 줘.|{t}에 대한 노래를 만들어 줘.
|{t}에 대한 사실 열 가지를 알려 주세요.|{t}(과/와) {u}(을/를) 비교해 줘.|{t}(과/와) {u}의 차이는 무엇인가요?|{t}(이/가) 좋아, {u}(이/가) 좋아?|{t}(은/는) 누가 발견했나요?|{t}(은/는) 언제 생겼나요?|{t}(은/는) 어디에서 찾을 수 있나요?
|{t}(은/는) 얼마예요?|{t}(은/는) 위험한가요?|{t} 좋아해?|{t}에 대한 좋은 책을 추천해 줘.|{t}(이/가) 뭐야?|{t}(은/는) 무엇인가요?|{t}에 대해 알려 주세요.|{t}|{t}?|{t}의 예를 들어 줘.|{t} 계획을 세워 줘.|{t}(을/를) 독일어로 번역해 줘.|{t} 하는 법 알려 줘.""".replace(
        "\n", ""
    ).split("|"),
}
PLAIN = {
    "en": """What should I cook tonight?|What time is it?|What day is it today?|What is the weather like?|Where am I?|Can I trust you?|How old are you?|Where do you live?
|Who made you?|Do you love me?|Sing a song.|Play a game with me.|Guess my age.|Fix this code: print("hello|What is my IP address?|Order a pizza.|Call my mother.|Buy me a ticket.
|Who will win the election?|Who is the president?|How do I get rich?|I am bored.|I feel sad.|Recommend a movie.|What is 2 to the power of 100?|Solve x^2 + 3x = 10.|asdf|lorem ipsum dolor|test|ok|hmm|yes|no|maybe|...|???
|Once more.|Continue.|Go on.|Rewrite that.|Shorter.|What did I just say?|Write a regex for emails.|Convert 5 miles to kilometers.|How many people live in Tokyo?|What is the population of Germany?|Who is Taylor Swift?""".replace(
        "\n", ""
    ).split("|"),
    "ko": """오늘 저녁에 뭐 먹지?|지금 몇 시야?|오늘은 무슨 요일인가요?|오늘 날씨 어때?|여기가 어디야?|너를 믿어도 돼?|몇 살이야?|어디에 살아?|누가 너를 만들었어?|나를 사랑해?|노래 불러 줘.|게임하자.|내 나이를 맞혀 봐.|이 코드를 고쳐 줘: print("안녕
|피자 주문해 줘.|엄마한테 전화해 줘.|표 사 줘.|선거에서 누가 이길까?|대통령은 누구인가요?|부자가 되려면 어떻게 해야 해?|심심해.|슬퍼.|영화 추천해 줘.|2의 100제곱은?|방정식을 풀어 줘.|ㅋㅋㅋ|ㅎㅎ|음|응|네|아니|글쎄|테스트|다시 한 번.|계속해.|더 짧게.|방금 뭐라고 했지?
|정규식을 써 줘.|5마일은 몇 킬로미터야?|도쿄의 인구는?|독일의 인구는 얼마인가요?|손흥민은 누구야?|비행기는 왜 날아?|바다는 왜 짜?|고양이는 왜 울어?""".replace(
        "\n", ""
    ).split("|"),
}


def _question(entities: Entities) -> str:
    rng, language = entities.rng, entities.language
    topics = TOPICS[language]
    kind = rng.random()
    if kind < 0.55:
        topic, other = rng.sample(topics, 2)
        if rng.random() < 0.4:
            topic = rng.choice(
                [
                    entities.made_up(),
                    entities.person(),
                    entities.company(),
                    rng.choice(entities.nouns),
                ]
            )
        return polish(rng.choice(FRAMES[language]).format(t=topic, u=other))
    if kind < 0.75:
        return rng.choice(PLAIN[language])
    if kind < 0.88:  # a capital that is none, a book that nobody wrote: only the names tell
        place, thing = entities.made_up(), entities.made_up()
        if language == "ko":
            return polish(
                rng.choice(
                    [
                        f"{place}의 수도는 어디인가요?",
                        f"{place}의 수도는?",
                        f"{thing}(을/를) 쓴 사람은 누구야?",
                        f"{thing}(은/는) 누가 발명했나요?",
                        f"{thing}(이/가) 뭐야?",
                    ]
                )
            )
        return rng.choice(
            [
                f"What is the capital of {place}?",
                f"Capital of {place}?",
                f"Who wrote {thing}?",
                f"Who invented the {thing}?",
                f"What is {thing}?",
                f"Explain {thing}.",
            ]
        )
    words = [
        rng.choice(
            [entities.made_up().lower(), rng.choice(entities.nouns), rng.choice(entities.colors)]
        )
        for _ in range(rng.randint(1, 9))
    ]
    return " ".join(words) + rng.choice(["", "?", "!", "."])


def unknown(entities: Entities) -> list[Message]:
    """Give a question that the model cannot answer, and what it says."""
    rng = entities.rng
    sorry = SORRY[entities.language]
    if rng.random() < 0.12:
        text = " ".join(foreign(rng) for _ in range(rng.randint(1, 4)))
        while any("가" <= char <= "힣" for char in text):
            text = foreign(rng)
        asked, sorry = text + rng.choice(["", "?", "!"]), ONLY
    else:
        asked = _question(entities)
    turns = [("user", asked), ("assistant", sorry)]
    data = chat_korean if entities.language == "ko" else chat_data
    if rng.random() < 0.2:  # what was said before does not make it known
        turns = rng.choice((data.fact, data.capital))(rng) + turns
    if rng.random() < 0.1:  # and it does not make what is known unknown
        turns += rng.choice((data.fact, data.capital))(rng)
    if rng.random() < 0.3:
        turns = [("system", rng.choice(data.SYSTEMS)), *turns]
    return turns
