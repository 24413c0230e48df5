"""How the theory is checked: exact enumeration of small cases, and search for the worst input."""

from cqlib.evidence.attack import Worst, attack
from cqlib.evidence.inequalities import INEQUALITIES, Inequality
from cqlib.evidence.report import report
from cqlib.evidence.worst_inputs import worst_input

__all__ = ["INEQUALITIES", "Inequality", "Worst", "attack", "report", "worst_input"]
