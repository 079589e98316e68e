"""The API's JSON for offers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from perijove.hub.broker.views import fault_view, iso
from perijove.hub.offers.find import Offer, Offers


def offers(found: Offers, now: datetime) -> dict[str, Any]:
    """The answer to a request."""
    best = found.recommended
    return {
        "as_of": now.isoformat(),
        "prefer": found.prefer,
        "recommended": {
            "centre": best.centre.id,
            "queue": best.queue.name,
            "reasons": [reason.as_json() for reason in found.reasons],
        }
        if best
        else None,
        "offers": [_offer(offer) for offer in found.offers],
    }


def _offer(offer: Offer) -> dict[str, Any]:
    view: dict[str, Any] = {"centre": offer.centre.id, "queue": offer.queue.name, "fits": offer.placement is not None}
    view["faults"] = [fault_view(fault) | {"fix": fix.as_json() if fix else None} for fault, fix in offer.faults]
    if offer.placement is not None and offer.start is not None:
        view |= {key: getattr(offer.placement, key) for key in ("price", "cores", "memory", "gpus", "walltime")}
        view["start"] = offer.start.as_json(iso(offer.expected))
    return view | {
        "data": list(offer.data),
        "data_missing": list(offer.missing),
        "recommended": offer.recommended,
        "as_of": iso(offer.now.as_of),
        "unknown_since": iso(offer.now.unknown_since),
    }


__all__ = ["offers"]
