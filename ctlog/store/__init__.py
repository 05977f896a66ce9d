"""The shelves, told apart by what losing the data costs."""
