// The container that JupyterLab asks for our part of it (module federation, written by hand: there is no build step).
// JupyterLab's own modules come from its share scope, of each the newest that is there.
(() => {
  const here = document.currentScript.src;
  const NAMES = {
    apputils: "@jupyterlab/apputils",
    docmanager: "@jupyterlab/docmanager",
    services: "@jupyterlab/services",
    statusbar: "@jupyterlab/statusbar",
    translation: "@jupyterlab/translation",
    widgets: "@lumino/widgets",
  };
  let scope = {};
  const shared = async (name) => {
    const versions = scope[name] ?? {};
    const newest = Object.keys(versions).sort((a, b) => b.localeCompare(a, "en", { numeric: true }))[0];
    if (!newest) throw new Error(`JupyterLab does not share ${name}`);
    return (await versions[newest].get())();
  };
  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB.perijove = {
    init(given) { scope = given; },
    async get(module) {
      if (module !== "./extension") throw new Error(`perijove has no module ${module}`);
      const [plugin, ...loaded] = await Promise.all([
        import(new URL("plugin.js", here).href),
        ...Object.values(NAMES).map(shared),
      ]);
      const lab = Object.fromEntries(Object.keys(NAMES).map((name, index) => [name, loaded[index]]));
      const exports = { __esModule: true, default: plugin.make(lab) };
      return () => exports;
    },
  };
})();
