from pathlib import Path

import pytest

from langchain_easyllm import errors
from tests.support.fake_server import Reply

for client in (through_socks, over_a_unix_socket, with_http2, with_a_certificate):
    client.close()
assert "".join(printed).replace("GET 200\n", "") == "Paris.\n" * 2 + "POST 200\nParis."
assert first == "Paris."
assert [path.name for path in Path().iterdir()] == ["capital.yaml"]
own = StandardLibraryClient()
for status, kind in ((503, errors.ServerError), (307, errors.ProtocolError)):
    servers["8080"].on("POST", "/v1/chat/completions", Reply("no", status=status))
    model = EasyLLMChat(base_url="http://localhost:8080", http_client=own, max_retries=0)
    with pytest.raises(kind) as caught:
        model.invoke("Hi")
    assert caught.value.status_code == status
