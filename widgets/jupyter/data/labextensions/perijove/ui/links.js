// The way to a session like this one. A link asks and never spends: the start page shows what it would cost.

// A name for the server of the session that follows: "next", "next-2", ...
export function following(server) {
  const [, stem, number] = /^(.*?)(?:-(\d+))?$/.exec(server);
  return stem ? `${stem.slice(0, 26)}-${Number(number ?? 1) + 1}` : "next";
}

export function followUp(facts, path) {
  if (!facts.start_page) return null;
  const page = new URL(facts.start_page, window.location.href);
  if (!/^https?:$/.test(page.protocol)) return null;
  const query = new URLSearchParams(facts.again);
  query.set("server", following(facts.server));
  if (path) query.set("open", path);
  page.search = query;
  return page.href;
}
