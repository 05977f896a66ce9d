"""A whole log recomputed from its published bytes: every damaged file is named.

    span.py    one stretch of entries, in a worker process: data tiles, hash tiles of level 0, the numbers feed
    whole.py   the log: its checkpoint, its upper tiles, its issuers, and the spans joined
    stores.py  what an operator has besides: the look-ups and the head store, compared with what is published

Out of scope: mending (`ctlog.reindex`), and what a log promises over time, which its followers watch (`ctlog.client`).
"""
