from tests.support import fake_embedding_servers

texts = ["What is the meaning of life?", "What is the sun?"]
assert vectors == fake_embedding_servers.vectors_of(texts)
assert "".join(printed) == "Bonjour !\nBonjour !"
