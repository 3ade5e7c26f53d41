assert "".join(printed) == "Bonjour !\nBonjour !17 times 23 is 391.\n"
assert str(person) == "name='Ida Lowell' age=41"
assert [each.page_content for each in best] == ["The train to Vienna leaves at ten."]
