"""How answers look: pure functions from data to what `rich` prints, the same on a terminal and on a pipe."""
