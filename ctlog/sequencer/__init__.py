"""The workshop: the only writer of a log; knows entries, not certificates."""
