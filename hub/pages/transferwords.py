"""The words of files on their way between centres: states, and what was wrong with what to do."""

from __future__ import annotations

from perijove.hub.pages.operatorwords import Trouble
from perijove.hub.pages.words import N_, Look

STATES = {
    "waiting": Look(N_("Waiting"), "hourglass-half", "calm"),
    "running": Look(N_("On its way"), "truck", "move"),
    "cancelling": Look(N_("Being cancelled"), "circle-stop", "calm"),
    "cancelled": Look(N_("Cancelled"), "circle-stop", "calm"),
    "done": Look(N_("Arrived"), "circle-check", "ok"),
    "failed": Look(N_("Failed"), "triangle-exclamation", "bad"),
}
#: One that was stopped by something that may pass.
WAITS = Look(N_("Interrupted, goes on by itself"), "plug-circle-xmark", "wait")

#: By the code of the transfer's problem.
TROUBLES = {
    "no-file": Trouble(
        N_("The file is no longer there: it was moved, renamed or deleted."), N_("Order it from where it is now.")
    ),
    "no-access": Trouble(
        N_("A centre does not let your account read the file."), N_("Mend the file's permissions there.")
    ),
    "not-a-file": Trouble(N_("This is no plain file."), N_("Bring single files; pack a folder into one.")),
    "outside": Trouble(
        N_("It is hidden, or not below your home directory."), N_("Move the file to a plain folder of your home.")
    ),
    "exists": Trouble(
        N_("Another file of that name is there already, and nothing is replaced."),
        N_("Rename one of the two, then try again."),
    ),
    "checksum": Trouble(N_("What arrived was not what was sent, so it was not kept."), N_("Try again.")),
    "changed": Trouble(N_("The file was changed while it was read."), N_("Try again when nothing writes to it.")),
    "home-full": Trouble(
        N_("There is no room left at the target: the disk or your quota there is full."),
        N_("Free some space there, then try again."),
    ),
    "home-denied": Trouble(
        N_("The centre does not let your account write there."), N_("Choose another folder as the target.")
    ),
    "centre-silent": Trouble(
        N_("A centre does not answer."), N_("What has arrived is kept while the gateway goes on trying.")
    ),
    "launcher-older": Trouble(
        N_("One of the two centres moves no files yet."),
        N_("Ask the operators to install the newer launcher there."),
    ),
    "no-account": Trouble(
        N_("You have no account at one of the two centres."), N_("Register it under “Account keys”.")
    ),
}
OTHER_TROUBLE = Trouble(N_("It could not be brought; the gateway's own words are below."))
