"""The words of apps and runs: domains, states of runs and steps, why a run failed, and whether two results agree."""

from __future__ import annotations

from perijove.hub.pages.words import N_, Look, Words

#: What an app is about: words and icon, in the order of the gallery's filter.
DOMAINS = {
    "climate": (N_("Climate"), "cloud-sun-rain"),
    "genomics": (N_("Genomics"), "dna"),
    "aerospace": (N_("Aerospace"), "plane"),
    "geophysics": (N_("Geophysics"), "mountain-sun"),
    "traffic": (N_("Traffic"), "traffic-light"),
    "ai": (N_("AI"), "microchip"),
    "other": (N_("Other"), "shapes"),
}

#: A run, by the broker's state.
RUNS = {
    "starting": Look(N_("Starting"), "rocket", "move", N_("A session is being started for this run.")),
    "running": Look(N_("Running"), "circle-play", "move", N_("The run is computing.")),
    "done": Look(N_("Done"), "circle-check", "ok", N_("The run is done.")),
    "failed": Look(N_("Failed"), "triangle-exclamation", "bad", N_("The run has failed.")),
    "cancelled": Look(N_("Cancelled"), "circle-stop", "calm", N_("The run was cancelled.")),
    "interrupted": Look(
        N_("Interrupted"),
        "plug-circle-xmark",
        "wait",
        N_("Its session ended before the run did. Steps that are done are kept, and the run can go on from there."),
    ),
}
#: States that change by themselves.
LIVE = frozenset({"starting", "running"})
UNKNOWN = Look(
    N_("Unknown"),
    "circle-question",
    "wait",
    N_("Nothing was heard of it for a while. The run goes on by itself; its state is shown here when it is known."),
)

#: While the person's own files are brought to where a run will be.
BRINGING = Look(
    N_("Bringing files"),
    "truck",
    "move",
    N_("Your own files are being brought to the centre. The session starts when they are there; nothing costs yet."),
)
CANCELLING = Look(N_("Being cancelled"), "circle-stop", "calm", N_("The run is told to stop."))

STEPS = {
    "waiting": Look(N_("Waiting"), "hourglass-half", "calm"),
    "running": Look(N_("Running"), "circle-play", "move"),
    "done": Look(N_("Done"), "circle-check", "ok"),
    "kept": Look(N_("Kept from before"), "clock-rotate-left", "ok"),
    "failed": Look(N_("Failed"), "triangle-exclamation", "bad"),
    "cancelled": Look(N_("Cancelled"), "circle-stop", "calm"),
}

#: Why a run failed, by the report's code; what the app says of it and what it advises goes with that.
FAILURES = {
    "missing-code": Words(
        N_("a program is missing"),
        N_("A program that this app needs is not at this centre."),
        N_("Choose a centre where the app is ready, or ask its operators to install the program."),
    ),
    "bad-input": Words(N_("the input does not fit"), N_("The app cannot use what it was given.")),
    "command-failed": Words(
        N_("a program ended with an error"), N_("A program of this step ended with an error; its last lines say why.")
    ),
    "no-output": Words(
        N_("a result is missing"), N_("A program said that all went well, but did not write what it should.")
    ),
    "empty-output": Words(
        N_("a result is empty"), N_("A program said that all went well, but what it wrote is empty.")
    ),
    "timed-out": Words(
        N_("it took too long"),
        N_("A step took longer than it may."),
        N_("Take a smaller case, or more cores."),
    ),
    "disk-full": Words(
        N_("the disk is full"),
        N_("There is no room left at the centre for what the run writes."),
        N_("Delete files that you do not need there, or ask for a larger quota. Then run it again."),
    ),
    "out-of-memory": Words(
        N_("out of memory"),
        N_("A step needed more memory than the run had."),
        N_("Take a smaller case, or a place with more memory."),
    ),
    "killed": Words(
        N_("a program was ended"),
        N_("Something outside the run ended one of its programs."),
        N_("Often it helps to run it again."),
    ),
    "check-failed": Words(
        N_("a result is implausible"), N_("What a step wrote did not pass its check, so it was not kept.")
    ),
    "internal": Words(
        N_("a fault of the app"),
        N_("The app itself has a fault."),
        N_("Please tell support the number of this run."),
    ),
}
OTHER_FAILURE = Words(N_("see its words"), N_("The run failed; its own words are below."))

#: Whether a replay came to the same results.
VERDICTS = {
    "same": Look(
        N_("The results are the same"), "circle-check", "ok", N_("Every result that is compared is identical.")
    ),
    "agrees": Look(
        N_("The results agree"),
        "circle-check",
        "ok",
        N_("All differences are within what the app allows for another machine."),
    ),
    "differs": Look(
        N_("The results differ"),
        "not-equal",
        "bad",
        N_("At least one difference is larger than the app allows. Compare the versions of the codes first."),
    ),
    "unknown": Look(
        N_("Not compared yet"), "circle-question", "calm", N_("There is not enough of both runs to compare them.")
    ),
}

#: What a run has to do with the one that it came from.
RELATIONS = {
    "rerun": N_("Run again from"),
    "replay": N_("Replay of"),
    "resume": N_("Goes on from"),
}

#: Whether an app can run at a centre.
PLACES = {
    "ready": Look(N_("Ready"), "circle-check", "ok"),
    "missing": Look(N_("Something is missing"), "circle-xmark", "wait"),
    "unknown": Look(N_("Not tried yet"), "circle-question", "calm"),
}
#: How a code gets to a centre, by the manifest's key; `{how}` is the module, package or image.
HOW = {
    "module": "module load {how}",
    "apt": "apt-get install {how}",
    "pypi": "pip install {how}",
    "container": N_("container image {how}"),
}

#: What a link of a run allows.
MODES = {
    "view": (N_("Look at it"), N_("Whoever has the link sees results, inputs and steps, without signing in.")),
    "rerun": (
        N_("Look at it and run it"),
        N_("People with an account here can also run it themselves, at their cost."),
    ),
}
#: Days for which a link can be open.
DAYS = (1, 7, 30, 90)
