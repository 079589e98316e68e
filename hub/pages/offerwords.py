"""The words of offers: why one is recommended, what matters to a person, and the state of a centre."""

from __future__ import annotations

from perijove.hub.pages.words import N_, Look

#: Why an offer is recommended, by the API's code.
WHY = {
    "soonest": N_("starts soonest"),
    "cheapest": N_("costs least"),
    "data-here": N_("your data lies there"),
    "only-fit": N_("the only place that fits"),
    "best-balance": N_("the best balance of start and price"),
    "app-ready": N_("the app is ready there"),
}
#: Ours: somebody waits elsewhere and looks for another place.
ELSEWHERE = N_("the best place other than the one where you wait")
#: For a code of a newer broker.
OTHER_WHY = N_("recommended by the gateway")

#: What matters, by the API's name: words and icon.
PREFERENCES = {
    "balanced": (N_("Balanced"), "scale-balanced"),
    "start": (N_("Fastest start"), "bolt"),
    "price": (N_("Lowest price"), "coins"),
    "data": (N_("Near my data"), "database"),
}

OPEN = Look(N_("Open"), "circle-check", "ok")
CLOSED = Look(N_("Closed"), "ban", "calm")
DRAINED = Look(N_("No new sessions"), "circle-pause", "wait")
SILENT = Look(N_("Does not answer"), "circle-question", "wait")
MAINTENANCE = Look(N_("In maintenance"), "screwdriver-wrench", "wait")
