"""What a user of the command line can put right; the command line prints the sentence and exits with status 1."""


class TrainingError(Exception):
    """A failure whose message says, in one sentence, what is wrong and what to do about it."""
