"""Other ways to do the reference's work on a topic; each module is one contestant's whole program."""
