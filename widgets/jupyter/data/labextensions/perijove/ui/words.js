// Words of the page's language. The English text is the key; the other languages are made from the gateway's catalogue.

export async function words(language) {
  let found = {};
  if (language !== "en") {
    const answer = await fetch(new URL(`words.${language}.json`, import.meta.url));
    if (answer.ok) found = await answer.json();
  }
  return (text, values = {}) =>
    (found[text] ?? text).replace(/\{(\w+)\}/g, (holder, name) => (name in values ? String(values[name]) : holder));
}

// JupyterLab's language; the person's own where JupyterLab cannot speak it for want of its language pack.
export function language(translator, facts) {
  if ((translator?.languageCode ?? "").toLowerCase().startsWith("zh")) return "zh";
  return facts.language === "zh" && !facts.packs.includes("zh_CN") ? "zh" : "en";
}
