"""The monitor: follows logs, matches what they hold against what owners asked for, judges it, and tells the owner."""
