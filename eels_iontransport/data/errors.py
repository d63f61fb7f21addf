"""The one exception a user is meant to read."""


class UnusableInput(ValueError):
    """Input that cannot be analysed or acquired with.

    The message is one sentence for the operator: what is wrong, where, and what to do.
    """
