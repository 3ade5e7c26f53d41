# ruff: noqa: E501 - tables of sentences read better unbroken
"""A small retrieval test, written for this project: passages in close groups, two queries each.

The queries avoid the passages' words where they can, so that word matching alone does not do.
"""

from __future__ import annotations

# (passage, query, query)
PASSAGES: list[tuple[str, str, str]] = [
    # Cooking
    ("Let the dough rest in a warm place until it has doubled, then knock it back and shape the loaf.", "how long should bread rise before baking", "shaping yeast bread"),
    ("Whisk the egg yolks with sugar over simmering water until the cream thickens; never let it boil.", "how to keep custard from curdling", "making a sweet sauce from eggs"),
    ("Salt draws water out of aubergine slices; pat them dry before they go into the hot oil.", "why fry vegetables after drying them", "preparing eggplant"),
    ("A cast-iron pan is never washed with soap: wipe it, warm it and rub in a thin film of oil.", "how do I care for an iron skillet", "cleaning seasoned cookware"),
    ("Stock keeps three days in the refrigerator and half a year in the freezer.", "how long can I store broth", "freezing soup base"),
    ("Ripe mangoes yield slightly to pressure and smell sweet at the stem.", "choosing tropical fruit at the market", "is my mango ready to eat"),
    # Travel
    ("The night train to Vienna leaves at ten and has sleeping cars with showers.", "overnight rail to Austria", "can I sleep on the way by train"),
    ("Passports must be valid for six months beyond the day you leave the country.", "travel document expiry rules", "how long must my passport last"),
    ("Hand luggage may hold liquids only in containers of at most one hundred millilitres.", "can I take shampoo on a plane", "airport security rules for fluids"),
    ("The ferry to the islands does not sail when the wind is above eight Beaufort.", "boat cancelled because of storm", "crossing to the islands in bad weather"),
    ("Mountain huts must be booked by telephone before noon; there is no card payment.", "reserve a bed on a hiking trail", "do alpine shelters take credit cards"),
    ("In Japan it is rude to tip; good service is part of the price.", "should I leave gratuity in Tokyo", "restaurant customs in east asia"),
    # Health
    ("Adults need between seven and nine hours of sleep, and older people a little less.", "how much rest does a grown person need", "recommended hours in bed"),
    ("A sprained ankle is rested, cooled, bandaged and raised for the first two days.", "first aid for a twisted foot", "treating a joint injury"),
    ("Vaccination against influenza is renewed each autumn because the virus changes.", "why get a flu shot every year", "seasonal immunisation"),
    ("High blood pressure seldom hurts; only measuring it shows that it is there.", "symptoms of hypertension", "do I notice if my pressure is too high"),
    ("Brush for two minutes twice a day and change the brush every three months.", "dental hygiene advice", "when to replace a toothbrush"),
    ("Reading in dim light tires the eyes but does not damage them.", "is it bad for vision to read in the dark", "eye strain at night"),
    # Money
    ("A mortgage with a fixed rate costs more at first but never rises.", "home loan that does not change", "protect myself against rising interest"),
    ("Keep three months of spending in an account that you can reach at once.", "how large should an emergency fund be", "savings for bad times"),
    ("An index fund holds all the shares of a market and charges very little.", "cheap way to invest in stocks", "passive investing"),
    ("Receipts for business meals are kept for ten years in case of a tax audit.", "how long to store expense records", "documents the revenue office may ask for"),
    ("The card is blocked after three wrong codes; the bank sends a new one by post.", "I forgot my PIN", "too many failed attempts at the cash machine"),
    ("Inflation is measured by the price of a basket of ordinary goods.", "how do statisticians track the cost of living", "why is everything getting more expensive"),
    # Programming
    ("A mutex lets only one thread at a time enter the critical section.", "prevent race conditions", "locking shared data between threads"),
    ("The garbage collector frees objects that can no longer be reached from any root.", "automatic memory management", "when is unused memory released"),
    ("An index on the column turns a full table scan into a quick tree search.", "make a database query faster", "why is my SQL slow"),
    ("A commit message says in one line what the change does and why.", "good version control habits", "writing notes for git history"),
    ("Unit tests check one function; integration tests check that the parts work together.", "difference between kinds of software tests", "should I test modules alone or combined"),
    ("Exceptions that nobody catches end the program and print the call stack.", "what happens on an unhandled error", "reading a traceback"),
    ("Docker images are built in layers, and an unchanged layer is taken from the cache.", "speed up container builds", "why is only part of the image rebuilt"),
    ("A regular expression describes a set of strings, such as all valid dates.", "pattern matching in text", "find phone numbers in a document"),
    # Language models
    ("The context window is the number of tokens that a model can take in at once.", "maximum prompt length", "why is my long document cut off"),
    ("At temperature zero the model always picks the most likely next word.", "make output deterministic", "get the same answer each time"),
    ("Retrieval-augmented generation puts passages that were found into the prompt.", "let a chatbot answer from my files", "reduce hallucination with documents"),
    ("Fine-tuning changes the weights with a few thousand examples of the task.", "teach a network a new job", "adapting a pretrained model"),
    ("A chat template turns the list of messages into the text that the model was trained on.", "format of conversations for llama", "special tokens around each turn"),
    ("Embeddings are vectors in which texts of like meaning lie near each other.", "represent sentences as numbers", "semantic similarity"),
    # Nature
    ("Honeybees tell the way to flowers by a dance in the dark of the hive.", "how do insects share where food is", "communication among bees"),
    ("Tides follow the pull of the moon and, less strongly, of the sun.", "why does the sea rise and fall", "what causes high water"),
    ("Oaks drop many more acorns in some years than in others, all at the same time.", "why do trees make so many nuts this year", "mast years in forests"),
    ("Swallows fly to southern Africa in autumn and come back in April.", "where do birds go in winter", "migration of small birds"),
    ("Lava that cools slowly makes large crystals; cooled fast it becomes glass.", "how is obsidian formed", "volcanic rocks"),
    ("Bats find moths by the echo of their own calls.", "hunting at night with sound", "how do bats see in darkness"),
    # History
    ("The printing press with movable type came to Europe in the middle of the fifteenth century.", "when did books become cheap", "Gutenberg's invention"),
    ("The Suez Canal spares ships the way around Africa.", "shortcut between Europe and Asia by sea", "important waterway in Egypt"),
    ("After the great fire of 1666 London was rebuilt in brick and stone.", "what changed after the city burned down", "disaster in the English capital"),
    ("The first railway between cities joined Liverpool and Manchester.", "early trains in England", "beginnings of rail travel"),
    ("Women in Switzerland got the vote in federal elections only in 1971.", "suffrage in the Alps", "when could Swiss women take part in elections"),
    ("The Silk Road carried paper, spices and ideas as well as cloth.", "ancient trade between China and the West", "what goods were exchanged over land in antiquity"),
    # House and garden
    ("Tomatoes are watered at the root in the morning, never over the leaves.", "how to irrigate vegetables", "keep plants free of blight"),
    ("Bleed the radiators once a year if they gurgle or stay cold at the top.", "heating makes noises", "air in the central heating"),
    ("Moss in the lawn is a sign of shade and of sour soil; lime helps.", "why does grass not grow well", "get rid of moss"),
    ("Turn off the power at the fuse box before you change a socket.", "electrical safety at home", "replacing a wall outlet"),
    ("Old paint is sanded and washed before the new coat, or it will peel.", "preparing a wall for painting", "why does the colour flake off"),
    ("Roses are pruned in March, when the forsythia blooms.", "best time to cut back shrubs", "when to trim roses"),
    # Office and law
    ("Either side may end the contract with three months' notice to the end of a quarter.", "how do I quit my job", "period of notice for employees"),
    ("Overtime is paid out or taken as free days within half a year.", "compensation for extra hours", "what happens when I work late"),
    ("The tenant pays for small repairs up to a hundred euros a year.", "who fixes a dripping tap in a rented flat", "landlord or renter maintenance"),
    ("Personal data are deleted when they are no longer needed for their purpose.", "privacy rules for customer records", "how long may a company keep my information"),
    ("Goods bought online can be sent back within fourteen days without a reason.", "return policy for internet shopping", "I changed my mind about a purchase"),
    ("Minutes of the meeting are sent to all who took part within a week.", "who receives the protocol", "notes after a conference"),
]  # fmt: skip
