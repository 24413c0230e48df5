"""MARINA as a program, one client per process: ``torchrun -m cqlib.distributed.marina``."""
