"""The counter: translates between HTTP and the log, decides nothing."""
