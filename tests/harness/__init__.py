"""A gateway of real processes and the people who use it: for tests/hub, tests/flow, tests/real and deploy/bench."""
