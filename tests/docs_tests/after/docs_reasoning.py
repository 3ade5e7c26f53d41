sent = [request.json for request in servers["8080"].requests if request.method == "POST"]
assert [body.get("reasoning_effort") for body in sent] == ["low", "high", None]
assert sent[2]["chat_template_kwargs"] == {"enable_thinking": False, "thinking": False}
