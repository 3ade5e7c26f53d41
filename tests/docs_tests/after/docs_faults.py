assert "cut off after" in printed[0]
