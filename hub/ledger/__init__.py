"""The ledger: what is paid, by whom, to which centre; double entry in whole micro-credits.

`books` holds what a job can cost at most and settles what it did cost; `budgets` says who may spend what; `statements`
tells of it. All of them take a connection and run in their caller's transaction, so that a session and the money for it
are written down together or not at all. Nothing here knows of batch systems, settings or requests.
"""
