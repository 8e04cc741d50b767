"""What benchmarks ask for: things that the starter knows."""

PROMPTS = ("red apple", "rocket", "cat face", "sunflower", "castle", "pizza", "penguin", "guitar")
