"""The measured speed of Mithaq, beside a bare probe that does the same without any check.

`python -m bench run` plays product and probe in turn on this machine and prints ratios of
one run; `python -m bench report` writes them into docs/performance.md. Nothing here is a
timed test: a figure never fails, it is only shown beside what it should be. The rule: the
product is measured whole, as its own processes, with every check on.
"""
