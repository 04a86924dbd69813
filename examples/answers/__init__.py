"""Two answer systems over Python's own documentation: a trusted one and the one meant to replace it.

Neither knows that Turnout exists. Both answer a question with the ids of the documents that fit it best.
"""
