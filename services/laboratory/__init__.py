"""The laboratory: recorded data, folded through pipelines, models and policies side by side.

Each combination is a `Job`, played by the very task that a worker runs (`playing`), in a process of its own (`apart`),
on this machine (`processes`) or on many (`cluster`). What comes of it is an `Outcome`; `comparison` holds the outcomes
against one of them, and `page` makes one HTML file of all.
"""
