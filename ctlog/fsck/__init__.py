"""A whole log recomputed from its published bytes: every damaged file is named.

    whole.py    the log: its checkpoint, its upper tiles, its issuers, and the spans joined
    span.py     one stretch of it, in a worker process: data tiles, hash tiles of level 0, partial tiles
    entries.py  what stands in a data tile: place, time, precertificates, and the lines of the numbers feed
    sources.py  where the files are read from: a folder or a server
    stores.py   what an operator has besides: the look-ups and the head store, compared with what is published

Out of scope: mending (`ctlog.reindex`), and what a log promises over time, which its followers watch (`ctlog.client`).
"""
