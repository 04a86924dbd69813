"""The study of recorded outcomes: several arms against one control, several metrics, after the fact."""
