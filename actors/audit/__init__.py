"""The auditor: computes candles a second time, from the journal, and holds the rows against them.

The ledger says that the books balance; the auditor says that they are true. Nothing in here is
shared with the code that it checks: not the decoder of frames, not the price rule, not the sums.
"""
