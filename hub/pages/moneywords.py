"""The words of money: what an entry of a statement means, roles, and what a comparison with a centre can find."""

from __future__ import annotations

from perijove.hub.pages.words import N_, Look, Words

#: An entry by its kind and by what it is about; `{where}` is the centre, `{by}` who did it.
ENTRIES = {
    "grant": N_("Credits granted by {by}"),
    "hold-session": N_("Put on hold for a session at {where}"),
    "hold-workers": N_("Put on hold for Dask workers at {where}"),
    "settle-session": N_("Session at {where}"),
    "settle-workers": N_("Dask workers at {where}"),
    "refund-session": N_("Came back from a session at {where}"),
    "refund-workers": N_("Came back from Dask workers at {where}"),
    "expire": N_("Credits that were not used in time"),
    "withdraw": N_("Credits taken back by {by}"),
    "adjust-session": N_("Session at {where}, charge corrected"),
    "adjust-workers": N_("Dask workers at {where}, charge corrected"),
}
OTHER_ENTRY = N_("Another booking at {where}")
#: Who granted what nobody granted by hand.
GATEWAY = N_("the gateway")
#: These move money between what one can spend and what is on hold: a statement leaves them out unless asked.
MOVES = frozenset({"hold", "refund"})

#: What a member may do.
ROLES = {
    "manager": Words(N_("Manager"), N_("may spend, and says who else may")),
    "member": Words(N_("Member"), N_("may spend")),
}

#: How a comparison with a centre's own accounts went.
RECONCILED = {
    "sound": Look(N_("All agree"), "circle-check", "ok"),
    "partial": Look(N_("Agrees in part"), "circle-question", "wait"),
    "differences": Look(N_("Differences"), "triangle-exclamation", "wait"),
    "running": Look(N_("Is being compared"), "rotate", "move"),
    "failed": Look(N_("Could not be compared"), "plug-circle-xmark", "bad"),
}
#: What a comparison can find.
DIFFERENCES = {
    "not-at-centre": Words(
        N_("Unknown to the centre"),
        N_("We charged for this job, and the centre's accounts do not have it."),
        N_("Ask the centre; if it never ran, correct the charge to 0 (`perijove reconcile decide`)."),
    ),
    "not-ours": Words(
        N_("Unknown to us"),
        N_("The centre has a job that carries our mark, and the books do not have it."),
        N_("Nobody was charged for it. Look who started it: the gateway's store may have been restored from a copy."),
    ),
    "hours": Words(
        N_("Other hours"),
        N_("The centre counted another time than we charged."),
        N_("The centre will bill its own time; if it is right, correct the charge (`perijove reconcile decide`)."),
    ),
    "undecided": Words(N_("Settled now"), N_("We did not know how it ended; the centre's accounts say it.")),
}
OTHER_DIFFERENCE = Words(N_("Another difference"), N_("The books and the centre's accounts differ."))
