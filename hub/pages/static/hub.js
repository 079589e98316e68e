// The hub's own pages in the person's language, from the same catalogue: its templates know no request.
const cookie = "perijove-lang";
const root = new URL("..", import.meta.url).pathname;
const base = root.replace(/services\/[^/]+\/$/, "");
const chosen = document.cookie.split("; ").find((part) => part.startsWith(`${cookie}=`))?.split("=")[1];
const preferred = navigator.languages.map((tag) => tag.slice(0, 2)).find((code) => code === "en" || code === "zh");
const code = chosen ?? preferred ?? "en";
const other = code === "zh" ? ["en", "en-GB", "English"] : ["zh", "zh-CN", "简体中文"];

function translate(words) {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const text = node.data.trim();
    if (Object.hasOwn(words, text) && !node.parentElement.closest("script, pre")) {
      node.data = node.data.replace(text, words[text]);
    }
  }
  for (const button of document.querySelectorAll("input[type=submit]")) {
    if (Object.hasOwn(words, button.value)) button.value = words[button.value];
  }
}

function offer() {
  const link = document.createElement("a");
  link.className = "pj-nav-link ms-auto";
  link.href = "#";
  [link.hreflang, link.lang, link.textContent] = [other[1], other[1], other[2]];
  link.addEventListener("click", (event) => {
    event.preventDefault();
    document.cookie = `${cookie}=${other[0]}; path=${base}; max-age=31536000; samesite=lax`;
    location.reload();
  });
  document.getElementById("thenavbar")?.before(link);
}

document.documentElement.lang = code === "zh" ? "zh-CN" : "en-GB";
offer();
if (code !== "en") {
  const answer = await fetch(`${root}hub-words/${code}`);
  if (answer.ok) translate(await answer.json());
}
