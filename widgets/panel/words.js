// Words, numbers, money and times of the panel in the person's language. English is the key; `words.zh.json` is made
// from the gateway's catalogue.

// The document's language; the person's own where the document cannot speak it (an app, or a JupyterLab without pack).
function languageOf(model) {
  if (document.documentElement.lang.toLowerCase().startsWith("zh")) return "zh";
  const chosen = document.querySelector(".jp-LabShell") && model.get("pack");
  return model.get("language") === "zh" && !chosen ? "zh" : "en";
}

function translator(model, language) {
  const found = language === "en" ? {} : model.get("words");
  const filled = (text, values) =>
    text.replace(/\{(\w+)\}/g, (holder, name) => (name in values ? String(values[name]) : holder));
  const _ = (text, values = {}) => filled(found[text] ?? text, values);
  const ngettext = (one, many, count) => filled(found[one] ?? (count === 1 ? one : many), { count });
  return { _, ngettext };
}

function formats(language, _) {
  const tag = language === "zh" ? "zh-CN" : "en-GB";
  const number = (value, most = 2) => new Intl.NumberFormat(tag, { maximumFractionDigits: most }).format(value);
  return {
    tag,
    number,
    // Micro-credits as credits, with as many decimals as matter.
    money(micro) {
      const credit = micro / 1e6;
      const digits = credit === 0 || credit >= 0.01 ? 2 : 4;
      const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
      return _("{amount} credits", { amount: new Intl.NumberFormat(tag, options).format(credit) });
    },
    // MiB in the unit that reads best.
    memory(mib) {
      for (const [unit, size] of [["PiB", 2 ** 30], ["TiB", 2 ** 20], ["GiB", 2 ** 10]])
        if (mib >= size) return `${number(mib / size)} ${unit}`;
      return `${number(mib, 0)} MiB`;
    },
    clock(seconds) {
      const whole = Math.max(0, Math.floor(seconds));
      const two = (value) => String(value % 60).padStart(2, "0");
      return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60))}:${two(whole)}`;
    },
    time: (date) => new Intl.DateTimeFormat(tag, { hour: "2-digit", minute: "2-digit" }).format(date),
    commas: (parts) => parts.join(language === "zh" ? "，" : ", "),
  };
}

// Why a worker waits or how it ended, in few words, by the code of the batch system's reason.
const reasons = (_) => ({
  resources: _("no free node"), priority: _("other jobs first"),
  "limit-person": _("your limit is reached"), "limit-account": _("the project's limit is reached"),
  "limit-queue": _("the queue's limit is reached"), "held-person": _("held by its owner"),
  "held-centre": _("held by the centre"), dependency: _("waits for another job"), "begin-time": _("not yet its time"),
  reservation: _("nodes are reserved"), maintenance: _("maintenance"), "queue-closed": _("the queue is closed"),
  "nodes-down": _("nodes are down"), never: _("can never start"), licences: _("waits for a licence"),
  requeued: _("queued again"), completed: _("ended as asked"), failed: _("ended with an error"),
  cancelled: _("stopped"), walltime: _("time is up"), memory: _("out of memory"), "node-failed": _("the node failed"),
  preempted: _("had to make room"), "launch-failed": _("could not start"),
});

// The reason of a worker: our words for its code, the centre's own where we have none.
function reasonOf(row, _) {
  if (!row.reason) return "";
  return reasons(_)[row.reason] ?? row.raw_reason ?? row.reason;
}

// What a refusal means. Codes that are not listed come with a message.
function refusal(answer, say) {
  const { _, fmt } = say;
  const values = answer.values ?? {};
  const n = (name) => fmt.number(values[name] ?? 0);
  switch (answer.error) {
    case "limit-workers":
      return _("At most {most} workers at this centre; you have {used}.", { most: n("most"), used: n("used") });
    case "limit-cores":
      return _("At most {most} cores for workers at this centre; you have {used}.", { most: n("most"), used: n("used") });
    case "limit-cost":
      return _("Your clusters at this centre may cost at most {most} an hour.", { most: fmt.money(values.most ?? 0) });
    case "confirm-cost":
      return _("They would cost {cost} an hour; press “Apply” to agree.", { cost: fmt.money(values.cost ?? values.cost_per_hour ?? 0) });
    default:
      return answer.message || answer.error;
  }
}
