"""Train and judge a retrieval: labels of ISMN, packed examples, recipe, fit, and the table of scores."""
