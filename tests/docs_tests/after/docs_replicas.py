assert [one.text for one in answers] == ["391"] * 200
assert len(vectors) == 2_000
assert answer.text == "391"
for server in servers.values():
    assert any(request.method == "POST" for request in server.requests)
