assert (printed[0], printed[3]) == ("3 1\n", "2 1\n1 0\n")
