# ruff: noqa: E501 - questions read better unbroken
"""Two hundred arbitrary questions, none of which the generators ask: how does an answer end?

    python training/arbitrary_questions.py --run runs/chat

A model of this size cannot answer them. It should say so in a sentence, and never run on.
"""

from __future__ import annotations

import argparse
import pathlib
from collections import Counter

import torch
from evaluate import load
from formats import FORMATS
from out_of_scope import ONLY, SORRY

ENGLISH = """\
My cat will not eat its new food, what should I try?|Which laptop would you buy for video editing?|Is it legal to collect rainwater in Ohio?|How many eggs go into a sponge cake?|Suggest a name for my bakery.
Why do onions make people cry?|Draft an email to my landlord about the broken heater.|What is the difference between a lawyer and a barrister?|How can I remove red wine from a carpet?|Plan a three day trip to Lisbon.
Does cracking your knuckles cause arthritis?|Who won the world cup in 1998?|Give me a workout for beginners without equipment.|What does the word petrichor mean?|How do airplanes stay in the air?
Rewrite this sentence in passive voice: The dog chased the ball.|What are good questions to ask on a first date?|How long should I boil an egg?|Can you recommend a science fiction novel?|What is the tallest building in Dubai?
Why is the sea salty?|Explain the plot of Pride and Prejudice.|How do I change a flat tyre?|What causes hiccups?|Should I learn Rust or Go first?
Write a limerick about a frog.|What is the GDP of Brazil?|How do vaccines train the immune system?|My code says segmentation fault, why?|What is a good gift for a ten year old?
Translate 'good night' into Swahili.|How do I stop my glasses from fogging up?|What time zone is Sydney in?|Are tomatoes fruits or vegetables?|Describe the taste of durian.
How many bones are in the human body?|What is the airspeed velocity of an unladen swallow?|Give me a riddle about time.|How does a fridge keep things cold?|What should I wear to a job interview at a bank?
Is Pluto a planet?|List the ingredients of a margarita.|How was your weekend?|Find the derivative of x cubed.|Can dogs eat grapes?
What happened in 1066?|Why do cats purr?|How do I write a SQL query with a window function?|What is the cheapest way to heat a house?|Tell me a fun fact.
Who is the author of The Hobbit?|How do I meditate when my mind races?|What is the best way to learn piano as an adult?|Why did the Roman Empire fall?|How much water should I drink each day?
Make a shopping list for tacos for six.|What are the symptoms of the flu?|How do I fold a fitted sheet?|What is inflation and why does it matter?|Could you proofread my essay?
What's the square root of 1764?|How do bees make honey?|Name five rivers in Asia.|I lost my passport abroad, what now?|What does HTTP 418 mean?
How do I get my toddler to sleep?|Which is heavier, a kilo of feathers or a kilo of iron?|What is the meaning of the word ubiquitous?|Give me three synonyms for happy.|How do electric cars charge so fast?
Write a haiku about rust.|What is the plural of octopus?|How do I invest 1000 dollars?|Is it going to snow in Denver tonight?|What were the causes of the first world war?
Teach me how to juggle.|How far is the moon from here?|What kind of music did Miles Davis play?|Convert 72 Fahrenheit to Celsius.|What is your favourite colour?
Do plants feel pain?|How do I ask for a raise?|What is the smallest country in the world?|Please summarise the news.|Why is my internet slow?
What are the rules of offside?|Give me a recipe with chickpeas and spinach.|How old is the universe?|Can you sing?|How do you spell necessary?
What is the best season to visit Kyoto?|How does GPS know where I am?|My plant has yellow leaves.|Tell me about your childhood.|qwertyuiop zxcvbnm
How do I descale a kettle?|Is a hotdog a sandwich?|Who painted the ceiling of the Sistine Chapel?|My bike chain keeps falling off.|How many moons does Jupiter have?"""
KOREAN = """\
고양이가 새 사료를 안 먹는데 어떻게 하죠?|영상 편집용 노트북 하나 골라 주세요.|카스텔라에 달걀이 몇 개 들어가요?|빵집 이름 좀 지어 줘.|양파를 썰면 왜 눈물이 나요?
집주인에게 보일러가 고장 났다고 메일을 써 줘.|변호사와 법무사는 뭐가 달라요?|카펫에 쏟은 와인은 어떻게 지우나요?|강릉 2박 3일 일정 짜 줘.|손가락을 꺾으면 관절염에 걸리나요?
1998년 월드컵은 어느 나라가 우승했어?|기구 없이 하는 초보 운동 알려 줘.|'윤슬'이 무슨 뜻이에요?|비행기는 어떻게 하늘에 떠 있어?|소개팅에서 뭘 물어보면 좋을까요?
달걀은 몇 분 삶아야 해요?|공상 과학 소설 추천해 줄래?|두바이에서 제일 높은 건물이 뭐였지?|홍길동전 줄거리를 말해 줘.|펑크 난 타이어는 어떻게 갈아요?
딸꾹질은 왜 나는 걸까?|러스트랑 고 중에 뭘 먼저 배울까?|개구리로 오행시 지어 봐.|브라질의 국내총생산은 얼마야?|백신이 몸에서 어떻게 작용하는지 궁금해요.
세그멘테이션 폴트가 나는데 왜 그럴까?|열 살 아이 선물로 뭐가 좋아?|'잘 자요'를 스와힐리어로 뭐라고 해?|안경에 김이 안 서리게 하는 방법 있어요?|시드니는 지금 몇 시예요?
토마토는 과일이야 채소야?|두리안은 무슨 맛이야?|사람 몸에는 뼈가 몇 개 있나요?|시간에 관한 수수께끼 내 봐.|냉장고는 어떻게 차갑게 하는 거야?
은행 면접에는 뭘 입고 가야 하죠?|명왕성은 행성이에요?|마르가리타 재료 알려 줘.|주말 잘 보냈어?|x의 세제곱을 미분하면?
강아지가 포도를 먹어도 되나요?|1592년에 무슨 일이 있었지?|고양이는 왜 골골거려?|윈도우 함수를 쓰는 SQL 좀 써 줘.|난방비 아끼는 법 알려 주세요.
재밌는 사실 하나 말해 봐.|호빗을 쓴 작가가 누구더라?|잡생각이 많을 때 명상은 어떻게 해?|어른이 피아노를 배우려면 어떻게 시작하죠?|로마는 왜 망했을까?
하루에 물을 얼마나 마셔야 해요?|여섯 명이 먹을 타코 장보기 목록 만들어 줘.|독감 증상이 뭐예요?|이불 커버 쉽게 끼우는 법?|물가가 오르면 왜 문제야?
내 글 맞춤법 좀 봐 줘.|1764의 제곱근은 얼마게?|벌은 꿀을 어떻게 만들어?|아시아의 강 다섯 개만 대 봐.|외국에서 여권을 잃어버렸어요.
HTTP 418은 무슨 뜻이야?|아기가 잠을 안 자요.|깃털 1킬로와 쇠 1킬로 중 뭐가 무거워?|'편재하다'는 무슨 뜻인가요?|'기쁘다'와 비슷한 말 세 개만.
전기차는 어떻게 그렇게 빨리 충전돼?|녹슨 자전거로 시를 지어 줘.|천만 원을 어디에 투자할까?|오늘 밤 대전에 눈 와?|1차 세계 대전은 왜 일어났나요?
저글링 가르쳐 줘.|달까지 거리가 얼마나 돼?|마일스 데이비스는 무슨 음악을 했어?|화씨 72도는 섭씨 몇 도야?|네가 제일 좋아하는 색은?
식물도 아픔을 느껴?|연봉 올려 달라고 어떻게 말하지?|세상에서 제일 작은 나라는 어디야?|오늘 소식 좀 정리해 줘.|인터넷이 왜 이렇게 느려?
오프사이드가 뭔지 설명 좀.|병아리콩으로 뭘 만들 수 있어?|우주는 몇 살이야?|노래할 줄 알아?|'됬다'가 맞아 '됐다'가 맞아?
교토는 언제 가는 게 제일 좋아?|GPS는 내 위치를 어떻게 알아?|화분 잎이 노래졌어요.|네 어린 시절 얘기해 줘.|ㅁㄴㅇㄹ ㅂㅈㄷㄱ
맛집 추천 좀|배고파|이거 어떻게 해?|주민등록등본은 어디서 떼요?|김밥 옆구리가 자꾸 터져요.
주전자 물때는 어떻게 없애죠?|짬짜면은 누가 만들었어?|천장화를 그린 화가가 누구였더라?|자전거 체인이 자꾸 빠져요.|목성에는 달이 몇 개 있어?"""


def questions(text: str) -> list[str]:
    """Give the questions of a table."""
    return [each for line in text.splitlines() for each in line.split("|")]


def main() -> None:
    """Print how many answers are the honest sentence, and the longest of the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=pathlib.Path, required=True)
    parser.add_argument("--formats", nargs="*", default=["zephyr", "chatml"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = load(options.run)
    for name in options.formats:
        for language, table in (("en", ENGLISH), ("ko", KOREAN)):
            told: Counter[str] = Counter()
            lengths = []
            for question in questions(table):
                answer = generator.complete(FORMATS[name]([("user", question)]), 300)
                lengths.append(len(generator.tokenizer.encode(answer).ids) - 1)
                known = answer.strip() in {SORRY[language], ONLY}
                told["sorry" if known else "other"] += 1
                if not known:
                    print(f"  {question} -> {answer.strip()[:100]}")
            print(f"{name} {language}: {dict(told)}, longest {max(lengths)} tokens")


if __name__ == "__main__":
    main()
