"""What a metric is called where people read it."""

from typing import NamedTuple


class Definition(NamedTuple):
    """A metric, for tables and figures.

    Attributes:
        label: short, as a column's head.
        unit: "" for none.
        better: "lower", "higher", or "" for what is neither (a scale).
        text: one sentence: what it measures, and whose definition it is.
    """

    label: str
    unit: str
    better: str
    text: str

    @property
    def heading(self) -> str:
        """Label and unit."""
        return f"{self.label} [{self.unit}]" if self.unit else self.label
