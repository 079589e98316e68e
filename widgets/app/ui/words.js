// Words, numbers, money and times in the person's language. English is the key; `words.zh.json` is made from the
// gateway's catalogue.

export function speech(language, found) {
  const filled = (text, values) => text.replace(/\{(\w+)\}/g, (holder, name) => (name in values ? String(values[name]) : holder));
  const _ = (text, values = {}) => filled(found[text] ?? text, values);
  const ngettext = (one, many, count, values = {}) => filled(found[one] ?? (count === 1 ? one : many), { count, ...values });
  return { _, ngettext, language, text: (words) => words?.[language] || words?.en || "", fmt: formats(language, _, ngettext) };
}

function formats(language, _, ngettext) {
  const tag = language === "zh" ? "zh-CN" : "en-GB";
  const number = (value, most = 2) => new Intl.NumberFormat(tag, { maximumFractionDigits: most }).format(value);
  return {
    tag,
    number,
    // As many digits as a reader can use; what was counted is told exactly.
    figure: (value) => (typeof value === "number" ? new Intl.NumberFormat(tag, Number.isInteger(value) ? {} : { maximumSignificantDigits: 4 }).format(value) : String(value)),
    // The same in a table, where a number may be a year or a place, and is grouped by nobody.
    cell: (value) => new Intl.NumberFormat(tag, { useGrouping: false, ...(Number.isInteger(value) ? {} : { maximumSignificantDigits: 5 }) }).format(value),
    // Micro-credits as credits, with as many decimals as matter.
    money(micro) {
      const credit = micro / 1e6, digits = credit === 0 || credit >= 0.01 ? 2 : 4;
      return _("{amount} credits", { amount: new Intl.NumberFormat(tag, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(credit) });
    },
    bytes(count) {
      for (const [unit, size] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]]) if (count >= size) return `${number(count / size, 1)} ${unit}`;
      return ngettext("{count} byte", "{count} bytes", count);
    },
    // A length of time as people say it.
    span(seconds) {
      if (seconds < 90) return ngettext("{count} second", "{count} seconds", Math.max(1, Math.round(seconds)));
      if (seconds < 5400) return ngettext("{count} minute", "{count} minutes", Math.round(seconds / 60));
      return ngettext("{count} hour", "{count} hours", number(seconds / 3600, 1));
    },
    when: (iso) => (Number.isNaN(Date.parse(iso ?? "")) ? "" : new Intl.DateTimeFormat(tag, { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso))),
    percent: (part) => new Intl.NumberFormat(tag, { style: "percent", maximumFractionDigits: 0 }).format(part),
    commas: (parts) => parts.join(language === "zh" ? "，" : ", "),
  };
}

// Why something could not be done, in words.
export function trouble(found, say) {
  const { _ } = say;
  switch (found.error) {
    case "offline": return _("The session does not answer. This page tries again by itself.");
    case "signed-out": return _("You are signed out: load the page again to sign in.");
    case "broker-silent": case "no-gateway": return _("The gateway does not answer, so nothing was started. Try again in a minute.");
    case "busy": return _("As many runs as this session can carry are going on: wait for one to end.");
    case "settling": return _("The end of this run is still being told to the gateway: try again in a moment.");
    case "elsewhere": return _("This run goes on in another session: see its own page.");
    default: return found.message || _("It did not work ({code}). Load the page again; if that does not help, tell the operators this word.", { code: found.error });
  }
}
