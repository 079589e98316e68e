"""The words for operators: how a centre is watched, what is wrong between it and the gateway, and what would mend it.

Codes are those of `perijove.spawners.watcher.Failure`; a test holds that each has its words.
"""

from __future__ import annotations

from dataclasses import dataclass

from perijove.hub.pages.words import N_, Look


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong, in a sentence, and what would mend it."""

    sentence: str
    advice: str = ""


ANSWERS = Look(N_("Answers"), "circle-check", "ok")
SILENT = Look(N_("Does not answer"), "plug-circle-xmark", "bad")
ELSEWHERE = Look(
    N_("Watched elsewhere"), "right-left", "move", N_("Another process of the gateway looks after it and knows more.")
)
NOBODY = Look(
    N_("Not watched"), "triangle-exclamation", "bad", N_("No process of the gateway looks after it at the moment.")
)
NOT_ASKED = Look(
    N_("Not asked yet"), "circle-question", "calm", N_("Nobody has a session there, so nothing has been asked.")
)

_DOCTOR = N_("“perijove doctor” tries each step on the way there and says which one fails.")

PROBLEMS = {
    "unreachable": Trouble(N_("The login node cannot be reached."), _DOCTOR),
    "refused": Trouble(
        N_("The login node does not let the gateway do what it needs."),
        N_("Ask the centre whether it limits the gateway's account (MaxSessions, AllowTcpForwarding)."),
    ),
    "host-key": Trouble(
        N_("The machine that answers is not the login node of the description: its host key is another one."),
        N_("Ask the centre whether the key is new. Only if it says so, put it into the description (login.host_keys)."),
    ),
    "login": Trouble(
        N_("The login node does not accept the gateway's key."),
        N_("See that the public key is still in authorized_keys there, and that the account is not locked."),
    ),
    "timeout": Trouble(
        N_("The login node did not answer in time."),
        N_("It may be overloaded. The gateway goes on asking by itself."),
    ),
    "launcher": Trouble(
        N_("The gateway's launcher could not be run at the login node."),
        N_("See that Python 3.6 or later is there, and that the account's home directory is not full."),
    ),
    "output": Trouble(
        N_("The login node's answer cannot be read."),
        N_("Often a start file of the account's shell prints something: it must be silent without a terminal."),
    ),
    "batch-refused": Trouble(N_("The batch system refuses the question."), _DOCTOR),
    "batch-unavailable": Trouble(
        N_("The login node answers, but its batch system does not."),
        N_("Jobs that run are not touched. Ask the centre, and set a notice; the gateway goes on asking by itself."),
    ),
    "batch-no-such-job": Trouble(N_("The batch system does not know a job that was asked for.")),
    "batch-not-allowed": Trouble(
        N_("The batch system does not let the gateway's account ask."),
        N_("Ask the centre to allow it, or say in the description that jobs are hidden (scheduler.sees_all = false)."),
    ),
    "batch-unreadable": Trouble(
        N_("The batch system answers in words that the gateway does not know."),
        N_("See that the description names the right one and its commands (scheduler.system, scheduler.commands)."),
    ),
}
OTHER_PROBLEM = Trouble(N_("The centre does not answer as it should."), _DOCTOR)

#: How loud a notice is, by its level: words, icon and colour.
LEVELS = {
    "info": Look(N_("Information"), "circle-info", "move"),
    "warning": Look(N_("Warning"), "triangle-exclamation", "wait"),
}
