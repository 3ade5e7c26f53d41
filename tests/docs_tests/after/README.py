assert "".join(printed).count("Bonjour !") >= 4
assert "17 times 23 is 391.\n" in printed
assert answers == ["Bonjour !"] * 200
assert str(person) == "name='Ida Lowell' age=41"
assert calls[0]["args"] == {"expression": "17*23"}
assert [each.page_content for each in best] == ["The train to Vienna leaves at ten."]
