// The colours: as the system says, unless the reader chose light or dark; the choice is the hub's, kept in its place.
// A classic script in the head, so that a page is never drawn in the wrong colours first.

(() => {
  const KEY = "jupyterhub-bs-theme";
  const root = document.documentElement;
  const chosen = localStorage.getItem(KEY);
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;

  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", () => {
      const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
      root.dataset.theme = (root.dataset.theme || system) === "dark" ? "light" : "dark";
      localStorage.setItem(KEY, root.dataset.theme);
    });
  });
})();
