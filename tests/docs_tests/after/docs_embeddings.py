from tests.support import fake_embedding_servers

assert query == fake_embedding_servers.vector_of("query: When does the train leave?")
assert array.tolist() == vectors[:1]
assert printed[0].count("(1024, ") == 4
assert len(best) == 1
assert len(scores) == 2
qdrant.client.close()
assert len(likely) == 1
