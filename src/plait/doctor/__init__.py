"""What a check-up found, put into sentences: facts in, findings out. The hands are in `plait.control`."""
