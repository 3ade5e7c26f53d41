# ruff: noqa: E501, SIM905 - tables of words read better unbroken
"""Korean words, names and particles: the Korean half of `entities.py`.

A particle follows the sound of the word before it: `polish` turns "바다(은/는)" into "바다는" and
"산(은/는)" into "산은". Numbers and Latin letters count by how they are read.
"""

from __future__ import annotations

import re

from entities import Entities, held_out

FAMILY = "김 이 박 최 정 강 조 윤 장 임 한 오 서 신 권 황 안 송 류 홍 전 고 문 양 손 배 백 허 유 남 심 노 하 곽 성 차 주 우 구 민 진 나 지 엄 원 천 방 공 현 함 변 염 여 추 도 소 석 선 설 마 길 연 위 표 명 기 반 왕 금 옥 육 인 맹 제 모 탁 국 어 은 편 용".split()
GIVEN = "가 강 건 경 관 광 교 구 국 규 균 근 기 나 남 다 단 달 담 대 도 동 두 라 람 래 려 령 로 루 린 림 마 만 명 모 문 미 민 배 백 범 별 병 보 봄 빈 빛 산 상 새 서 석 선 설 섭 성 세 소 솔 송 수 숙 순 슬 승 시 식 신 아 안 애 연 열 엽 영 예 오 옥 온 완 용 우 욱 운 웅 원 월 유 윤 율 은 의 이 인 일 재 전 정 제 조 종 주 준 중 지 진 찬 창 채 천 철 초 춘 충 태 하 학 한 해 현 형 혜 호 홍 화 환 효 훈 휘 희".split()
# Syllables of invented words: they sound like names of places and firms.
SOUNDS = "가 나 다 라 마 바 사 아 자 차 카 타 파 하 거 너 더 러 머 버 서 어 저 처 커 터 퍼 허 고 노 도 로 모 보 소 오 조 초 코 토 포 호 구 누 두 루 무 부 수 우 주 추 쿠 투 푸 후 그 느 드 르 므 브 스 으 즈 츠 크 트 프 흐 기 니 디 리 미 비 시 이 지 치 키 티 피 히 개 내 대 래 매 배 새 애 재 채 태 해 게 네 데 레 메 베 세 에 제 테 헤 간 난 단 란 만 반 산 안 잔 찬 칸 탄 판 한 건 던 런 먼 번 선 언 전 천 헌 곤 돈 론 몬 본 손 온 존 톤 폰 군 눈 둔 룬 문 분 순 운 준 훈 긴 닌 딘 린 민 빈 신 인 진 친 킨 틴 핀 갈 날 달 랄 말 발 살 알 잘 찰 칼 탈 팔 할 걸 덜 벌 설 얼 절 철 헐 골 놀 돌 롤 몰 볼 솔 올 졸 콜 톨 홀 굴 둘 룰 물 불 술 울 줄 쿨 툴 풀 훌 길 닐 딜 릴 밀 빌 실 일 질 칠 킬 틸 필 감 남 담 람 맘 밤 삼 암 잠 참 캄 탐 함 곰 놈 돔 롬 봄 솜 옴 좀 홈 금 늠 름 음 흠 김 님 딤 림 밈 빔 심 임 짐 침 강 낭 당 랑 망 방 상 앙 장 창 캉 탕 팡 항 경 녕 령 명 병 성 영 정 청 형 공 농 동 롱 몽 봉 송 옹 종 총 콩 통 홍 궁 둥 룽 뭉 붕 숭 웅 중 충 쿵 퉁 풍 훙 각 낙 닥 락 막 박 삭 악 작 착 칵 탁 팍 학 벽 석 역 적 척 혁 곡 녹 독 록 목 복 속 옥 족 촉 콕 톡 폭 혹 국 눅 둑 룩 묵 북 숙 욱 죽 축 쿡 툭 푹 훅".split()
NOUNS = "사과 공 종 자전거 책 배 병 상자 빵 솔 사진기 초 양탄자 의자 시계 구름 외투 동전 컵 문 북 엔진 깃털 울타리 깃발 꽃 포크 여우 정원 유리잔 기타 망치 항구 모자 말 집 재킷 주전자 열쇠 칼 사다리 등불 잎 레몬 편지 지도 거울 산 바늘 양파 종이 연필 피아노 베개 접시 주머니 연못 라디오 강 길 로켓 지붕 밧줄 안장 소금 학교 신발 은 눈 비누 숟가락 별 돌 식탁 찻주전자 표 호랑이 탑 기차 나무 트럭 바이올린 수레 벽 손목시계 고래 바퀴 창문 늑대 우산 가방 안경 달력 냄비 부채 도자기 붓 인형 풍선".split()
COLORS = "빨간색 파란색 초록색 노란색 검은색 흰색 주황색 보라색 갈색 회색 분홍색".split()
JOBS = "배우 가수 화가 작가 교사 기술자 의사 변호사 농부 제빵사 조종사 과학자 선원 간호사 요리사 무용수 시인 건축가 은행원 목수".split()
RELATIONS = "아내 남편 여자친구 남자친구 아버지 어머니 누나 여동생 형 남동생 딸 아들 선생님 상사 친구 동료 삼촌 고모 사촌 코치 매니저 주치의 이웃 멘토".split()

# Digits and letters that are read with a consonant at their end; of them, those read with an "l".
_CLOSED, _L = set("013678LMNRlmnr"), set("178LRlr")
_PARTICLE = re.compile(
    r"(\S)([\"'”’)]*)\((은/는|이/가|을/를|과/와|으로/로|이에요/예요|이라/라|이/)\)"
)


def closed(char: str) -> tuple[bool, bool]:
    """Tell whether a word that ends with `char` ends with a consonant, and whether that is an "l"."""
    if "가" <= char <= "힣":
        final = (ord(char) - ord("가")) % 28
        return final != 0, final == 8
    return char in _CLOSED, char in _L


def polish(text: str) -> str:
    """Choose the particles of a text, as "(은/는)", by the words before them."""

    def choose(found: re.Match[str]) -> str:
        char, quotes, forms = found.groups()
        after_consonant, after_vowel = forms.split("/")
        ends, on_l = closed(char)
        if forms == "으로/로" and on_l:
            ends = False
        return char + quotes + (after_consonant if ends else after_vowel)

    return _PARTICLE.sub(choose, text)


class KoreanEntities(Entities):
    """Draws Korean names, and the same numbers as `Entities`."""

    language = "ko"
    nouns, colors, jobs, relations = NOUNS, COLORS, JOBS, RELATIONS

    def made_up(self, syllables: int = 0) -> str:
        """Give an invented word of two to four syllables."""
        count = syllables or self.rng.choice((2, 2, 3, 3, 4))
        while True:
            word = "".join(self.rng.choice(SOUNDS) for _ in range(max(2, count)))
            if held_out(word) == self.test:
                return word

    def river(self) -> str:
        """Give the name of a river, with the word for river that ends it."""
        return f"{self.made_up()}강"

    def first(self) -> str:
        """Give a given name."""
        while True:
            name = self.rng.choice(GIVEN) + self.rng.choice(GIVEN)
            if held_out(name) == self.test:
                return name

    def last(self) -> str:
        """Give a family name: they are few, so both halves share them."""
        return self.rng.choice(FAMILY)

    def person(self) -> str:
        """Give a full name; one in ten is foreign, written in Hangul."""
        if self.rng.random() < 0.1:
            return f"{self.made_up()} {self.made_up()}"
        return self.last() + self.first()

    def people(self, count: int) -> list[str]:
        """Give `count` different full names."""
        found: list[str] = []
        while len(found) < count:
            name = self.person()
            if name not in found:
                found.append(name)
        return found

    def place(self) -> str:
        """Give an invented town."""
        return self.made_up() + self.rng.choice(["", "", "시", "군", "읍", "마을", "동"])

    def company(self) -> str:
        """Give an invented company."""
        return self.made_up() + self.rng.choice(
            ["", "", "전자", "은행", "식품", "자동차", " 그룹", "소프트", "건설"]
        )
