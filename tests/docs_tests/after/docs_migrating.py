assert llm == EasyLLMChat(base_url="http://localhost:8080", temperature=0)
assert chain.last == llm
