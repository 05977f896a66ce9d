"""Following logs, one at a time: what each signed, what stands in it, what it promised, and whether it lies."""
