"""The version of the package; the distribution takes it from here.

A constant, since to ask the installed package for it takes 40 ms of every run.
"""

VERSION = "0.1.0"
