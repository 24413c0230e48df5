"""Speed of the library, compared with memcpy and other libraries, on one machine, in one run.

``python -m benchmarks`` measures, prints and saves; the book's page *Performance* is made from the
saved files. ``ours`` lists our operations, ``peers`` those of other libraries, ``bars`` the limits
that the project wants to meet.
"""
