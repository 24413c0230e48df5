"""MARINA as a distributed program, a client a process: ``torchrun -m cqlib.distributed.marina``."""
