"""Applications that run on Turnout, from the checkout."""
