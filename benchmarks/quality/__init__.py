"""How right the life cycle is: ``make quality``."""
