// Somebody waits for a kernel: says how many are before them, and goes in when it is their turn.

const main = document.getElementById("app"), ahead = document.getElementById("ahead");
const words = JSON.parse(main.dataset.words);
// Below JupyterHub a GET by script needs it, too.
const xsrf = decodeURIComponent(document.cookie.match(/(?:^|; )_xsrf=([^;]*)/)?.[1] ?? "");
const here = new URL(location.href);
const ticket = here.searchParams.get("ticket") || crypto.getRandomValues(new Uint32Array(3)).join("-");
here.searchParams.set("ticket", ticket);
history.replaceState(null, "", here);

async function look() {
  try {
    const found = await (await fetch(`${main.dataset.base}place?ticket=${ticket}`, { credentials: "same-origin", headers: { "X-XSRFToken": xsrf } })).json();
    if (found.ahead === 0) return location.reload();
    const said = found.ahead === 1 ? words.one : words.many.replace("{ahead}", found.ahead);
    if (ahead.textContent !== said) ahead.textContent = said;
  } catch {
    // The session does not answer just now: ask again.
  }
  setTimeout(look, main.dataset.ask * 1000);
}
look();
