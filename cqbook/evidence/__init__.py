"""Checks of the theory: exact enumeration of small cases, and search for the worst input."""

from cqbook.evidence.attack import Worst, attack
from cqbook.evidence.inequalities import INEQUALITIES, Inequality
from cqbook.evidence.report import report
from cqbook.evidence.worst_inputs import worst_input

__all__ = ["INEQUALITIES", "Inequality", "Worst", "attack", "report", "worst_input"]
