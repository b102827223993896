"""What tells of a change before labels do: inputs and answers in windows, and how right the answers may be."""
