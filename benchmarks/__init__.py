"""This project beside what people would use instead: one command, one table."""
