assert printed[0] == "{'max_input_tokens': 1024, 'structured_output': True}\n"
assert isinstance(llm, EasyLLMChat)
assert llm.model == "Qwen/Qwen3-32B"
