"""Offers: what each centre and queue says to a request before anybody chooses.

Everything here is pure: `offers.find` holds a request against descriptions and what was last heard of the centres,
`forecast.Model` says when a job would start and how sure that is, `scores` says how often that was right. The broker
(`perijove.hub.broker.memory`) collects what they need in the watcher's round.
"""
