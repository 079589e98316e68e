// Light or dark before the first paint; the key is JupyterHub's own, so that one choice holds for all pages.
"use strict";
(() => {
  const key = "jupyterhub-bs-theme";
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => { try { return localStorage.getItem(key); } catch { return null; } };
  const apply = () => {
    const theme = chosen();
    root.dataset.bsTheme = theme === "dark" || theme === "light" ? theme : dark.matches ? "dark" : "light";
    document.getElementById("theme-toggle")?.setAttribute("aria-pressed", String(root.dataset.bsTheme === "dark"));
  };
  root.classList.add("pj-js");
  apply();
  dark.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme-toggle")?.addEventListener("click", () => {
      try { localStorage.setItem(key, root.dataset.bsTheme === "dark" ? "light" : "dark"); } catch { /* private window */ }
      apply();
    });
  });
})();
