"""The statistics of shadow tests: pure functions of counts and stored pairs, with no input or output.

`eprocess` and `clusters` decide, `sequence` bounds, `spending` shares the error rate out over versions,
`ratio` checks the sampling, `detector` watches after a promotion, `pairs` and `decision` join them over
stored pairs; `intervals`, `mcnemar`, `latency` and `calibration` describe.
"""
