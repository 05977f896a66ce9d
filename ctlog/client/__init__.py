"""The verification library, and what submits: only rooms that a stranger could enter."""
