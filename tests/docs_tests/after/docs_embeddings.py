from tests.support import fake_embedding_servers

assert query == fake_embedding_servers.vector_of("query: When does the train leave?")
assert array.tolist() == vectors[:1]
assert "".join(printed).count("(1024, ") == 4
qdrant.client.close()
assert len(likely) == 1
