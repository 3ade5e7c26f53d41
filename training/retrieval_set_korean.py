# ruff: noqa: E501 - tables of sentences read better unbroken
"""The Korean counterpart of `retrieval_set.py`: the same subjects in the same order.

Written for this project. The queries avoid the passages' words where Korean lets them. Because the
subjects are the same, a Korean query can also be tried on the English passages, and the other way
round. The first five groups were looked at while settings were chosen (`SEEN`); the others, and a
second set of other subjects (`UNSEEN`), were measured once, at the end.
"""

from __future__ import annotations

# (passage, query, query)
PASSAGES: list[tuple[str, str, str]] = [
    # Cooking
    ("반죽을 따뜻한 곳에 두었다가 두 배로 부풀면 가스를 빼고 둥글게 빚는다.", "빵 굽기 전에 발효는 얼마나 하나요", "이스트 넣은 빵 모양 만들기"),
    ("약한 불 위에서 노른자와 설탕을 저어 크림이 걸쭉해지게 하되 절대 끓이지 않는다.", "커스터드가 몽글몽글 뭉치지 않게 하려면", "달걀로 만드는 달콤한 소스"),
    ("가지를 썰어 소금을 뿌리면 물이 빠지니, 물기를 닦은 뒤 뜨거운 기름에 넣는다.", "채소를 튀기기 전에 왜 말려야 하나", "가지볶음 재료 손질"),
    ("무쇠 프라이팬은 세제로 씻지 말고 닦아서 데운 다음 기름을 얇게 바른다.", "주물 팬 관리하는 방법", "길들인 조리 도구 청소"),
    ("육수는 냉장고에서 사흘, 냉동실에서 반년 동안 보관할 수 있다.", "국물을 며칠이나 두고 먹어도 되나요", "멸치 국물 얼려 두기"),
    ("잘 익은 망고는 누르면 살짝 들어가고 꼭지 쪽에서 달콤한 향이 난다.", "시장에서 열대 과일 고르는 법", "이 과일 지금 먹어도 될까"),
    # Travel
    ("빈으로 가는 야간열차는 열 시에 출발하며 샤워실이 딸린 침대칸이 있다.", "오스트리아까지 밤에 기차로 가기", "이동하면서 자고 갈 수 있나요"),
    ("여권은 출국일로부터 여섯 달 이상 유효 기간이 남아 있어야 한다.", "해외여행 서류 만료 규정", "신분증이 언제까지 쓸 수 있어야 하나요"),
    ("기내 가방에 넣는 액체는 한 통에 백 밀리리터를 넘으면 안 된다.", "비행기에 샴푸 들고 타도 되나요", "공항 보안 검색에서 걸리는 물건"),
    ("바람이 풍속 기준을 넘으면 섬으로 가는 여객선은 운항하지 않는다.", "폭풍 때문에 배가 취소됐어요", "날씨가 나쁠 때 제주도에 건너갈 수 있나"),
    ("산장은 정오 전에 전화로 예약해야 하고 카드는 받지 않는다.", "등산하다가 하룻밤 묵을 곳 잡기", "대피소에서 신용 결제 가능한가요"),
    ("일본에서는 팁을 주면 실례이며, 친절은 값에 포함되어 있다.", "도쿄 식당에서 봉사료를 남겨야 하나", "동아시아 음식점 예절"),
    # Health
    ("성인은 일곱 시간에서 아홉 시간을 자야 하고 노인은 조금 덜 자도 된다.", "어른에게 필요한 수면 시간", "하루에 얼마나 쉬어야 피로가 풀리나"),
    ("발목을 삐면 처음 이틀은 쉬고 차게 하며 붕대를 감아 높이 올려 둔다.", "다리를 접질렸을 때 응급 처치", "관절을 다쳤어요"),
    ("독감 바이러스는 해마다 변하므로 가을마다 예방 접종을 새로 한다.", "인플루엔자 주사를 매년 맞는 이유", "환절기 백신"),
    ("고혈압은 대개 아프지 않아서 재어 보아야만 알 수 있다.", "혈압이 높으면 어떤 증상이 있나요", "내 몸의 압력이 정상인지 느껴지나"),
    ("하루 두 번 이 분씩 이를 닦고 칫솔은 석 달마다 바꾼다.", "치아 건강을 지키는 습관", "양치 도구는 언제 교체하나"),
    ("어두운 데서 책을 읽으면 눈이 피곤할 뿐 나빠지지는 않는다.", "불 끄고 독서하면 시력에 해롭나요", "밤에 스마트폰을 오래 봤을 때의 피로"),
    # Money
    ("고정 금리 주택 담보 대출은 처음에는 비싸지만 절대 오르지 않는다.", "이자가 변하지 않는 집 융자", "기준 금리 인상에 대비하려면"),
    ("석 달 치 생활비는 바로 찾을 수 있는 통장에 넣어 둔다.", "비상금은 얼마가 적당한가", "갑자기 돈이 필요할 때를 위한 저축"),
    ("지수 펀드는 시장의 모든 주식을 담고 수수료가 아주 낮다.", "싸게 증권에 투자하는 방법", "초보자를 위한 재테크 상품"),
    ("업무 식사 영수증은 세무 조사에 대비해 십 년 동안 보관한다.", "경비 증빙 서류를 언제까지 두어야 하나", "국세청이 요구할 수 있는 자료"),
    ("비밀번호를 세 번 틀리면 카드가 막히고 은행이 새 카드를 우편으로 보낸다.", "현금 인출기에서 핀 번호가 기억 안 나요", "암호 입력 오류로 정지됐을 때"),
    ("물가 상승은 일상 용품을 담은 장바구니의 값으로 잰다.", "인플레이션은 어떻게 측정하나요", "생활비가 왜 자꾸 비싸지나"),
    # Programming
    ("뮤텍스는 한 번에 한 스레드만 임계 구역에 들어가게 한다.", "경쟁 상태를 막는 방법", "여러 작업이 공유하는 데이터 잠그기"),
    ("가비지 컬렉터는 어떤 루트에서도 닿을 수 없는 객체를 해제한다.", "자동 메모리 관리", "쓰지 않는 메모리는 언제 반환되나"),
    ("열에 인덱스를 만들면 테이블 전체를 훑는 대신 트리를 빠르게 찾는다.", "데이터베이스 질의 속도 높이기", "SQL이 느린 까닭"),
    ("커밋 메시지는 무엇을 왜 바꾸는지 한 줄로 적는다.", "버전 관리의 좋은 습관", "깃 기록을 쓰는 요령"),
    ("단위 테스트는 함수 하나를, 통합 테스트는 부품들이 함께 동작하는지를 검사한다.", "소프트웨어 시험 종류의 차이", "모듈을 따로 확인할까 합쳐서 확인할까"),
    ("아무도 잡지 않은 예외는 프로그램을 끝내고 호출 스택을 출력한다.", "처리하지 못한 오류가 나면 어떻게 되나요", "트레이스백 읽기"),
    ("도커 이미지는 층층이 빌드되고 바뀌지 않은 레이어는 캐시에서 가져온다.", "컨테이너 만드는 시간을 줄이려면", "일부만 다시 생성되는 이유"),
    ("정규식은 올바른 날짜 전부처럼 문자열의 집합을 나타낸다.", "글에서 패턴 찾기", "문서에서 전화번호 추출하는 법"),
    # Language models
    ("컨텍스트 창은 모델이 한 번에 받아들일 수 있는 토큰의 수이다.", "프롬프트 최대 길이", "긴 문서가 중간에 잘리는 까닭"),
    ("온도가 0이면 모델은 언제나 가장 확률이 높은 다음 단어를 고른다.", "항상 똑같은 답변을 얻으려면", "출력을 결정적으로 만들기"),
    ("검색 증강 생성은 찾아낸 단락을 프롬프트에 넣는다.", "내 파일을 보고 대답하는 챗봇", "문서를 이용해 환각 줄이기"),
    ("미세 조정은 수천 개의 과제 예시로 가중치를 바꾼다.", "신경망에 새 일을 가르치기", "사전 학습된 모델을 우리 분야에 맞추려면"),
    ("채팅 템플릿은 메시지 목록을 모델이 학습한 형식의 글로 바꾼다.", "라마의 대화 형식", "차례마다 붙는 특수 토큰"),
    ("임베딩은 뜻이 비슷한 글이 가까이 놓이는 벡터이다.", "문장을 숫자로 표현하기", "의미 유사도"),
    # Nature
    ("꿀벌은 어두운 벌집 안에서 춤을 추어 꽃이 있는 곳을 알린다.", "곤충이 먹이 위치를 나누는 방법", "벌들의 의사소통"),
    ("밀물과 썰물은 달의 인력을 따르고 해의 영향도 조금 받는다.", "바닷물이 오르내리는 이유", "조수 간만의 원인"),
    ("참나무는 어떤 해에 다 같이 도토리를 훨씬 많이 떨어뜨린다.", "올해 나무 열매가 유난히 많은 까닭", "숲에서 몇 년마다 오는 풍년"),
    ("제비는 가을에 남쪽 나라로 날아갔다가 사월에 돌아온다.", "겨울에 새들은 어디로 가나요", "작은 철새의 이동"),
    ("천천히 식은 용암은 큰 결정을 만들고 빨리 식으면 유리가 된다.", "흑요석은 어떻게 생기나", "화산에서 나온 암석"),
    ("박쥐는 자기 울음소리의 메아리로 나방을 찾는다.", "캄캄한 밤에 초음파로 사냥하는 동물", "깜깜한데 어떻게 날아다닐까"),
    # History
    ("활자를 쓰는 인쇄기는 십오 세기 중반에 유럽에 나타났다.", "책값이 싸진 것은 언제인가", "구텐베르크의 발명"),
    ("수에즈 운하 덕분에 배들은 아프리카를 돌아가지 않아도 된다.", "유럽과 아시아를 잇는 바닷길 지름길", "이집트의 중요한 수로"),
    ("1666년 큰불이 난 뒤 런던은 벽돌과 돌로 다시 지어졌다.", "도시가 타 버린 다음 무엇이 달라졌나", "영국 수도의 재난"),
    ("도시를 잇는 첫 철도는 리버풀과 맨체스터 사이에 놓였다.", "영국의 초기 기차", "열차 여행의 시작"),
    ("스위스 여성은 1971년에야 연방 선거에서 투표할 수 있었다.", "알프스 나라의 여자 참정권", "유럽에서 남녀 평등이 늦은 곳"),
    ("비단길은 옷감뿐 아니라 종이와 향신료와 사상도 날랐다.", "고대 중국과 서양의 무역", "실크로드로 오간 상품"),
    # House and garden
    ("토마토는 아침에 뿌리 쪽에 물을 주고 잎에는 뿌리지 않는다.", "텃밭 채소 키우기", "식물이 병에 안 걸리게 하려면"),
    ("라디에이터에서 꾸르륵 소리가 나거나 위쪽이 차가우면 일 년에 한 번 공기를 뺀다.", "난방기에서 잡음이 나요", "보일러 배관에 찬 바람 제거"),
    ("잔디밭의 이끼는 그늘과 산성 흙의 표시이며 석회가 도움이 된다.", "마당에 풀이 잘 자라지 않는 이유", "정원에 낀 초록색 없애기"),
    ("콘센트를 바꾸기 전에 두꺼비집에서 전기를 내린다.", "집에서 감전 사고를 막는 법", "벽에 있는 플러그 구멍 교체"),
    ("낡은 페인트는 사포로 갈고 씻어 낸 뒤 새로 칠해야 벗겨지지 않는다.", "벽에 색을 입히기 전 준비", "도색이 자꾸 떨어져요"),
    ("장미는 개나리가 피는 삼월에 가지를 친다.", "관목을 자르기 좋은 때", "봄에 하는 꽃나무 손질"),
    # Office and law
    ("양쪽 모두 분기 말 석 달 전에 알리면 계약을 끝낼 수 있다.", "회사를 그만두려면 어떻게 하나요", "퇴사 통보 기간"),
    ("초과 근무는 반년 안에 수당이나 휴가로 보상한다.", "야근하면 무엇을 받나", "늦게까지 일한 시간의 급여"),
    ("작은 수리는 한 해 십만 원까지 세입자가 낸다.", "월세 집 수도꼭지가 새면 누가 고치나", "집주인과 임차인의 유지 보수 책임"),
    ("개인 정보는 목적에 더 필요하지 않으면 지운다.", "고객 기록의 프라이버시 규정", "기업은 내 데이터를 얼마 동안 가지고 있나"),
    ("온라인에서 산 물건은 이유 없이 십사 일 안에 돌려보낼 수 있다.", "인터넷 쇼핑 반품 정책", "구매한 뒤에 마음이 바뀌었어요"),
    ("회의록은 참석자 모두에게 일주일 안에 보낸다.", "미팅 내용을 누가 받나요", "컨퍼런스가 끝난 뒤의 기록"),
]  # fmt: skip

SEEN = 32
"""How many passages, from the first on, were looked at while settings were chosen."""

# (passage, query, query, the passage in English): other subjects, written after the dictionary of
# `korean_words.py`, and measured once, at the end.
UNSEEN: list[tuple[str, str, str, str]] = [
    # Sport
    ("마라톤 선수는 경기 전날 탄수화물을 많이 먹어 근육에 글리코겐을 쌓는다.", "장거리 달리기 앞두고 식단은 어떻게", "시합 전에 몸에 에너지 채우기", "Marathon runners eat a lot of carbohydrates the day before the race to fill their muscles with glycogen."),
    ("축구에서 골키퍼는 벌칙 구역 밖에서 손을 쓰면 퇴장당할 수 있다.", "수문장이 레드카드를 받는 때", "공을 손으로 잡아도 되는 범위", "In football a goalkeeper who handles the ball outside the penalty area can be sent off."),
    ("수영장에 들어가기 전에는 샤워를 하고 수영모를 꼭 써야 한다.", "물놀이 시설 이용 수칙", "헤엄치러 갈 때 머리에 쓰는 것", "Before entering the pool you must shower and wear a swimming cap."),
    ("야구 투수의 어깨는 던지고 나서 나흘은 쉬어야 회복된다.", "선발로 나온 다음 며칠 뒤에 다시 등판하나", "공을 많이 던진 팔의 휴식", "A pitcher's shoulder needs four days of rest after a game to recover."),
    ("태권도는 발차기 기술이 많고 띠의 색으로 실력을 나타낸다.", "한국 전통 무술의 등급", "하얀 허리끈과 검은 허리끈의 뜻", "Taekwondo has many kicks, and the colour of the belt shows the rank."),
    # Music and art
    ("바이올린은 활로 네 줄을 문질러 소리를 내는 현악기이다.", "클래식 악기의 연주 원리", "오케스트라에서 제일 작은 줄 악기", "The violin is a string instrument whose four strings are sounded with a bow."),
    ("유화 물감은 마르는 데 며칠이 걸리므로 덧칠하기 좋다.", "그림이 천천히 굳는 재료", "화가가 색을 고쳐 그릴 수 있는 까닭", "Oil paint takes days to dry, so it is easy to paint over."),
    ("판소리는 소리꾼 한 사람이 북 장단에 맞추어 긴 이야기를 노래한다.", "우리나라 전통 음악극", "고수와 함께하는 공연", "In pansori a single singer tells a long story to the beat of a drum."),
    ("박물관 안에서는 플래시를 켜고 사진을 찍을 수 없다.", "전시실 촬영 규정", "유물을 빛에서 보호하기", "Taking photographs with a flash is not allowed inside the museum."),
    # Weather and sky
    ("태풍의 눈 안에서는 바람이 거의 없고 하늘이 맑다.", "폭풍 한가운데는 왜 조용한가", "허리케인 중심의 날씨", "In the eye of a typhoon there is hardly any wind and the sky is clear."),
    ("무지개는 햇빛이 빗방울 속에서 꺾이고 반사되어 생긴다.", "비 온 뒤 하늘에 일곱 색 띠가 보이는 이유", "빛의 굴절이 만드는 현상", "A rainbow appears when sunlight is bent and reflected inside raindrops."),
    ("월식은 지구의 그림자가 보름달을 가릴 때 일어난다.", "달이 붉게 보이는 밤", "천체가 일직선으로 놓이면", "A lunar eclipse happens when the shadow of the earth covers the full moon."),
    ("화성의 하루는 지구보다 사십 분쯤 길다.", "붉은 행성의 자전 주기", "다른 별에서는 시간이 어떻게 흐르나", "A day on Mars is about forty minutes longer than on Earth."),
    ("황사는 봄에 몽골 사막에서 불어와 하늘을 누렇게 만든다.", "중국 쪽에서 오는 먼지", "마스크를 써야 하는 계절", "Yellow dust blows in from the Mongolian desert in spring and turns the sky yellow."),
    # School and family
    ("도서관에서 빌린 책은 두 주 안에 돌려주고 한 번 연장할 수 있다.", "대출 기간이 얼마나 되나요", "반납을 미루려면", "Books borrowed from the library are returned within two weeks and can be renewed once."),
    ("수강 신청은 학번 순서가 아니라 선착순으로 받는다.", "대학교 강의 등록 방법", "인기 과목에 들어가려면 빨리 해야 하나", "Course registration is first come, first served, not by student number."),
    ("세 살까지는 아이가 낮잠을 자는 것이 뇌 발달에 좋다.", "유아는 낮에도 재워야 하나", "어린애의 수면과 두뇌", "Until the age of three, naps are good for a child's brain."),
    ("할머니 댁에는 명절마다 온 친척이 모여 만두를 빚는다.", "설날에 가족이 함께 만드는 음식", "추석에 어디에서 만나나", "At every holiday all the relatives gather at grandmother's house and make dumplings."),
    # Animals
    ("고양이는 혓바닥의 돌기로 털을 빗어 스스로 몸을 깨끗이 한다.", "애완동물이 자기 몸을 핥는 까닭", "야옹이 목욕이 필요 없는 이유", "Cats comb their fur with the hooks on their tongue and keep themselves clean."),
    ("연어는 바다에서 자라다가 알을 낳으러 태어난 강으로 돌아온다.", "물고기가 물살을 거슬러 올라가는 이유", "고향을 찾아가는 동물", "Salmon grow up in the sea and return to the river of their birth to lay eggs."),
    ("낙타의 혹에는 물이 아니라 지방이 들어 있다.", "사막 동물의 등에 있는 것", "오래 굶어도 버티는 비결", "A camel's hump holds fat, not water."),
    ("개에게 초콜릿을 먹이면 중독되어 죽을 수도 있다.", "강아지가 먹으면 안 되는 간식", "반려견에게 위험한 단것", "Chocolate is poisonous to dogs and can kill them."),
    # Transport and the city
    ("지하철 막차는 자정 무렵에 끊기고 첫차는 다섯 시 반에 다닌다.", "밤늦게 전철을 탈 수 있는 시간", "새벽에 대중교통이 시작되는 시각", "The last underground train runs around midnight and the first at half past five."),
    ("전기차는 급속 충전기로 삼십 분이면 팔십 퍼센트까지 찬다.", "배터리 자동차 충전 시간", "휴게소에서 잠깐 쉬는 동안 주행 거리 늘리기", "A fast charger fills an electric car to eighty percent in half an hour."),
    ("횡단보도에서는 보행자가 먼저이므로 차가 멈추어야 한다.", "운전자가 지켜야 할 우선순위", "길을 건너는 사람에게 양보", "Pedestrians have priority at a crossing, so cars must stop."),
    ("재활용 쓰레기는 종이와 유리와 플라스틱으로 나누어 내놓는다.", "분리수거하는 법", "빈 병을 어디에 버리나", "Recyclable waste is sorted into paper, glass and plastic."),
    # Running software
    ("인증서가 만료되면 브라우저가 사이트에 경고를 띄운다.", "HTTPS 접속이 안전하지 않다고 나와요", "보안 연결 유효 기간이 지났을 때", "When the certificate has expired, the browser shows a warning for the site."),
    ("백업은 다른 건물에 한 벌 더 두고 복원을 연습해 본다.", "자료를 잃지 않으려면", "서버실에 불이 나도 괜찮게", "Keep another copy of the backup in a different building and practise restoring it."),
    ("서버가 429로 답하면 요청을 줄이고 잠시 뒤에 다시 보낸다.", "너무 많이 호출했다는 응답을 받았어요", "API 사용 한도를 넘으면", "If the server answers 429, send fewer requests and try again after a while."),
    ("로그에는 비밀번호나 토큰을 절대 남기지 않는다.", "민감한 값이 출력되지 않게 하기", "기록 파일의 보안", "Never leave passwords or tokens in the logs."),
]  # fmt: skip
