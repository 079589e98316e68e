"""What can be wrong between the broker and the hub.

HubTrouble
+-- HubSilent    no answer: nothing is known
+-- HubRefused   it said no
"""

from __future__ import annotations


class HubTrouble(Exception):
    """The hub did not do what was asked; `detail` says why."""


class HubSilent(HubTrouble):
    """The hub does not answer."""


class HubRefused(HubTrouble):
    """The hub said no."""
