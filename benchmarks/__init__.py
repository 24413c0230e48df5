"""How fast the library is: against memcpy and against other libraries, on one machine, in one run.

``python -m benchmarks`` measures, prints and saves; the book's page *Performance* is made from what
it saved. ``ours`` lists what is measured, ``peers`` what it is compared with, ``bars`` what the
project asks of itself.
"""
