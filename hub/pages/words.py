"""The words for codes: why a job waits, how it ended, how far a session is, what is wrong with a request.

Codes come from the API and never from here; every member of `Reason` and `Stage` and every code of a `Fault` has its
words in this one module (a test holds that), in English; the catalogues have the other languages. `N_` marks a text for
the catalogue without translating it.
"""

from __future__ import annotations

from dataclasses import dataclass


def N_(message: str) -> str:
    """`message` itself: a mark for the catalogue."""
    return message


@dataclass(frozen=True, slots=True)
class Words:
    """What a code means for the person: a few words, a sentence, and what would help ("" where nothing would)."""

    short: str
    sentence: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """How a state looks: words, icon and colour say the same, so that none is needed alone."""

    words: str
    #: A Font Awesome icon, as the hub ships them.
    icon: str
    #: A colour of the stylesheet: calm, wait, move, ok, bad.
    colour: str
    #: For a session in this stage: what is going on.
    sentence: str = ""


STAGES = {
    "checked": Look(N_("Accepted"), "clipboard-check", "calm", N_("Your request is noted and is being submitted.")),
    "submitted": Look(N_("Submitted"), "paper-plane", "calm", N_("The centre has taken the job.")),
    "queued": Look(N_("Queued"), "hourglass-half", "wait", N_("The job waits in the queue of the centre.")),
    "granted": Look(
        N_("Node assigned"), "server", "move", N_("The job has a compute node, and the gateway connects to it.")
    ),
    "starting": Look(N_("Starting"), "rocket", "move", N_("The job runs, and your session is starting in it.")),
    "ready": Look(N_("Running"), "circle-play", "ok", N_("Your session is running. You can open it.")),
    "ending": Look(N_("Stopping"), "circle-stop", "calm", N_("The session is being stopped.")),
    "ended": Look(N_("Ended"), "flag-checkered", "calm", N_("The session has ended.")),
}
UNKNOWN = Look(N_("Unknown"), "circle-question", "wait", N_("The centre does not answer at the moment."))
FAILED = Look(N_("Failed"), "triangle-exclamation", "bad", N_("The session has failed."))

REASONS = {
    # why it waits
    "resources": Words(
        N_("no free node"),
        N_("It is this job's turn, but no node is free that has room for it."),
        N_("A smaller request, or another queue or centre, may start sooner."),
    ),
    "priority": Words(
        N_("other jobs first"),
        N_("Jobs with a higher priority come first."),
        N_("Another queue or centre may start sooner."),
    ),
    "limit-person": Words(
        N_("your limit is reached"),
        N_("You have as many jobs or cores at this centre as one person may have."),
        N_("It starts when one of your other jobs there ends; stop one that you do not need."),
    ),
    "limit-account": Words(
        N_("the project's limit is reached"),
        N_("The project or account has as many jobs or cores as it may have, or its allocation is used up."),
        N_("Ask the head of the project, or choose another centre."),
    ),
    "limit-queue": Words(
        N_("the queue's limit is reached"),
        N_("This queue runs as many jobs as it may."),
        N_("Another queue may start sooner."),
    ),
    "held-person": Words(
        N_("held by its owner"),
        N_("The job is held in your name at the centre, and does not start by itself."),
        N_("Release it at the centre, or stop it here and start a new one."),
    ),
    "held-centre": Words(
        N_("held by the centre"),
        N_("The centre's staff hold this job."),
        N_("Ask the centre's support, and name the job id."),
    ),
    "dependency": Words(N_("waits for another job"), N_("The job waits until another job has ended.")),
    "begin-time": Words(N_("not yet its time"), N_("The job may not start before a set time.")),
    "reservation": Words(
        N_("nodes are reserved"),
        N_("The nodes that it could use are reserved for others at that time."),
        N_("A shorter session may fit in before the reservation."),
    ),
    "maintenance": Words(
        N_("maintenance"),
        N_("The centre is in maintenance, or will be before this job could end."),
        N_("A shorter session may fit in before it; otherwise it starts afterwards."),
    ),
    "queue-closed": Words(
        N_("the queue is closed"),
        N_("The centre has closed this queue for now; jobs in it wait."),
        N_("Choose another queue or centre."),
    ),
    "nodes-down": Words(
        N_("nodes are down"),
        N_("The nodes that could run this job are out of order."),
        N_("Choose another queue or centre; the job waits until the nodes are back."),
    ),
    "never": Words(
        N_("can never start"),
        N_("The centre says that this job can never start as it was asked for."),
        N_("Stop it, and ask for less or choose another queue."),
    ),
    "licences": Words(N_("waits for a licence"), N_("All licences that the job needs are in use.")),
    "requeued": Words(
        N_("queued again"),
        N_("The centre took the job off its node and put it back in the queue. It starts again by itself."),
    ),
    # how it ended
    "completed": Words(N_("ended as asked"), N_("The session ended normally.")),
    "failed": Words(
        N_("ended with an error"),
        N_("The program in the job ended with an error."),
        N_(
            "The last lines of the log, below, usually say why. "
            "If they do not help, give support the id of this session."
        ),
    ),
    "cancelled": Words(N_("stopped"), N_("The session was stopped.")),
    "walltime": Words(
        N_("time is up"),
        N_("The time that was asked for is used up, and the job has ended."),
        N_("Files that were saved are still at the centre. Ask for more hours next time."),
    ),
    "memory": Words(
        N_("out of memory"),
        N_("The job used more memory than it asked for, and the centre ended it."),
        N_("Start again with more memory, or load less data at once."),
    ),
    "node-failed": Words(
        N_("the node failed"),
        N_("The compute node broke down while the session ran."),
        N_("It was not your fault: start again. Files that were saved are still at the centre."),
    ),
    "preempted": Words(
        N_("had to make room"),
        N_("The centre ended the job to make room for a more urgent one."),
        N_("Start again, or choose a queue whose jobs are not interrupted."),
    ),
    "launch-failed": Words(
        N_("could not start"),
        N_("The centre could not start the job."),
        N_("Often the home directory there is full or cannot be written. The centre's own words are below."),
    ),
    # any
    "other": Words(
        N_("see the centre's words"), N_("The centre gives a reason that we do not know; its own words are below.")
    ),
    "": Words(N_("no reason given"), N_("The centre has not given a reason yet.")),
}

#: What stands on the hub's own pages: they know no request's language, so the browser puts these in (static/hub.js).
HUB = (
    N_("Sign in"),
    N_("Username:"),
    N_("Password:"),
    N_("Not allowed"),
    N_("This belongs to somebody else."),
    N_("Not found"),
    N_("Nothing is at this address."),
    N_("My sessions"),
    N_("Invalid username or password"),
    N_("Sessions"),
    N_("Start"),
    N_("Tokens"),
    N_("Admin"),
    N_("Logout"),
    N_("Login"),
    N_("Your sessions"),
    N_("Start a session"),
    N_("Your session is starting"),
    N_("See how far it is"),
    N_("Server not running"),
    N_("Successfully logged out."),
    N_("Your server is stopping."),
    N_("You will be able to start it again once it has finished stopping."),
    N_("Manage JupyterHub Tokens"),
    N_("Authorize access"),
    N_("Authorize"),
    N_("Note"),
    N_("Token expires in"),
    N_("Permissions"),
    N_("Request new API token"),
    N_("API Tokens"),
    N_("Authorized Applications"),
    N_("Application"),
    N_("Last used"),
    N_("Created"),
    N_("Expires"),
    N_("First authorized"),
    N_("Never"),
    N_("revoke"),
)

#: How a session looks that ended so; any other way of ending is a failure.
CALM_ENDS = frozenset({"completed", "cancelled", "walltime"})

#: What is wrong with a request, by code; `{name}` stands for a value of the fault.
FAULTS = {
    "missing": N_("Please fill this in."),
    "choose-centre": N_("Please choose where it should run."),
    "unknown-option": N_("There is no such option."),
    "app-nowhere": N_("No centre that is open now can run this app."),
    "no-estimate": N_("What this run takes cannot be computed from these values."),
    "unknown-centre": N_("There is no centre called “{centre}”."),
    "unknown-queue": N_("{centre} has no queue called “{queue}”."),
    "unknown-kind": N_("There is no such kind of session."),
    "too-much-cores": N_("At most {most} cores in queue {queue}."),
    "too-much-memory": N_("At most {most} of memory in queue {queue}."),
    "too-much-gpus": N_("At most {most} GPUs in queue {queue}."),
    "too-much-walltime": N_("At most {most} in queue {queue}."),
    "too-much": N_("More than queue {queue} allows: at most {most}."),
    "queue-closed": N_("This queue takes no jobs at the moment."),
    "unknown-choice": N_("Please choose one of: {choices}."),
    "centre-closed": N_("This centre takes no new sessions at the moment."),
    "centre-drained": N_("This centre takes no new sessions at the moment. {note}"),
    "maintenance": N_("In maintenance from {start} to {end}."),
    "too-small": N_("At least {ge}."),
    "too-large": N_("At most {le}."),
    "too-long": N_("Too long: at most {max_length} characters."),
    "wrong-type": N_("This value cannot be used."),
    "wrong-type-cores": N_("Please give a whole number."),
    "wrong-type-gpus": N_("Please give a whole number."),
    "wrong-type-memory": N_("Please give an amount of memory such as 4 (GiB) or 512M."),
    "wrong-type-walltime": N_("Please give a time such as 2 (hours), 90m or 1:30:00."),
    "unreadable": N_("This value cannot be used."),
    "unreadable-cores": N_("Please give a whole number."),
    "unreadable-gpus": N_("Please give a whole number."),
    "unreadable-memory": N_("Please give an amount of memory such as 4 (GiB) or 512M."),
    "unreadable-walltime": N_("Please give a time such as 2 (hours), 90m or 1:30:00."),
    "bad-name": N_("Only letters, digits and a few signs are allowed here."),
    "no-options": N_("Please say what you need."),
    "server-name": N_(
        "A name has small letters, digits and hyphens, begins with a letter and has at most 30 characters."
    ),
    "name-taken": N_("You already have a session of this name. Stop it first, or choose another name."),
    "name-needed": N_("You already have a session without a name. Give this one a name, or stop the other first."),
    "too-many": N_("You have as many sessions as one person may have. Stop one first."),
    "balance": N_(
        "This may cost up to {needed}, and there are {available} in {budget}: {missing} are missing. Ask {who}."
    ),
    "budget-limit": N_(
        "You may use {limit} of {budget} here; {used} are used or on hold, and this may cost up to {needed}."
    ),
    "budget-closed": N_("{budget} is closed: nothing more can be spent of it."),
    "not-member": N_("You are no member of {budget}: ask whoever manages it."),
    "no-budget": N_("There is no budget called {budget}."),
    "bad-name-budget": N_("Please choose one of your budgets."),
    "gateway-full": N_("The gateway has no room for another session at the moment. Please try again later."),
    "store": N_("The gateway could not note your request, so nothing was started. Please try again."),
    "no-account": N_("You have no account at this centre yet. Register it under “Account keys”."),
    "account-unchecked": N_("Your key for this centre does not work yet. Check it under “Account keys”."),
    "bad-account": N_("This cannot be the name of an account."),
    "centre-away": N_("The centre does not answer at the moment."),
    "app-missing": N_("Something that this app needs is not at this centre."),
    "too-many-sessions": N_("You have as many sessions as one person may have. Stop one first."),
    "file-no-file": N_("“{file}” is no longer at {from}: it was moved, renamed or deleted there."),
    "file-no-access": N_("“{file}” cannot be read at {from}: the centre does not let your account."),
    "file-outside": N_("“{file}” cannot be brought from {from}: it is hidden or not below your home directory."),
    "file-home-full": N_("There is no room for “{file}” at {to}: the disk or your quota there is full."),
    "file-centre-silent": N_("“{file}” could not be brought from {from} to {to}: a centre did not answer for hours."),
    "file-cancelled": N_("Bringing “{file}” from {from} to {to} was cancelled."),
    "file-exists": N_("There are too many other files of this name at {to} already: “{file}”."),
    "file-no-account": N_("“{file}” cannot be brought from {from} to {to}: you have no account at one of them."),
    "file-launcher-older": N_(
        "“{file}” cannot be brought from {from} to {to}: one of the two moves no files yet. Choose another centre, or "
        "ask the operators to install the newer launcher there."
    ),
    "launcher-older": N_("This centre moves no files yet: its operators have to install a newer launcher."),
    "file-too-many-transfers": N_("“{file}” was not brought: too many of your files were on their way for hours."),
    "too-dear": N_("This may cost {needed}, more than can be put on hold at once. Ask for less."),
    "project-exists": N_("There is a project of this name already. Choose another one."),
    "last-manager": N_("“{person}” is the last manager: name another one first."),
    "not-undecided": N_("It may still run, or no such amount is on hold for it."),
    "not-kept": N_("Another process of the gateway looks after this centre, or none does yet. Please try in a minute."),
    "no-grant": N_("There is no such grant."),
    "no-hold": N_("Nothing is on hold for that."),
    "wrong-credits": N_("Please give an amount of credits such as 100 or 12.50."),
    "wrong-day": N_("Please give a day such as 2027-01-31."),
    "price-changed": N_("The price has changed since. Please look at it, and press “Start” if it suits you."),
}
#: For a code that is not listed (a newer broker): the English message goes with it.
OTHER_FAULT = N_("This cannot be used: {message}")

#: What a page says that stands in the place of another one, by the name of the error.
ERRORS = {
    "login": Words(N_("Please sign in"), N_("You are not signed in, or your sign-in has run out.")),
    "login-failed": Words(
        N_("Signing in did not work"),
        N_("The sign-in took too long or was begun in another browser. Please try again."),
    ),
    "xsrf": Words(
        N_("Please send this again"),
        N_(
            "The form was too old or not sent from this page, so nothing was done. "
            "Go back, reload the page and try again."
        ),
    ),
    "forbidden": Words(N_("Not allowed"), N_("This belongs to somebody else.")),
    "not-found": Words(N_("Not found"), N_("There is nothing at this address. Perhaps the session is long gone.")),
    "too-large": Words(N_("Too much"), N_("The form is larger than anything that is needed here.")),
    "hub-away": Words(
        N_("The sign-in service does not answer"),
        N_("Running and queued sessions are not touched. Please try again in a moment."),
    ),
    "broker": Words(
        N_("This did not work"),
        N_(
            "The gateway could not do what was asked. Running and queued sessions are not touched. "
            "Please try again in a moment."
        ),
    ),
    "unexpected": Words(
        N_("Something went wrong here"),
        N_("It is our fault, and it is in the log. Running and queued sessions are not touched."),
    ),
}
