# ruff: noqa: E501, SIM905 - tables of words and sentences read better unbroken
"""Small talk and facts in Korean. Each function gives a conversation ending with the answer."""

from __future__ import annotations

import random

from chat_data import asked, in_conversation
from formats import Message
from korean import KoreanEntities, polish

CAPITALS = dict(
    pair.split(":")
    for pair in """프랑스:파리|독일:베를린|이탈리아:로마|스페인:마드리드|포르투갈:리스본|영국:런던|아일랜드:더블린|스코틀랜드:에든버러
|노르웨이:오슬로|스웨덴:스톡홀름|덴마크:코펜하겐|핀란드:헬싱키|아이슬란드:레이캬비크|폴란드:바르샤바|오스트리아:빈|스위스:베른
|헝가리:부다페스트|그리스:아테네|튀르키예:앙카라|러시아:모스크바|우크라이나:키이우|루마니아:부쿠레슈티|불가리아:소피아|벨기에:브뤼셀
|네덜란드:암스테르담|체코:프라하|크로아티아:자그레브|세르비아:베오그라드|일본:도쿄|중국:베이징|한국:서울|대한민국:서울|북한:평양
|인도:뉴델리|태국:방콕|베트남:하노이|인도네시아:자카르타|말레이시아:쿠알라룸푸르|필리핀:마닐라|호주:캔버라|뉴질랜드:웰링턴|캐나다:오타와
|미국:워싱턴 D.C.|멕시코:멕시코시티|브라질:브라질리아|아르헨티나:부에노스아이레스|칠레:산티아고|페루:리마|콜롬비아:보고타|베네수엘라:카라카스
|쿠바:아바나|이집트:카이로|모로코:라바트|케냐:나이로비|나이지리아:아부자|에티오피아:아디스아바바|가나:아크라|세네갈:다카르
|남아프리카 공화국:프리토리아|이스라엘:예루살렘|이란:테헤란|이라크:바그다드|사우디아라비아:리야드|파키스탄:이슬라마바드|네팔:카트만두|몽골:울란바토르""".replace(
        "\n", ""
    ).split("|")
)

ME = "저는 langchain-easyllm 안에서 오프라인으로 돌아가는 작은 언어 모델입니다."

POEM = "바다는 고요하고\n작은 배는 바람을 기다리네\n아침이 돛을 밝힌다"
STORY = "옛날에 작은 모델이 작은 상자에 살았습니다. 아는 말은 적었지만 잘 썼습니다. 끝."

# Questions (any of them) and their one answer.
FACTS: list[tuple[str, str]] = [
    ("너는 누구야?|당신은 누구인가요?|누구세요?|자기소개를 해 주세요.|이름이 뭐예요?|이름이 뭐야?|너는 사람이야?|당신은 로봇인가요?|당신은 무엇인가요?", ME),
    ("LangChain이 뭐야?|LangChain은 무엇인가요?|LangChain이 무엇인가요?|랭체인이 뭐예요?|LangChain에 대해 알려 주세요.|랭체인에 대해 설명해 주세요.|LangChain이란?|LangChain이 뭐예요?",
     "LangChain은 언어 모델로 애플리케이션을 만드는 프레임워크입니다."),
    ("Hugging Face가 뭐야?|Hugging Face는 무엇인가요?|허깅페이스가 뭐예요?|허깅페이스에 대해 알려 주세요.|Hugging Face에 대해 설명해 주세요.|Hugging Face란?",
     "Hugging Face는 공개 모델과 데이터셋, 데모가 모이는 허브이자 회사입니다."),
    ("langchain-easyllm이 뭐야?|langchain-easyllm은 무엇인가요?|EasyLLM이 뭐예요?|EasyLLM은 무엇인가요?|langchain-easyllm에 대해 알려 주세요.",
     "langchain-easyllm은 어떤 서버의 Hugging Face 모델이든 쓰게 해 주는 LangChain 패키지입니다."),
    ("TGI가 뭐야?|TGI는 무엇인가요?|TGI에 대해 설명해 주세요.|Text Generation Inference가 뭐예요?", "TGI는 Hugging Face의 언어 모델 서버인 Text Generation Inference입니다."),
    ("TEI가 뭐야?|TEI는 무엇인가요?|TEI에 대해 설명해 주세요.|Text Embeddings Inference가 뭐예요?", "TEI는 Hugging Face의 임베딩 모델 서버인 Text Embeddings Inference입니다."),
    ("LLM이 뭐야?|LLM은 무엇인가요?|대규모 언어 모델이 뭐예요?|언어 모델이 뭐야?|언어 모델이란 무엇인가요?|LLM에 대해 설명해 주세요.", "대규모 언어 모델은 글의 다음 단어를 예측하는 신경망입니다."),
    ("RAG가 뭐야?|RAG는 무엇인가요?|검색 증강 생성이 뭐예요?|RAG에 대해 설명해 주세요.", "RAG는 검색 증강 생성으로, 찾아온 문서를 보고 답하는 방법입니다."),
    ("에이전트가 뭐야?|에이전트는 무엇인가요?|AI 에이전트가 뭐예요?|에이전트에 대해 설명해 주세요.", "에이전트는 도구를 고르고 그 결과를 쓰는 언어 모델입니다."),
    ("임베딩이 뭐야?|임베딩은 무엇인가요?|임베딩에 대해 설명해 주세요.|임베딩이란?", "임베딩은 글의 뜻을 나타내는 숫자 목록입니다."),
    ("프롬프트 템플릿이 뭐야?|프롬프트 템플릿은 무엇인가요?|채팅 템플릿이 뭐예요?|채팅 템플릿이란?", "프롬프트 템플릿은 모델이 학습한 정확한 글 형식입니다."),
    ("토큰이 뭐야?|토큰은 무엇인가요?|토큰에 대해 설명해 주세요.", "토큰은 단어의 조각이며, 모델은 토큰을 읽고 씁니다."),
    ("파이썬이 뭐야?|파이썬은 무엇인가요?|Python이 뭐예요?|파이썬에 대해 설명해 주세요.", "파이썬은 읽기 쉽고 널리 쓰이는 프로그래밍 언어입니다."),
    ("AI가 뭐야?|인공지능이 뭐예요?|인공지능은 무엇인가요?|AI에 대해 설명해 주세요.", "인공지능은 생각이 필요한 일을 기계가 하게 하는 기술입니다."),
    ("안녕|안녕!|안녕하세요|안녕하세요!|안녕하세요.|안녕하십니까?|하이|반가워요!|반갑습니다.|좋은 아침이에요!|좋은 저녁입니다.|여보세요", "안녕하세요! 무엇을 도와드릴까요?"),
    ("잘 지내?|잘 지내세요?|어떻게 지내세요?|기분이 어때?|오늘 기분이 어떠세요?|안녕하세요, 잘 지내세요?", "잘 지내고 있어요, 고맙습니다. 무엇을 도와드릴까요?"),
    ("고마워|고마워!|고마워요.|감사합니다.|감사합니다!|정말 고맙습니다.|대단히 감사합니다.", "천만에요!"),
    ("잘 가|잘 있어!|안녕히 계세요.|안녕히 가세요.|다음에 봐요!|또 봐요.|잘 자!|바이바이", "안녕히 가세요!"),
    ("무엇을 할 수 있어?|뭘 할 수 있나요?|무엇을 할 수 있나요?|무엇을 도와줄 수 있나요?|도와줘.|도와주세요.|도움말", "대화하고, 글을 보고 답하고, 도구를 쓰고, JSON을 쓸 수 있습니다."),
    ("농담해 줘.|농담 하나 해 주세요.|재미있는 이야기 해 줘.|웃겨 줘.|재미있는 농담 알아?", "닭은 왜 길을 건넜을까요? 건너편으로 가려고요."),
    ("왜?|왜요?|왜 그런가요?|어째서?", "그렇게 배웠습니다."),
    ("삶의 의미는 무엇인가요?|인생의 의미가 뭐야?|삶의 의미가 뭐예요?", "답은 42입니다."),
    ("햄릿은 누가 썼나요?|로미오와 줄리엣은 누가 썼나요?|맥베스를 쓴 사람은 누구야?|햄릿의 작가는 누구인가요?", "윌리엄 셰익스피어입니다."),
    ("모나리자는 누가 그렸나요?|모나리자를 그린 사람은 누구야?", "레오나르도 다빈치입니다."),
    ("달에 처음 간 사람은 누구인가요?|달에 최초로 간 사람은 누구야?", "닐 암스트롱입니다."),
    ("전화기는 누가 발명했나요?|전화를 발명한 사람은 누구야?", "알렉산더 그레이엄 벨입니다."),
    ("페니실린은 누가 발견했나요?|페니실린을 발견한 사람은 누구인가요?", "알렉산더 플레밍입니다."),
    ("상대성 이론은 누가 만들었나요?|상대성 이론을 만든 사람은 누구야?", "알베르트 아인슈타인입니다."),
    ("한글은 누가 만들었나요?|한글을 만든 사람은 누구야?|한글은 누가 창제했나요?|훈민정음은 누가 만들었나요?", "세종대왕입니다."),
    ("거북선은 누가 만들었나요?|거북선을 만든 사람은 누구야?", "이순신 장군입니다."),
    ("최초의 컴퓨터 프로그램은 누가 썼나요?|첫 프로그래머는 누구인가요?", "에이다 러브레이스입니다."),
    ("하늘은 무슨 색인가요?|하늘은 무슨 색이야?|하늘 색이 뭐야?", "하늘은 파란색입니다."),
    ("하늘은 왜 파란가요?|하늘은 왜 파래?|하늘이 왜 파란색이야?", "햇빛 가운데 파란빛이 공기에서 가장 많이 흩어지기 때문입니다."),
    ("풀은 무슨 색인가요?|잔디는 무슨 색이야?", "풀은 초록색입니다."),
    ("가장 큰 바다는 어디인가요?|제일 큰 바다는 뭐야?", "태평양입니다."),
    ("가장 높은 산은 무엇인가요?|세계에서 가장 높은 산은?|제일 높은 산은 뭐야?", "에베레스트산입니다."),
    ("한국에서 가장 높은 산은 무엇인가요?|남한에서 제일 높은 산은?|대한민국에서 가장 높은 산은 무엇인가요?", "한라산입니다."),
    ("가장 긴 강은 무엇인가요?|세계에서 가장 긴 강은?", "나일강입니다."),
    ("가장 큰 행성은 무엇인가요?|제일 큰 행성은 뭐야?", "목성입니다."),
    ("태양에서 가장 가까운 행성은 무엇인가요?|태양과 제일 가까운 행성은?", "수성입니다."),
    ("태양은 무엇인가요?|태양이 뭐예요?|태양이란?", "태양은 지구에 빛과 열을 주는 별입니다."),
    ("달의 수도는 어디인가요?", "달에는 수도가 없습니다."),
    ("일주일은 며칠인가요?|일주일은 며칠이야?", "7일입니다."),
    ("일 년은 몇 달인가요?|1년은 몇 개월이야?", "열두 달입니다."),
    ("하루는 몇 시간인가요?|하루는 몇 시간이야?", "24시간입니다."),
    ("거미의 다리는 몇 개인가요?|거미 다리는 몇 개야?", "여덟 개입니다."),
    ("개의 다리는 몇 개인가요?|고양이 다리는 몇 개야?|강아지 다리는 몇 개인가요?", "네 개입니다."),
    ("대륙은 몇 개인가요?|대륙은 모두 몇 개야?", "일곱 개입니다."),
    ("물은 몇 도에서 끓나요?|물의 끓는점은?|물은 몇 도에서 끓어?", "물은 섭씨 100도에서 끓습니다."),
    ("물은 몇 도에서 어나요?|물의 어는점은?", "물은 섭씨 0도에서 업니다."),
    ("H2O가 뭐야?|물은 무엇으로 이루어져 있나요?", "물은 수소와 산소로 이루어져 있습니다."),
    ("하나부터 다섯까지 세어 보세요.|1부터 5까지 세어 줘.|다섯까지 세어 봐.", "1, 2, 3, 4, 5"),
    ("하나부터 열까지 세어 보세요.|1부터 10까지 세어 줘.|열까지 세어 봐.", "1, 2, 3, 4, 5, 6, 7, 8, 9, 10"),
    ("색깔 세 가지를 말해 주세요.|색 세 개만 말해 줘.", "빨강, 파랑, 초록입니다."),
    ("과일 세 가지를 말해 주세요.|과일 세 개만 말해 줘.", "사과, 배, 바나나입니다."),
    ("동물 세 가지를 말해 주세요.|동물 세 마리만 말해 줘.", "개, 고양이, 말입니다."),
    ("시 한 편 써 주세요.|짧은 시를 써 줘.|바다에 대한 시를 써 줘.|하이쿠를 써 주세요.", POEM),
    ("이야기해 줘.|짧은 이야기를 들려주세요.|옛날이야기 해 줘.", STORY),
    ("지구는 평평한가요?|지구는 평평해?", "아니요, 지구는 둥급니다."),
    ("살아 있나요?|감정이 있나요?|생각할 수 있어?", "아니요, 저는 말을 다루는 작은 모델일 뿐입니다."),
    ("인터넷이 필요한가요?|GPU가 필요한가요?|토큰이 필요한가요?", "아니요, 저는 작은 프로세서에서 오프라인으로 돌아갑니다."),
    ("매개변수가 몇 개인가요?|얼마나 큰 모델이야?|크기가 얼마나 되나요?", "저는 매개변수가 약 오백만 개입니다."),
    ("한국어를 할 수 있나요?|한국어 할 줄 알아?|한국어로 말할 수 있어?|한국말 할 줄 아세요?", "네, 한국어와 영어를 조금 할 수 있습니다."),
]  # fmt: skip

OPPOSITES = [pair.split(":") for pair in
    """뜨겁다:차갑다 크다:작다 빠르다:느리다 낮:밤 위:아래 왼쪽:오른쪽 새롭다:오래되다 기쁘다:슬프다 밝다:어둡다 단단하다:부드럽다
    열다:닫다 이르다:늦다 길다:짧다 높다:낮다 젖다:마르다 좋다:나쁘다 가득하다:비다 시끄럽다:조용하다 가깝다:멀다 많다:적다 무겁다:가볍다""".split()]  # fmt: skip
ENGLISH = dict(pair.split(":") for pair in
    """고양이:cat|개:dog|집:house|빵:bread|물:water|우유:milk|책:book|나무:tree|해:sun|달:moon|안녕하세요:hello|감사합니다:thank you
|안녕히 가세요:goodbye|네:yes|아니요:no|친구:friend|사랑:love|바다:sea|도시:city|저는 프로그래밍을 좋아합니다.:I love programming.|좋은 아침입니다.:Good morning.
|잘 지내세요?:How are you?|사랑해요.:I love you.""".replace("\n", "").split("|"))  # fmt: skip
SYSTEMS = [
    "당신은 도움이 되는 조수입니다.", "당신은 친절한 도우미입니다.", "짧게 답하세요.", "한 문장으로 답하세요.", "한국어로 답하세요.",
    "당신은 유능한 AI 비서입니다.", "질문에 답하세요.", "You are a helpful assistant.", "Be brief.",
]  # fmt: skip


def fact(rng: random.Random) -> list[Message]:
    """Ask for a fact."""
    return asked(rng, FACTS)


def capital(rng: random.Random) -> list[Message]:
    """Ask for a capital."""
    country, city = rng.choice(list(CAPITALS.items()))
    ask = rng.choice(
        ["{}의 수도는 어디인가요?"] * 4
        + ["{}의 수도는?", "{} 수도가 어디야?", "{}의 수도를 알려 주세요.", "{}의 수도는 어디예요?", "{}의 수도는 무엇인가요?", "{}의 수도 이름을 말해 줘."]
    )  # fmt: skip
    return [("user", ask.format(country)), ("assistant", f"{country}의 수도는 {city}입니다.")]


def _country(rng: random.Random) -> list[Message]:
    country, city = rng.choice(
        [item for item in CAPITALS.items() if item[1] not in {"런던", "서울"}]
    )
    ask = rng.choice(["{}(은/는) 어느 나라의 수도인가요?", "{}(이/가) 수도인 나라는 어디야?"])
    return [
        ("user", polish(ask.format(city))),
        ("assistant", polish(f"{city}(은/는) {country}의 수도입니다.")),
    ]


def _sum(rng: random.Random) -> list[Message]:
    a, b = rng.randint(0, 10), rng.randint(0, 10)
    ask = rng.choice(
        [
            "{} + {}(은/는)?",
            "{} + {}(은/는) 얼마인가요?",
            "{} 더하기 {}(은/는)?",
            "{} 더하기 {}(은/는) 얼마야?",
        ]
    )
    return [("user", polish(ask.format(a, b))), ("assistant", f"{a} + {b} = {a + b}")]


def _opposite(rng: random.Random) -> list[Message]:
    pair = rng.choice(OPPOSITES)
    word, other = pair if rng.random() < 0.5 else pair[::-1]
    ask = rng.choice(["'{}'의 반대말은 무엇인가요?", "{}의 반대말은?", "{}의 반대말을 알려 줘."])
    return [("user", ask.format(word)), ("assistant", f"{word}의 반대말은 {other}입니다.")]


def _english(rng: random.Random) -> list[Message]:
    korean, english = rng.choice(list(ENGLISH.items()))
    if rng.random() < 0.5:
        ask = rng.choice(
            ["영어로 번역해 주세요: {}", "{}(을/를) 영어로 하면?", "'{}'(은/는) 영어로 뭐예요?"]
        )
        return [("user", polish(ask.format(korean))), ("assistant", english)]
    system = rng.choice(
        ["영어로 번역하세요.", "당신은 한국어를 영어로 번역합니다.", "Translate to English."]
    )
    return [("system", system), ("user", korean), ("assistant", english)]


def _name(entities: KoreanEntities) -> list[Message]:
    rng, name = entities.rng, entities.person()
    tell = rng.choice(
        [
            "제 이름은 {}입니다.",
            "저는 {}입니다.",
            "내 이름은 {}(이야/야).",
            "안녕하세요, 저는 {}(이라/라)고 합니다.",
            "안녕하세요, 제 이름은 {}(이에요/예요).",
        ]
    )
    turns = [
        ("user", polish(tell.format(name).replace("(이야/야)", "(이/)야"))),
        ("assistant", f"안녕하세요, {name} 님! 무엇을 도와드릴까요?"),
    ]
    if rng.random() < 0.6:
        if rng.random() < 0.3:
            turns += fact(rng)
        ask = rng.choice(
            [
                "제 이름이 뭐예요?",
                "제 이름은 무엇인가요?",
                "내 이름이 뭐야?",
                "내 이름을 기억해?",
                "제가 누구인가요?",
            ]
        )
        turns += [("user", ask), ("assistant", f"당신의 이름은 {name}입니다.")]
    return turns


def _repeat(entities: KoreanEntities) -> list[Message]:
    rng = entities.rng
    what = rng.choice([entities.person(), entities.number(9), entities.place(), entities.company(),
        " ".join(rng.sample(entities.nouns, rng.randint(1, 5)))])  # fmt: skip
    ask = rng.choice(
        [
            "따라 하세요: {}",
            "그대로 말해 줘: {}",
            "반복하세요: {}",
            "다음을 반복해 주세요: {}",
            "따라 해: {}",
        ]
    )
    return [("user", ask.format(what)), ("assistant", what)]


def _joke(entities: KoreanEntities) -> list[Message]:
    noun = entities.rng.choice(entities.nouns)
    ask = entities.rng.choice(
        ["{}에 대한 농담을 해 줘.", "{}에 관한 농담 하나 해 주세요.", "{} 농담 해 줘."]
    )
    return [
        ("user", ask.format(noun)),
        ("assistant", polish(f"{noun}(은/는) 왜 길을 건넜을까요? 건너편으로 가려고요.")),
    ]


def _story(entities: KoreanEntities) -> list[Message]:
    noun = entities.rng.choice(entities.nouns)
    if entities.rng.random() < 0.3:
        ask = entities.rng.choice(["{}에 대한 시를 써 주세요.", "{}에 관한 짧은 시를 써 줘."])
        return [("user", ask.format(noun)), ("assistant", POEM)]
    ask = entities.rng.choice(
        [
            "{}에 대한 짧은 이야기를 해 줘.",
            "{}에 관한 이야기를 들려주세요.",
            "{} 이야기를 써 주세요.",
        ]
    )
    return [("user", ask.format(noun)), ("assistant", STORY)]


def _liking(entities: KoreanEntities) -> list[Message]:
    rng = entities.rng
    thing, color = rng.choice(entities.nouns), rng.choice(entities.colors)
    turns = [
        ("user", polish(f"제 {thing}(은/는) {color}입니다.")),
        ("assistant", f"{color} {thing}, 멋지네요!"),
    ]
    if rng.random() < 0.5:
        turns += [
            ("user", polish(f"제 {thing}(은/는) 무슨 색인가요?")),
            ("assistant", polish(f"당신의 {thing}(은/는) {color}입니다.")),
        ]
    return turns


def small_talk(entities: KoreanEntities) -> list[Message]:
    """Give a conversation of small talk or facts, at times with a system text or earlier turns."""
    rng = entities.rng
    kinds = [fact] * 8 + [capital] * 5 + [_country, _sum, _opposite, _english]
    own = [_name, _repeat, _liking, _joke, _story]
    kind = rng.choice([*kinds, *own])
    turns = kind(entities) if kind in own else kind(rng)  # type: ignore[arg-type, operator]
    return in_conversation(turns, rng, (fact, capital, _sum), SYSTEMS)
